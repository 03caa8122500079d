//! Waiting in a thread for what is made for tasks, such that Ctrl-C ends the wait.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::source::wait;

/// How often a thread that waits looks whether a signal came. Python's handlers run in its main thread, between two steps of
/// the interpreter: a wait without the interpreter has to give them their turn.
pub(crate) const SIGNALS: Duration = Duration::from_millis(100);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits until `future` is done, or till `until`: then `None`, and it may be waited for again.
///
/// # Errors
/// What a signal's handler raises: `KeyboardInterrupt`.
pub(crate) fn block_on<F: Future + Send + ?Sized>(
    py: Python<'_>,
    mut future: Pin<&mut F>,
    until: Option<Instant>,
) -> PyResult<Option<F::Output>>
where
    F::Output: Send,
{
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        let now = Instant::now();
        let left = until.map_or(SIGNALS, |until| until.saturating_duration_since(now));
        let polled = wait(py, || {
            let mut context = Context::from_waker(&waker);
            if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
                return Some(done);
            }
            thread::park_timeout(left.min(SIGNALS));
            match future.as_mut().poll(&mut context) {
                Poll::Ready(done) => Some(done),
                Poll::Pending => None,
            }
        });
        if polled.is_some() {
            return Ok(polled);
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return Ok(None);
        }
        py.check_signals()?;
    }
}

/// When a call that waits for so many seconds is to end; `None` waits for ever.
pub(crate) fn deadline(timeout: Option<f64>) -> PyResult<Option<Instant>> {
    let Some(timeout) = timeout else {
        return Ok(None);
    };
    let limit = crate::given::seconds(timeout)?;
    // A time that can't be told is as good as for ever.
    Ok(Instant::now().checked_add(limit))
}
