//! The two ends of a call: the thread's, and the task's.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use level_party_locks::Mutex;

/// What a task and the thread that works for it share.
struct Ticket<T> {
    given_up: bool,
    answer: Option<T>,
    /// No answer comes any more but the one that is there.
    over: bool,
    waker: Option<Waker>,
}

pub(crate) fn ends<T>() -> (Making<T>, Made<T>) {
    let ticket = Arc::new(Mutex::new(Ticket {
        given_up: false,
        answer: None,
        over: false,
        waker: None,
    }));
    (Making(Arc::clone(&ticket)), Made(ticket))
}

/// The thread's end; dropped, also by a panic or unmade, it tells the task.
pub(crate) struct Making<T>(Arc<Mutex<Ticket<T>>>);

impl<T> Making<T> {
    pub fn make(self, call: impl FnOnce() -> T) {
        if !self.0.lock().given_up {
            let answer = call();
            self.0.lock().answer = Some(answer);
        }
    }
}

impl<T> Drop for Making<T> {
    fn drop(&mut self) {
        let mut ticket = self.0.lock();
        ticket.over = true;
        let waker = ticket.waker.take();
        drop(ticket);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The task's end of a call: what it gave. `None`: it panicked, or the workers were closed before it was made.
///
/// Dropped, it gives the call up, unless that was begun.
#[must_use = "a call whose end is dropped is given up"]
pub struct Made<T>(Arc<Mutex<Ticket<T>>>);

impl<T> Future for Made<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let waker = context.waker().clone();
        let mut ticket = self.0.lock();
        if ticket.over {
            let answer = ticket.answer.take();
            drop(ticket);
            return Poll::Ready(answer);
        }
        let before = ticket.waker.replace(waker);
        drop(ticket);
        drop(before);
        Poll::Pending
    }
}

impl<T> Drop for Made<T> {
    fn drop(&mut self) {
        let mut ticket = self.0.lock();
        ticket.given_up = true;
        let unread = (ticket.answer.take(), ticket.waker.take());
        drop(ticket);
        drop(unread);
    }
}
