//! Memory as it is.

use std::ptr::NonNull;
use std::sync::Arc;
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, fence};

use crate::region::Region;

/// A region's memory.
///
/// Invariant: `base` is the region's address, a multiple of 8.
#[derive(Clone)]
pub(crate) struct Memory {
    base: NonNull<u8>,
    /// Keeps the memory.
    region: Arc<dyn Region>,
}

// SAFETY: `base` points into `region`, which is Send and Sync. What changes while it is shared are atomic words;
// plain bytes are written only while no link leads to them, by the only writer.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// The memory of a region; `None` if that does not start at a multiple of 8.
    pub(crate) fn new(region: Arc<dyn Region>) -> Option<Memory> {
        let base = region.ptr();
        (base.as_ptr().align_offset(8) == 0).then_some(Memory { base, region })
    }

    /// Whether nobody else holds the region.
    pub(crate) fn sole_holder(&mut self) -> bool {
        Arc::get_mut(&mut self.region).is_some()
    }

    /// # Safety
    /// `at` is a multiple of 4, `at + 4` at most the region's length, and while it is shared the word is accessed
    /// in this process as an atomic only.
    #[inline]
    pub(crate) unsafe fn word32(&self, at: u32) -> &AtomicU32 {
        // SAFETY: the caller's promise; the region keeps the memory.
        unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(at as usize).cast()) }
    }

    /// # Safety
    /// As for [`Memory::word32`], with 8 for 4.
    #[inline]
    pub(crate) unsafe fn word64(&self, at: u32) -> &AtomicU64 {
        // SAFETY: the caller's promise; the region keeps the memory.
        unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(at as usize).cast()) }
    }

    /// # Safety
    /// `at + len` is at most the region's length, and nobody in this process writes there while the slice lives.
    #[inline]
    pub(crate) unsafe fn bytes(&self, at: u32, len: u32) -> &[u8] {
        // SAFETY: the caller's promise; all bytes of a region are initialised.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(at as usize), len as usize) }
    }

    /// # Safety
    /// `at + from.len()` is at most the region's length, the region is writable, and nobody else in this process
    /// accesses those bytes meanwhile.
    #[inline]
    pub(crate) unsafe fn write(&self, at: u32, from: &[u8]) {
        // SAFETY: the caller's promise; so `from` lies elsewhere.
        unsafe {
            let to = self.base.as_ptr().add(at as usize);
            to.copy_from_nonoverlapping(from.as_ptr(), from.len());
        }
    }
}
