//! How a call is made: who waits for it, and how long.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

use crate::error::Result;

/// Whether a thread or a task waits for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The thread that polls it: the first poll blocks until the answer is there.
    Thread,
    /// A task: no poll blocks, and the task is woken. No particular runtime polls it.
    Task,
}

/// The limits of one call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// What waits for the answer.
    pub wait: Wait,
    /// When it is answered at the latest.
    pub deadline: Instant,
    /// Whether a read whose connection is lost is made again (else it ends with `ConnectionLost`). A write always finds out
    /// what became of it.
    pub retry: bool,
}

/// The answer to a call. The call begins with the first poll; dropped before the server was sent anything, it is taken back.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// Has the calling thread wait for a future, until `deadline`. `None`: it was not done by then, and is dropped.
///
/// For remotes whose answers come from threads of their own: with [`Wait::Thread`] they return
/// `Box::pin(async move { blocked_on(answer, deadline) ... })`.
pub fn blocked_on<T>(future: impl Future<Output = T>, deadline: Instant) -> Option<T> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        let left = deadline.checked_duration_since(Instant::now())?;
        std::thread::park_timeout(left);
    }
}
