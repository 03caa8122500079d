//! Threads that make calls which block, for tasks.
//!
//! A thread's call is made by that thread itself, in its first poll: nothing is handed over. A task's is made by one of a few
//! threads. Promises: a call that was dropped before a thread began with it is not made; a thread that had nothing to do for a
//! while ends.
//! Must not know: what is called.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use level_party_locks::{Condvar, Mutex};

use crate::call::{Answer, Wait};
use crate::error::{Error, ErrorKind, Result};

/// How long a thread waits for another call before it ends.
const IDLE: Duration = Duration::from_secs(5);

type Job = Box<dyn FnOnce() + Send>;

/// A few threads.
pub struct Workers {
    shared: Arc<Shared>,
}

struct Shared {
    most: usize,
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

/// What a task and the thread that works for it share.
struct Ticket<T> {
    state: Mutex<TicketState<T>>,
}

struct TicketState<T> {
    given_up: bool,
    answer: Option<T>,
    over: bool,
    waker: Option<Waker>,
}

impl Workers {
    /// At most `most` threads; none yet.
    pub fn new(most: usize) -> Self {
        Workers {
            shared: Arc::new(Shared {
                most,
                state: Mutex::default(),
                rung: Condvar::new(),
            }),
        }
    }

    /// The answer of a call that blocks: made by the polling thread where a thread waits, else by one of these.
    pub fn call<T: Send + 'static>(
        &self,
        wait: Wait,
        call: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        match wait {
            Wait::Thread => Box::pin(async move { call() }),
            Wait::Task => Box::pin(async move { self.run(call)?.await.unwrap_or_else(unmade) }),
        }
    }

    /// Has `job` done soon, by nobody who is waited for.
    ///
    /// # Errors
    /// `Closed`; the system has no thread left.
    pub fn spawn(&self, job: impl FnOnce() + Send + 'static) -> Result<()> {
        self.shared.push(Box::new(job))
    }

    fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Waiting<T>> {
        let ticket = Arc::new(Ticket {
            state: Mutex::new(TicketState {
                given_up: false,
                answer: None,
                over: false,
                waker: None,
            }),
        });
        let making = Making(Arc::clone(&ticket));
        let waiting = Waiting(ticket);
        self.spawn(move || {
            let ticket = &making.0;
            if !ticket.state.lock().given_up {
                let answer = call();
                ticket.state.lock().answer = Some(answer);
            }
        })?;
        Ok(waiting)
    }

    /// The threads end once they have done what they do; what waits is dropped.
    pub fn close(&self) {
        let mut state = self.shared.state.lock();
        state.closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        self.shared.rung.notify_all();
        // Each tells its task.
        drop(waiting);
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.close();
    }
}

/// The thread's end of a ticket; dropped, also by a panic or unmade, it tells the task.
struct Making<T>(Arc<Ticket<T>>);

impl<T> Drop for Making<T> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.over = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The task's end; dropped, the call is given up.
struct Waiting<T>(Arc<Ticket<T>>);

impl<T> Future for Waiting<T> {
    /// `None`: it was not made.
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.0.state.lock();
        if state.over {
            return Poll::Ready(state.answer.take());
        }
        let before = state.waker.replace(context.waker().clone());
        drop(state);
        drop(before);
        Poll::Pending
    }
}

impl<T> Drop for Waiting<T> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.given_up = true;
        let waker = state.waker.take();
        drop(state);
        drop(waker);
    }
}

/// A call that no thread made.
fn unmade<T>() -> Result<T> {
    Err(Error::new(
        ErrorKind::Closed,
        "this handle was closed before the call was made",
    ))
}

impl Shared {
    fn push(self: &Arc<Self>, job: Job) -> Result<()> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Error::closed());
        }
        if state.idle <= state.waiting.len() && state.threads < self.most {
            let shared = Arc::clone(self);
            let started = std::thread::Builder::new()
                .name("level-party-remote".into())
                .spawn(move || shared.work());
            match started {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    let what = format!("cannot start a thread: {error}");
                    return Err(Error::new(ErrorKind::Io, what).with_source(error));
                }
                // Those that there are do it.
                Err(_) => {}
            }
        }
        state.waiting.push_back(job);
        drop(state);
        self.rung.notify_one();
        Ok(())
    }

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
mod tests {
    use super::*;

    #[test]
    fn a_thread_makes_its_call_itself_and_a_task_has_it_made() {
        let workers = Workers::new(2);
        let here = std::thread::current().id();
        let who = || Ok(std::thread::current().id());
        let mut call = workers.call(Wait::Thread, who);
        let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Ok(id)) if id == here));
        let elsewhere = pollster::block_on(workers.call(Wait::Task, who)).unwrap();
        assert_ne!(elsewhere, here);
    }

    #[test]
    fn a_call_after_closing_or_that_panics_is_answered() {
        let workers = Workers::new(1);
        let panics = workers.call::<()>(Wait::Task, || panic!("on purpose"));
        let error = pollster::block_on(panics).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
        workers.close();
        let error = pollster::block_on(workers.call(Wait::Task, || Ok(()))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
    }
}
