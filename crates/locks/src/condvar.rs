//! Conditions that threads with a [`Mutex`](crate::Mutex) wait for.
//!
//! A waiter holds the gate from before it unlocks its mutex until it sleeps, and a notifier passes the gate: so no notification
//! falls between the two.

use std::sync::{Condvar as Waiters, Mutex as Gate, PoisonError};
use std::time::{Duration, Instant};

use crate::mutex::MutexGuard;

/// A condition. A wait may end without a cause: look at what is waited for in a loop.
#[derive(Default)]
pub struct Condvar {
    gate: Gate<()>,
    waiters: Waiters,
}

/// How a wait with a limit has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether the time was over.
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    /// A condition that nobody waits for.
    pub const fn new() -> Self {
        Condvar {
            gate: Gate::new(()),
            waiters: Waiters::new(),
        }
    }

    /// Wakes one who waits.
    pub fn notify_one(&self) {
        drop(self.gate.lock().unwrap_or_else(PoisonError::into_inner));
        self.waiters.notify_one();
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        drop(self.gate.lock().unwrap_or_else(PoisonError::into_inner));
        self.waiters.notify_all();
    }

    /// Waits for a notification; the mutex is unlocked meanwhile.
    pub fn wait<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>) {
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        MutexGuard::unlocked(guard, || drop(self.waiters.wait(gate)));
    }

    /// The same, no longer than `limit`.
    pub fn wait_for<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        limit: Duration,
    ) -> WaitTimeoutResult {
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = MutexGuard::unlocked(guard, || {
            let waited = self.waiters.wait_timeout(gate, limit);
            waited.unwrap_or_else(PoisonError::into_inner).1
        });
        WaitTimeoutResult(waited.timed_out())
    }

    /// The same, no longer than until then.
    pub fn wait_until<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        until: Instant,
    ) -> WaitTimeoutResult {
        match until.saturating_duration_since(Instant::now()) {
            Duration::ZERO => WaitTimeoutResult(true),
            left => self.wait_for(guard, left),
        }
    }

    /// Waits as long as `condition` holds.
    pub fn wait_while<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) {
        while condition(guard) {
            self.wait(guard);
        }
    }

    /// The same, no longer than `limit`.
    pub fn wait_while_for<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        mut condition: impl FnMut(&mut T) -> bool,
        limit: Duration,
    ) -> WaitTimeoutResult {
        // A time that can't be told is as good as for ever.
        let Some(until) = Instant::now().checked_add(limit) else {
            self.wait_while(guard, condition);
            return WaitTimeoutResult(false);
        };
        while condition(guard) {
            if self.wait_until(guard, until).timed_out() {
                return WaitTimeoutResult(condition(guard));
            }
        }
        WaitTimeoutResult(false)
    }
}

impl std::fmt::Debug for Condvar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}
