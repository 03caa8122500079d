//! Memory as [loom](https://docs.rs/loom) models it: each load may give any value that C11's rules allow, and an access to
//! plain bytes that is not ordered behind their writing is an error.
//!
//! It also plants bugs, so that the models show that they would find them.

use std::cell::{Cell, UnsafeCell};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::region::Region;

/// A bug to be found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Planted {
    /// None: the code as it is.
    Nothing,
    /// Links and other words of 32 bits are stored without release order.
    RelaxedLinks,
    /// Loads are not made acquire loads.
    NoAcquire,
    /// The last sequence is stored without release order.
    RelaxedPublish,
    /// A new entry is linked on its highest level first.
    UpperLevelsFirst,
}

thread_local! {
    // A model runs all its threads on the thread that calls it.
    static PLANTED: Cell<Planted> = const { Cell::new(Planted::Nothing) };
}

/// Plants a bug in what this thread runs from now on.
#[cfg(test)]
pub(crate) fn plant(bug: Planted) {
    PLANTED.set(bug);
}

/// Whether `bug` is planted.
pub(crate) fn planted(bug: Planted) -> bool {
    PLANTED.get() == bug
}

/// The order asked for, unless `bug` takes it away.
fn weakened(order: Ordering, bug: Planted) -> Ordering {
    if planted(bug) {
        Ordering::Relaxed
    } else {
        order
    }
}

/// A fence, which only makes loads acquire loads here.
pub(crate) fn fence(order: Ordering) {
    if !planted(Planted::NoAcquire) {
        loom::sync::atomic::fence(order);
    }
}

/// A word of 32 bits.
pub(crate) struct AtomicU32(loom::sync::atomic::AtomicU32);

impl AtomicU32 {
    pub(crate) fn load(&self, order: Ordering) -> u32 {
        self.0.load(order)
    }

    pub(crate) fn store(&self, value: u32, order: Ordering) {
        self.0.store(value, weakened(order, Planted::RelaxedLinks));
    }
}

/// A word of 64 bits.
pub(crate) struct AtomicU64(loom::sync::atomic::AtomicU64);

impl AtomicU64 {
    pub(crate) fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    pub(crate) fn store(&self, value: u64, order: Ordering) {
        self.0
            .store(value, weakened(order, Planted::RelaxedPublish));
    }
}

/// As many bytes share a guard; no two entries do.
const GUARD_GRAIN: usize = 4;

/// The memory of a region of that length, which itself is not touched. A word is never also read as bytes, so the two
/// need not be the same memory.
#[derive(Clone)]
pub(crate) struct Memory(Arc<Shared>);

struct Shared {
    region: Cell<Option<Arc<dyn Region>>>,
    words32: Vec<AtomicU32>,
    words64: Vec<AtomicU64>,
    bytes: Box<[UnsafeCell<u8>]>,
    /// Who accesses the bytes, by the grain.
    guards: Vec<loom::cell::UnsafeCell<()>>,
}

// SAFETY: a model runs its threads one at a time; what they do to the bytes is watched by the guards.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Memory {
    pub(crate) fn new(region: Arc<dyn Region>) -> Option<Memory> {
        let len = region.len();
        let word32 = |_| AtomicU32(loom::sync::atomic::AtomicU32::new(0));
        let word64 = |_| AtomicU64(loom::sync::atomic::AtomicU64::new(0));
        Some(Memory(Arc::new(Shared {
            region: Cell::new(Some(region)),
            words32: (0..len / 4).map(word32).collect(),
            words64: (0..len / 8).map(word64).collect(),
            bytes: (0..len).map(|_| UnsafeCell::new(0)).collect(),
            guards: (0..len.div_ceil(GUARD_GRAIN))
                .map(|_| loom::cell::UnsafeCell::new(()))
                .collect(),
        })))
    }

    pub(crate) fn sole_holder(&mut self) -> bool {
        let mut region = self.0.region.take();
        let alone = region
            .as_mut()
            .is_some_and(|region| Arc::get_mut(region).is_some());
        self.0.region.set(region);
        alone
    }

    /// # Safety
    /// None is needed here; that of the memory it stands for.
    pub(crate) unsafe fn word32(&self, at: u32) -> &AtomicU32 {
        &self.0.words32[at as usize / 4]
    }

    /// # Safety
    /// As for [`Memory::word32`].
    pub(crate) unsafe fn word64(&self, at: u32) -> &AtomicU64 {
        &self.0.words64[at as usize / 8]
    }

    /// # Safety
    /// `at + len` is at most the region's length, and nobody writes there while the slice lives: the guards check that
    /// its writing happened before.
    pub(crate) unsafe fn bytes(&self, at: u32, len: u32) -> &[u8] {
        let range = at as usize..at as usize + len as usize;
        for guard in self.guards(&range) {
            guard.with(|_| ());
        }
        let bytes = &self.0.bytes[range];
        // SAFETY: the caller's promise; an `UnsafeCell<u8>` is a byte.
        unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) }
    }

    /// # Safety
    /// Nobody else accesses those bytes meanwhile: the guards check it.
    pub(crate) unsafe fn write(&self, at: u32, from: &[u8]) {
        let range = at as usize..at as usize + from.len();
        for guard in self.guards(&range) {
            guard.with_mut(|_| ());
        }
        for (to, byte) in self.0.bytes[range].iter().zip(from) {
            // SAFETY: the caller's promise.
            unsafe { *to.get() = *byte };
        }
    }

    fn guards(&self, range: &std::ops::Range<usize>) -> &[loom::cell::UnsafeCell<()>] {
        let end = range.end.div_ceil(GUARD_GRAIN);
        &self.0.guards[(range.start / GUARD_GRAIN).min(end)..end]
    }
}
