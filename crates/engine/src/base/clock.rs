//! [`Clock`]: how many things of a kind are kept open at once, by second chance.
//!
//! Promises: beside those that somebody uses just now, no more are kept than the limit. One that was used since the
//! clock's hand last passed is kept longer than one that was not. A thing found open costs no lock, and dropping its slot
//! takes none, so a forked child can drop what another thread of its parent had locked.
//! Must not know: what is kept, or how it is opened.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use level_party_locks::Mutex;

/// How long [`Clock::close_half`] waits for its lock, which nobody holds over a call to the system.
const PATIENCE: Duration = Duration::from_millis(10);

/// Where a thing is, if it is open.
pub(crate) struct Slot<T> {
    kept: ArcSwapOption<T>,
    /// It was used since the hand last passed.
    used: AtomicBool,
}

impl<T> Default for Slot<T> {
    fn default() -> Slot<T> {
        Slot {
            kept: ArcSwapOption::empty(),
            used: AtomicBool::new(false),
        }
    }
}

impl<T> Slot<T> {
    /// The thing, if it is open.
    #[inline]
    pub(crate) fn get(&self) -> Option<Kept<T>> {
        let kept = self.kept.load();
        kept.as_ref()?;
        // Most often it is set already: then the line is only read.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        Some(Kept(kept))
    }

    pub(crate) fn is_open(&self) -> bool {
        self.kept.load().is_some()
    }
}

/// An open thing, kept open for as long as this lives.
pub struct Kept<T>(Guard<Option<Arc<T>>>);

impl<T> Kept<T> {
    /// The thing, to be kept for longer.
    pub fn to_arc(&self) -> Arc<T> {
        Arc::clone(self.0.as_ref().expect("made with a thing only"))
    }
}

impl<T> Deref for Kept<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.0.as_ref().expect("made with a thing only")
    }
}

impl<T: fmt::Debug> fmt::Debug for Kept<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

/// What is kept open.
pub(crate) struct Clock<T> {
    limit: AtomicUsize,
    /// In the order in which the hand passes them. Each open slot is here once, closed ones not at all.
    row: Mutex<VecDeque<Weak<Slot<T>>>>,
}

impl<T> Clock<T> {
    pub(crate) fn new(limit: usize) -> Clock<T> {
        Clock {
            limit: AtomicUsize::new(limit.max(1)),
            row: Mutex::default(),
        }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// The next thing that is kept closes what is over the new limit.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.store(limit.max(1), Ordering::Relaxed);
    }

    /// Keeps what was just opened in its slot, and closes another for it if need be. Where two threads opened it at the
    /// same moment, one of the two is kept. Gives it, and whether the limit closed another.
    pub(crate) fn keep(&self, slot: &Arc<Slot<T>>, opened: Arc<T>) -> (Kept<T>, bool) {
        let mut closed = Vec::new();
        {
            let mut row = self.row.lock();
            if let Some(kept) = slot.get() {
                return (kept, false);
            }
            slot.kept.store(Some(Arc::clone(&opened)));
            slot.used.store(true, Ordering::Relaxed);
            row.push_back(Arc::downgrade(slot));
            while row.len() > self.limit() {
                // Each round either shortens the row or clears a mark, so that this ends.
                let Some(oldest) = row.pop_front().and_then(|slot| slot.upgrade()) else {
                    continue;
                };
                if oldest.used.swap(false, Ordering::Relaxed) {
                    row.push_back(Arc::downgrade(&oldest));
                } else {
                    closed.extend(oldest.kept.swap(None));
                }
            }
        }
        // Outside the lock: nobody waits for another's closing.
        let any = !closed.is_empty();
        drop(closed);
        (Kept(Guard::from_inner(Some(opened))), any)
    }

    /// Closes half of what is kept, one at least if there is one, the first that the hand would come to. Gives how many
    /// were closed and how many are left; `None` if another thread keeps the lock (in a forked child, for ever).
    pub(crate) fn close_half(&self) -> Option<(usize, usize)> {
        let mut row = self.row.try_lock_for(PATIENCE)?;
        row.retain(|slot| slot.strong_count() > 0);
        let half = row.len().div_ceil(2);
        let slots: Vec<_> = row.drain(..half).collect();
        let slots = slots.into_iter().filter_map(|slot| slot.upgrade());
        let closed: Vec<Arc<T>> = slots.filter_map(|slot| slot.kept.swap(None)).collect();
        let left = row.len();
        drop(row);
        Some((closed.len(), left))
    }

    /// How many are kept now.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        let row = self.row.lock();
        let open = |slot: &Weak<Slot<T>>| slot.upgrade().is_some_and(|slot| slot.is_open());
        row.iter().filter(|slot| open(slot)).count()
    }
}

impl<T> fmt::Debug for Clock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock")
            .field("limit", &self.limit())
            .finish_non_exhaustive()
    }
}
