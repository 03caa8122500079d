//! Work on a directory that nobody has open.

use std::future::Future;
use std::sync::Arc;
use std::task::{Poll, Waker};

use level_party::{Db, Error};
use level_party_locks::Mutex;
use serde::Serialize;

use crate::border::Call;
use crate::calls::database::json;
use crate::fault::Fault;
use crate::tasks::Made;

/// `destroy(path)`: what was removed, as JSON.
pub fn destroy(call: &Call<'_>) -> Made {
    let path = call.text(0)?;
    let work = elsewhere(move || Db::destroy(path))?;
    call.realm.tasks.start(report(work))
}

/// `repair(path)`: the report, as JSON.
pub fn repair(call: &Call<'_>) -> Made {
    let path = call.text(0)?;
    let work = elsewhere(move || Db::repair(path))?;
    call.realm.tasks.start(report(work))
}

async fn report<T: Serialize>(work: impl Future<Output = Result<T, Error>>) -> Made {
    json(&work.await?)
}

/// What a thread has made, and who waits for it.
struct Work<T> {
    made: Option<T>,
    waker: Option<Waker>,
}

/// Does `work` on a thread of its own.
///
/// # Errors
/// The system has no thread left.
fn elsewhere<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<impl Future<Output = T>, Fault> {
    let ours = Arc::new(Mutex::new(Work {
        made: None,
        waker: None,
    }));
    let theirs = Arc::clone(&ours);
    let started = std::thread::Builder::new()
        .name("level-party-care".into())
        .spawn(move || {
            let made = work();
            let mut work = theirs.lock();
            work.made = Some(made);
            if let Some(waker) = work.waker.take() {
                waker.wake();
            }
        });
    if started.is_err() {
        return Err(Fault::Misuse("the system has no thread left"));
    }
    Ok(std::future::poll_fn(move |context| {
        let mut work = ours.lock();
        match work.made.take() {
            Some(made) => Poll::Ready(made),
            None => {
                work.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }))
}
