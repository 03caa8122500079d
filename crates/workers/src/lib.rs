//! A few threads that make calls which block, for tasks, which must not.
//!
//! ```
//! let workers = level_party_workers::Workers::new("example", 4);
//! let made = workers.call(|| 6 * 7)?;
//! assert_eq!(pollster::block_on(made), Some(42));
//! # Ok::<(), level_party_workers::Refused>(())
//! ```
//!
//! **Promises.** A call whose [`Made`] was dropped before a thread began with it is not made. Each `Made` ends: also where the call
//! panicked, or the workers were closed before it. There are never more threads than allowed; one that had nothing to do for some
//! seconds ends. No waker and no call is run or dropped under a lock of this crate.
//! **Must not know** what is called, nor any deadline.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod made;

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use level_party_locks::{Condvar, Mutex};

pub use made::Made;

/// How long a thread waits for another call before it ends.
const IDLE: Duration = Duration::from_secs(5);

type Job = Box<dyn FnOnce() + Send>;

/// The threads. They are started when they are needed; dropping it closes it.
pub struct Workers {
    shared: Arc<Shared>,
}

struct Shared {
    name: &'static str,
    most: usize,
    state: Mutex<State>,
    /// There is something to do.
    rung: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

/// Why a call will not be made.
#[derive(Debug)]
pub enum Refused {
    /// The workers were closed.
    Closed,
    /// There is no thread, and the system gives none.
    NoThread(std::io::Error),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Closed => f.write_str("the workers are closed"),
            Refused::NoThread(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

impl std::error::Error for Refused {}

impl Workers {
    /// At most `most` threads, of this name; none yet.
    pub fn new(name: &'static str, most: usize) -> Self {
        Workers {
            shared: Arc::new(Shared {
                name,
                most,
                state: Mutex::default(),
                rung: Condvar::new(),
            }),
        }
    }

    /// Has `call` made by one of the threads, in the order of coming.
    ///
    /// # Errors
    /// It will not be made.
    pub fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Made<T>, Refused> {
        let (making, made) = made::ends();
        self.shared.push(Box::new(move || making.make(call)))?;
        Ok(made)
    }

    /// The threads end after the calls that they are at; no other call is made.
    pub fn close(&self) {
        let mut state = self.shared.state.lock();
        state.closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        self.shared.rung.notify_all();
        // Each tells its task, and what it holds may call back here.
        drop(waiting);
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn push(self: &Arc<Self>, job: Job) -> Result<(), Refused> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        let all_are_busy = state.idle <= state.waiting.len();
        if all_are_busy && state.threads < self.most {
            let shared = Arc::clone(self);
            let started = std::thread::Builder::new()
                .name(self.name.into())
                .spawn(move || shared.work());
            match started {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => return Err(Refused::NoThread(error)),
                // Those that there are make it.
                Err(_) => {}
            }
        }
        state.waiting.push_back(job);
        drop(state);
        self.rung.notify_one();
        Ok(())
    }

    /// What one thread does.
    fn work(&self) {
        let mut state = self.state.lock();
        while !state.closed {
            if let Some(job) = state.waiting.pop_front() {
                drop(state);
                // A panic has been reported by the hook, and the task is told.
                let _ = catch_unwind(AssertUnwindSafe(job));
                state = self.state.lock();
                continue;
            }
            state.idle += 1;
            let over = self.rung.wait_for(&mut state, IDLE).timed_out();
            state.idle -= 1;
            if over && state.waiting.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }
}

#[cfg(test)]
mod tests;
