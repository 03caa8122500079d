//! The mutex: one word, and std's mutex and condition for those who wait.
//!
//! The word is free, locked, or locked with somebody who may wait. A thread that finds it locked
//! makes it say that somebody waits, with the gate held. A thread that unlocks a word that says so passes the gate before it wakes one. So no wake-up falls between the look at
//! the word and the sleep.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex as Gate, PoisonError};
use std::time::{Duration, Instant};

use lock_api::GuardNoSend;

const FREE: u32 = 0;
const LOCKED: u32 = 1;
const AWAITED: u32 = 2;
/// Looks at the word before a thread sleeps: most locks are held for less than a sleep costs.
const LOOKS: u32 = 100;

/// A mutex that does not poison.
pub type Mutex<T> = lock_api::Mutex<RawMutex, T>;

/// Holds a [`Mutex`] until it is dropped.
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, RawMutex, T>;

/// The lock of a [`Mutex`].
pub struct RawMutex {
    word: AtomicU32,
    gate: Gate<()>,
    freed: Condvar,
}

impl RawMutex {
    #[inline]
    fn take(&self) -> bool {
        let taken = self
            .word
            .compare_exchange(FREE, LOCKED, Ordering::Acquire, Ordering::Relaxed);
        taken.is_ok()
    }

    /// Waits for the lock. False: `until` has passed.
    #[cold]
    fn wait(&self, until: Option<Instant>) -> bool {
        for _ in 0..LOOKS {
            if self.word.load(Ordering::Relaxed) == FREE && self.take() {
                return true;
            }
            std::hint::spin_loop();
        }
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken so it still says that somebody waits: of several who do, the last one's unlocking wakes nobody.
        while self.word.swap(AWAITED, Ordering::Acquire) != FREE {
            gate = match until {
                None => self
                    .freed
                    .wait(gate)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    let woken = self.freed.wait_timeout(gate, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        true
    }
}

// SAFETY: the lock is held from the step of the word from `FREE` to another value, which one thread alone can make, until that
// thread's `unlock` stores `FREE`: the former acquires what the latter released.
unsafe impl lock_api::RawMutex for RawMutex {
    const INIT: Self = RawMutex {
        word: AtomicU32::new(FREE),
        gate: Gate::new(()),
        freed: Condvar::new(),
    };

    type GuardMarker = GuardNoSend;

    #[inline]
    fn lock(&self) {
        if !self.take() {
            self.wait(None);
        }
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.take()
    }

    #[inline]
    unsafe fn unlock(&self) {
        if self.word.swap(FREE, Ordering::Release) == AWAITED {
            drop(self.gate.lock().unwrap_or_else(PoisonError::into_inner));
            self.freed.notify_one();
        }
    }

    fn is_locked(&self) -> bool {
        self.word.load(Ordering::Relaxed) != FREE
    }
}

// SAFETY: true is given where the lock was taken, as in `try_lock` and `lock`, and nowhere else.
unsafe impl lock_api::RawMutexTimed for RawMutex {
    type Duration = Duration;
    type Instant = Instant;

    fn try_lock_for(&self, limit: Duration) -> bool {
        // A time that can't be told is as good as for ever.
        self.take() || self.wait(Instant::now().checked_add(limit))
    }

    fn try_lock_until(&self, until: Instant) -> bool {
        self.take() || self.wait(Some(until))
    }
}
