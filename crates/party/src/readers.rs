//! Reads of tasks that would wait for the disk, made by a few threads of their own.
//!
//! Promises: a read that was given up before a thread began with it is not made; what a task waits for ends at its deadline,
//! whatever the disk does; a thread that had nothing to do for a while ends.
//! Must not know: what is read.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use level_party_locks::{Condvar, Mutex};

use crate::error::{Error, ErrorKind, Result};
use crate::limits::Limits;
use crate::news::News;
use crate::place::Place;

/// Threads at most: about the requests that a disk works on at once.
const MOST: usize = 16;
/// How long a thread waits for another read before it ends.
const IDLE: Duration = Duration::from_secs(5);

type Job = Box<dyn FnOnce() + Send>;

/// The threads of a node that read for its tasks.
#[derive(Default)]
pub(crate) struct Readers {
    state: Mutex<State>,
    /// There is something to do.
    rung: Condvar,
    /// Reads that were given to the threads.
    #[cfg(test)]
    given: std::sync::atomic::AtomicUsize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

/// A read that a task waits for.
struct Ticket<T> {
    given_up: AtomicBool,
    answer: Mutex<Option<T>>,
    /// No answer comes any more but the one that is there.
    over: AtomicBool,
    changed: News,
}

/// The readers' end of a ticket; dropped, also by a panic or unmade, it tells the task.
struct Making<T>(Arc<Ticket<T>>);

impl<T> Drop for Making<T> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Release);
        self.0.changed.tell();
    }
}

/// The task's end of a ticket; dropped, the read is given up.
struct Waiting<T>(Arc<Ticket<T>>);

impl<T> Drop for Waiting<T> {
    fn drop(&mut self) {
        self.0.given_up.store(true, Ordering::Relaxed);
    }
}

impl Readers {
    /// Has `read` made by a thread that may wait for the disk.
    ///
    /// # Errors
    /// `Timeout`; `Closed`; the system has no thread left.
    pub async fn run<T: Send + 'static>(
        place: &Arc<Place>,
        limits: &Limits,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let ticket = Arc::new(Ticket {
            given_up: AtomicBool::new(false),
            answer: Mutex::new(None),
            over: AtomicBool::new(false),
            changed: News::default(),
        });
        let making = Making(Arc::clone(&ticket));
        let waiting = Waiting(ticket);
        place.readers.push(Box::new(move || {
            let ticket = &making.0;
            if !ticket.given_up.load(Ordering::Relaxed) {
                let answer = read();
                *ticket.answer.lock() = Some(answer);
            }
        }))?;
        let ticket = &waiting.0;
        let ready = || {
            let is_over = ticket.over.load(Ordering::Acquire);
            match ticket.answer.lock().take() {
                Some(answer) => Some(Ok(answer)),
                None => is_over.then(|| Err(unmade(place))),
            }
        };
        let (deadline, timer) = (limits.deadline, &place.timer);
        let waited = ticket.changed.wait(limits.wait, deadline, timer, ready);
        waited.await?.unwrap_or_else(|| Err(too_slow(limits)))
    }

    fn push(self: &Arc<Self>, job: Job) -> Result<()> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Error::closed());
        }
        let all_are_busy = state.idle <= state.waiting.len();
        if all_are_busy && state.threads < MOST {
            let readers = Arc::clone(self);
            let started = std::thread::Builder::new()
                .name("level-party-reader".into())
                .spawn(move || readers.work());
            match started {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    return Err(Error::io("cannot start a thread", error));
                }
                // Those that there are make it.
                Err(_) => {}
            }
        }
        state.waiting.push_back(job);
        drop(state);
        #[cfg(test)]
        self.given.fetch_add(1, Ordering::SeqCst);
        self.rung.notify_one();
        Ok(())
    }

    /// How many reads were given to the threads.
    #[cfg(test)]
    pub fn given(&self) -> usize {
        self.given.load(Ordering::SeqCst)
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

    /// The node closes: the threads end after the reads they are at, and no other read is made.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        self.rung.notify_all();
        // What they hold may call back here when it is dropped.
        drop(waiting);
    }
}

/// Why a read was not made.
fn unmade(place: &Place) -> Error {
    match place.is_closed() {
        true => Error::closed(),
        false => Error::new(ErrorKind::Io, "the thread that made this read panicked"),
    }
}

fn too_slow(limits: &Limits) -> Error {
    Error::new(
        ErrorKind::Timeout,
        format!(
            "the disk did not answer this read within {:?}",
            limits.timeout
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn limits() -> Limits {
        Limits {
            wait: crate::limits::Wait::Task,
            ..Limits::new(Duration::from_secs(3600), true)
        }
    }

    #[test]
    fn panicking_reads_are_told_and_end_no_thread() {
        let place = Arc::new(Place::new());
        let run = |n: usize| {
            let read = move || match n % 2 {
                0 => n,
                _ => std::panic::resume_unwind(Box::new("a bug")),
            };
            pollster::block_on(Readers::run(&place, &limits(), read))
        };
        for n in 0..4 * MOST {
            match (n % 2, run(n)) {
                (0, Ok(answer)) => assert_eq!(answer, n),
                (1, Err(error)) => assert_eq!(error.kind(), ErrorKind::Io, "{error}"),
                (_, other) => panic!("{n}: {other:?}"),
            }
        }
        place.close();
    }

    #[test]
    fn closing_answers_reads_that_wait_and_refuses_others() {
        let place = Arc::new(Place::new());
        let (begun, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(())));
        let shut = gate.lock();
        let slow = || {
            let (begun, gate) = (Arc::clone(&begun), Arc::clone(&gate));
            move || {
                begun.fetch_add(1, Ordering::SeqCst);
                drop(gate.lock());
            }
        };
        let mut reads: Vec<_> = (0..=MOST)
            .map(|_| {
                let (place, slow) = (Arc::clone(&place), slow());
                Box::pin(async move { Readers::run(&place, &limits(), slow).await })
            })
            .collect();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        for read in &mut reads {
            assert!(read.as_mut().poll(&mut context).is_pending());
        }
        while begun.load(Ordering::SeqCst) < MOST {
            std::thread::yield_now();
        }
        place.close();
        let last = reads.pop().expect("one waits for a thread");
        let error = pollster::block_on(last).expect_err("it was not begun");
        assert_eq!(error.kind(), ErrorKind::Closed);
        drop(shut);
        for read in reads {
            pollster::block_on(read).expect("it was begun");
        }
        let after = pollster::block_on(Readers::run(&place, &limits(), || ()));
        assert_eq!(after.expect_err("closed").kind(), ErrorKind::Closed);
        assert_eq!(begun.load(Ordering::SeqCst), MOST);
    }
}
