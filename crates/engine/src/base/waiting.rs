//! How long a call waits, and for whom it waited.
//!
//! Promises: no sleep goes beyond what the caller allows.
//! Must not know: why anybody waits.

use std::fmt;
use std::time::{Duration, Instant};

use level_party_locks::{Mutex, MutexGuard};

use crate::base::peers::Incarnation;

/// For whom a call waited until its time was over; see [`Error::waited_for`](crate::Error::waited_for).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitedFor {
    /// The member that commits, which is slow or stopped: one that died is not waited for.
    Holder(Incarnation),
    /// The leader: memtables are to be flushed first, or level 0 has too many tables.
    Room,
    /// Other writes of its own process.
    Queue,
}

impl fmt::Display for WaitedFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitedFor::Holder(holder) => write!(f, "the process with number {holder}"),
            WaitedFor::Room => f.write_str("the leading process to make room"),
            WaitedFor::Queue => f.write_str("earlier writes of this process"),
        }
    }
}

impl std::error::Error for WaitedFor {}

/// How long a call may wait for others.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// As long as it takes.
    Endless,
    /// No longer than until then.
    Until(Instant),
    /// Not at all.
    None,
}

impl Patience {
    /// That of a call with this deadline, if it has one.
    pub(crate) fn of(deadline: Option<Instant>) -> Patience {
        deadline.map_or(Patience::Endless, Patience::Until)
    }

    /// When the time is over, if it ever is.
    pub(crate) fn deadline(self) -> Option<Instant> {
        match self {
            Patience::Endless => None,
            Patience::Until(deadline) => Some(deadline),
            Patience::None => Some(Instant::now()),
        }
    }

    /// Locks, if that is possible in time.
    pub(crate) fn lock<T>(self, mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
        match self.deadline() {
            None => Some(mutex.lock()),
            Some(deadline) => mutex.try_lock_until(deadline),
        }
    }

    /// How long the next sleep may be; `None`: the time is over.
    pub(crate) fn sleep(self, at_most: Duration) -> Option<Duration> {
        match self {
            Patience::Endless => Some(at_most),
            Patience::None => None,
            Patience::Until(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                (!left.is_zero()).then(|| left.min(at_most))
            }
        }
    }
}
