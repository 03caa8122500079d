//! Memory as it is.

use std::ptr::NonNull;
use std::sync::Arc;
pub use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
pub(crate) use std::sync::atomic::fence;

use crate::region::Region;

/// The order in which links are stored.
pub(crate) const LINK: Ordering = Ordering::Release;

/// The order itself. The model may weaken it.
#[inline(always)]
pub(crate) fn stored(order: Ordering) -> Ordering {
    order
}

/// A region's memory.
///
/// Invariant: `base` is the region's address, a multiple of 8, and the region has at least `len` words.
#[derive(Clone)]
pub(crate) struct Memory {
    base: NonNull<AtomicU64>,
    len: usize,
    /// Keeps the memory.
    _region: Arc<dyn Region>,
}

// SAFETY: `base` points into the region, which is Send and Sync, and is accessed as atomic words only.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// The memory of a region, without the bytes behind its last whole word; `None` if that does not start at a
    /// multiple of 8.
    pub(crate) fn new(region: Arc<dyn Region>) -> Option<Memory> {
        let base = region.ptr();
        let aligned = base.as_ptr().align_offset(align_of::<AtomicU64>().max(8)) == 0;
        aligned.then(|| Memory {
            base: base.cast(),
            len: region.len() / size_of::<AtomicU64>(),
            _region: region,
        })
    }

    /// The same memory without the words from `len` on.
    pub(crate) fn shortened(mut self, len: usize) -> Memory {
        self.len = self.len.min(len);
        self
    }

    /// All words.
    #[inline]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: by the invariant they lie in the region, aligned. The region promises that its bytes stay where they
        // are and initialised while `_region` lives, which is longer than the slice, and that whoever accesses them at
        // the same time does so by atomic words of this size; readers of memory mapped read-only load only.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.len) }
    }
}

/// Asks for a word's cache line, so that a read of it soon finds it near. A hint: it changes nothing else.
#[inline]
pub(crate) fn prefetch(word: &AtomicU64) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the address is that of a word; every x86_64 has the instruction, and it accesses nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(word).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = word;
}
