//! How long a call may take, and who waits for it.

use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use level_party_remote::History;

use crate::error::{Error, ErrorKind, Result};
use crate::options::{Options, WhenFull};

/// Who waits for a call: the thread that makes it, or a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Thread,
    Task,
}

/// The outcome of calls made with [`Wait::Thread`].
pub(crate) fn now<T>(calls: impl Future<Output = T>) -> T {
    let mut calls = std::pin::pin!(calls);
    match calls.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => unreachable!("a call of a thread blocks"),
    }
}

/// An unbroken line of epochs: while it lasts a sequence number means one and the same write. It ends when another
/// program had the directory, or may have had it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line(pub u64);

/// Names one stay of this process in a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stay(pub u64);

/// How long a call may take, and what it does when this process has to open the database anew.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub deadline: Instant,
    pub timeout: Duration,
    pub retry: bool,
    /// The only stay that may answer (a stream without retry).
    pub only: Option<Stay>,
    /// Since when only members must have had the directory, for a write whose conditions rest on what was read.
    pub since: Option<Line>,
    /// The same of a database on a server: since which history.
    pub history: Option<History>,
    pub wait: Wait,
    /// Bytes of writes beside which it may begin.
    pub queue_bytes: usize,
    pub when_full: WhenFull,
}

impl Limits {
    pub fn new(timeout: Duration, retry: bool) -> Self {
        // A deadline past what the clock can name is as good as a century.
        let now = Instant::now();
        let century = Duration::from_secs(100 * 365 * 86_400);
        let deadline = now.checked_add(timeout).unwrap_or_else(|| now + century);
        Limits {
            deadline,
            timeout,
            retry,
            only: None,
            since: None,
            history: None,
            wait: Wait::Thread,
            queue_bytes: Options::DEFAULT_QUEUE_BYTES,
            when_full: WhenFull::Wait,
        }
    }

    /// Whether there is time left for a call that is about to begin: one of several that have the same limits, or a future
    /// that is polled late.
    ///
    /// # Errors
    /// `Timeout`.
    pub fn check_time(&self) -> Result<()> {
        match Instant::now() < self.deadline {
            true => Ok(()),
            false => Err(self.too_late()),
        }
    }

    /// The time of a call was over before anything was done for it.
    pub fn too_late(&self) -> Error {
        Error::new(
            ErrorKind::Timeout,
            format!(
                "the {:?} for this call were over before it was begun; it had no effect",
                self.timeout
            ),
        )
    }

    /// The same for a read, which rests on nothing that was read before.
    pub fn untied(self) -> Self {
        Limits {
            since: None,
            history: None,
            ..self
        }
    }
}
