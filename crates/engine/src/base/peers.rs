//! [`Peers`]: what a member asks the system about the others: whether one lives, and to sleep until one rings.
//!
//! Promises: only who will never store anything again is called dead; every sleep ends by itself.
//! Must not know: why anybody sleeps.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use level_party_locks::{Condvar, Mutex};

use crate::base::sync::AtomicU64;

/// A member's number: that of the founding in the high half, below 2^29, and one that counts from 1 in the low half. Never
/// given twice, never 0, below 2^61.
pub type Incarnation = u64;

/// The other members of a segment, as the system knows them, and how members sleep and wake each other.
///
/// A *bell* is a word of the control page. Its low half is what a sleeper compares (the futex word on Linux); the memory is
/// shared between processes.
pub trait Peers: Send + Sync {
    /// Whether this member will never store anything again. It is never asked of oneself; an error of the question means
    /// that it lives.
    fn is_dead(&self, member: Incarnation) -> bool;

    /// Sleeps until somebody wakes the bell, `at_most` has passed, or at once if the low half of `bell` is not `seen`.
    fn sleep(&self, bell: &AtomicU64, seen: u32, at_most: Duration);

    /// How long an idle member may sleep: a ring may be lost with a member that dies.
    fn longest_rest(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// Milliseconds of a clock that all members share, as that since the boot; 0 if there is none. Other members show them,
    /// and nothing is decided by them.
    fn milliseconds(&self) -> u64 {
        0
    }

    /// Wakes one of those who sleep at a bell.
    fn wake_one(&self, bell: &AtomicU64);

    /// Wakes all who sleep at a bell.
    fn wake_all(&self, bell: &AtomicU64);

    /// This member is about to take a step. A test may stop it here.
    #[cfg(any(test, feature = "steps"))]
    fn reach(&self, _step: crate::base::steps::Step) {}
}

/// Members of one process: they live as long as it does.
#[derive(Default)]
pub struct LocalPeers {
    sleepers: Mutex<()>,
    woken: Condvar,
    #[cfg(test)]
    dead: Mutex<std::collections::BTreeSet<Incarnation>>,
    #[cfg(test)]
    asked: std::sync::atomic::AtomicUsize,
}

impl LocalPeers {
    /// The member stores nothing from now on: a test sees to that.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn declare_dead(&self, member: Incarnation) {
        self.dead.lock().insert(member);
    }

    /// How often anybody's death was asked for.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Peers for LocalPeers {
    #[cfg(not(test))]
    fn is_dead(&self, _member: Incarnation) -> bool {
        // Threads of one process die with it.
        false
    }

    #[cfg(test)]
    fn is_dead(&self, member: Incarnation) -> bool {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.dead.lock().contains(&member)
    }

    fn sleep(&self, bell: &AtomicU64, seen: u32, at_most: Duration) {
        let until = Instant::now().checked_add(at_most);
        let mut sleepers = self.sleepers.lock();
        while bell.load(Ordering::SeqCst) as u32 == seen {
            match until {
                None => self.woken.wait(&mut sleepers),
                Some(until) if self.woken.wait_until(&mut sleepers, until).timed_out() => return,
                Some(_) => {}
            }
        }
    }

    fn longest_rest(&self) -> Duration {
        // Only this process could lose a ring.
        Duration::MAX
    }

    fn wake_one(&self, bell: &AtomicU64) {
        // They share one condition, and those it does not concern sleep on.
        self.wake_all(bell);
    }

    fn wake_all(&self, _bell: &AtomicU64) {
        drop(self.sleepers.lock());
        self.woken.notify_all();
    }
}
