//! One thread that drives a remote's connections, so that its callers need no runtime.
//!
//! A caller waits for an answer by a channel that knows no runtime either. Must not know: what is asked.

use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::call::{Call, Wait, blocked_on};
use crate::error::{Error, ErrorKind, Result};

/// What is done ends by its caller's deadline; a caller waits so much longer to be told why.
const GRACE: Duration = Duration::from_millis(500);

/// The thread. Dropping it has it end, with all that it was doing.
pub struct Runtime {
    handle: Handle,
    /// Dropped, it ends the thread.
    _end: oneshot::Sender<()>,
}

impl Runtime {
    /// # Errors
    /// The system has no thread or descriptor left.
    pub fn start() -> Result<Self> {
        let failed = |error: std::io::Error| {
            let what = format!("cannot start the thread for etcd: {error}");
            Error::new(ErrorKind::Io, what).with_source(error)
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("level-party-etcd".into())
            .spawn(move || {
                // Its sender is dropped, never used.
                let _ = runtime.block_on(ended);
                runtime.shutdown_background();
            })
            .map_err(failed)?;
        Ok(Runtime { handle, _end: end })
    }

    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// Has `work` done by the thread of `runtime`, which ends it by the call's deadline. Dropped, the work is given up.
pub async fn ask<T: Send + 'static>(
    runtime: &Handle,
    call: Call,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let (tell, told) = oneshot::channel();
    let task = runtime.spawn(async move {
        // Nobody hears it where the caller has gone.
        let _ = tell.send(work.await);
    });
    let _given_up = Abort(task.abort_handle());
    let told = match call.wait {
        Wait::Thread => blocked_on(told, call.deadline + GRACE),
        Wait::Task => Some(told.await),
    };
    match told {
        Some(Ok(answer)) => answer,
        Some(Err(_)) => Err(Error::closed()),
        None => Err(late("etcd's thread is busy")),
    }
}

/// Waits for what another task tells. At the deadline `give_up` says whether it is too late; if not, the answer has a little
/// time more, since who tells it has the same deadline. `None`: it was not told.
pub async fn told_by<T: Send + 'static>(
    runtime: &Handle,
    call: Call,
    mut told: oneshot::Receiver<T>,
    give_up: impl FnOnce() -> bool + Send + 'static,
) -> Option<T> {
    match call.wait {
        Wait::Thread => match blocked_on(&mut told, call.deadline) {
            Some(told) => told.ok(),
            None if give_up() => None,
            None => blocked_on(told, call.deadline + GRACE)?.ok(),
        },
        Wait::Task => {
            // The runtime has the clock that the caller's may lack.
            let (tell, passed_on) = oneshot::channel();
            let task = runtime.spawn(async move {
                let value = match until(call.deadline, &mut told).await {
                    Ok(told) => told.ok(),
                    Err(_) if give_up() => None,
                    Err(_) => until(call.deadline + GRACE, told)
                        .await
                        .ok()
                        .and_then(std::result::Result::ok),
                };
                // Nobody hears it where the caller has gone.
                let _ = tell.send(value);
            });
            let _given_up = Abort(task.abort_handle());
            passed_on.await.ok().flatten()
        }
    }
}

/// `work`, until a deadline.
pub async fn until<T>(
    deadline: Instant,
    work: impl Future<Output = T>,
) -> std::result::Result<T, tokio::time::error::Elapsed> {
    tokio::time::timeout_at(deadline.into(), work).await
}

/// A call was not done in time, and had no effect.
pub fn late(why: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Timeout,
        format!("etcd did not answer by the deadline: {why}"),
    )
}

struct Abort(AbortHandle);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}
