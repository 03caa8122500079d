//! Memory as [loom](https://docs.rs/loom) models it: each load may give any value that C11's rules allow.
//!
//! It also plants bugs, so that the models show that they would find them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

pub use loom::sync::atomic::AtomicU64;

use crate::region::Region;

/// A bug to be found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Planted {
    /// None: the code as it is.
    Nothing,
    /// Links are stored without release order.
    RelaxedLinks,
    /// Loads are not made acquire loads.
    NoAcquire,
    /// A new entry is linked on its highest level first.
    UpperLevelsFirst,
    #[cfg_attr(not(test), allow(dead_code))] // planted by tests, which look for it themselves
    /// A writer goes on where it left the list, though another one wrote since.
    StaleWriter,
    #[cfg_attr(not(test), allow(dead_code))] // as above
    /// A reader does not look at the generation again.
    NoGenerationCheck,
}

/// What a store is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    Link,
}

/// A store of links.
pub(crate) const LINK: Stored = Stored::Link;

thread_local! {
    // A model runs all its threads on the thread that calls it.
    static PLANTED: Cell<Planted> = const { Cell::new(Planted::Nothing) };
    /// The words of each region that somebody holds, by its address.
    static REGIONS: RefCell<HashMap<usize, Weak<[AtomicU64]>>> = RefCell::default();
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

/// The order of such a store: release, unless a bug takes it away.
pub(crate) fn stored(what: Stored) -> Ordering {
    let weakened = match what {
        Stored::Link => planted(Planted::RelaxedLinks),
    };
    if weakened {
        Ordering::Relaxed
    } else {
        Ordering::Release
    }
}

/// A fence, which is no acquire fence where that bug is planted.
pub(crate) fn fence(order: Ordering) {
    if order != Ordering::Acquire || !planted(Planted::NoAcquire) {
        loom::sync::atomic::fence(order);
    }
}

/// The memory of a region of that length, which itself is not touched. All memory of one region is the same, as long as
/// anybody holds some.
#[derive(Clone)]
pub(crate) struct Memory {
    words: Arc<[AtomicU64]>,
    len: usize,
    /// Keeps its address from being given to another region.
    _region: Arc<dyn Region>,
}

impl Memory {
    pub(crate) fn new(region: Arc<dyn Region>) -> Option<Memory> {
        let len = region.len() / 8;
        let words = REGIONS.with_borrow_mut(|regions| {
            let address = region.ptr().as_ptr() as usize;
            regions
                .get(&address)
                .and_then(Weak::upgrade)
                .unwrap_or_else(|| {
                    let words: Arc<[AtomicU64]> = (0..len).map(|_| AtomicU64::new(0)).collect();
                    regions.insert(address, Arc::downgrade(&words));
                    words
                })
        });
        Some(Memory {
            words,
            len,
            _region: region,
        })
    }

    pub(crate) fn shortened(mut self, len: usize) -> Memory {
        self.len = self.len.min(len);
        self
    }

    pub(crate) fn words(&self) -> &[AtomicU64] {
        &self.words[..self.len]
    }
}

/// The model has no caches.
pub(crate) fn prefetch(_: &AtomicU64) {}
