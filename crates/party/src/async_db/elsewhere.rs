//! Work that blocks, for a task: it has a thread of its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use level_party_locks::Mutex;

use crate::error::{Error, Result};

/// The outcome of what another thread does.
pub(crate) struct Elsewhere<T> {
    shared: Arc<Mutex<Outcome<T>>>,
}

struct Outcome<T> {
    result: Option<Result<T>>,
    waker: Option<Waker>,
}

impl<T: Send + 'static> Elsewhere<T> {
    pub fn start(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<Self> {
        let shared = Arc::new(Mutex::new(Outcome {
            result: None,
            waker: None,
        }));
        let theirs = shared.clone();
        std::thread::Builder::new()
            .name("level-party-async".into())
            .spawn(move || {
                let result = work();
                let waker = {
                    let mut outcome = theirs.lock();
                    outcome.result = Some(result);
                    outcome.waker.take()
                };
                if let Some(waker) = waker {
                    waker.wake();
                }
            })
            .map_err(|error| Error::io("cannot start a thread", error))?;
        Ok(Elsewhere { shared })
    }
}

impl<T> Future for Elsewhere<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut outcome = self.shared.lock();
        match outcome.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                outcome.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
