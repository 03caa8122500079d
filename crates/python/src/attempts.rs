//! A transaction whose body is not a closure: its attempts one after another, for a `with` block or a function of Python's.
//!
//! The crate's transaction runs here as a future whose closure hands its transaction out and waits for a verdict. So retries,
//! deadline and conflicts are the crate's own, and dropping the future takes everything back.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use level_party::{AsyncTransaction, Error};
use level_party_locks::Mutex;

use crate::source::Place;

/// Where the two sides meet.
#[derive(Default)]
struct Desk {
    /// The transaction of the attempt that begins.
    begun: Option<AsyncTransaction>,
    /// The attempt is to commit.
    commit: bool,
}

type Run = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// The attempts of one transaction.
pub(crate) struct Attempts {
    desk: Arc<Mutex<Desk>>,
    /// None once it is over.
    run: Option<Run>,
    begun: bool,
}

/// Waits until the attempt is to commit. Nobody wakes it: whoever says so polls.
struct Verdict(Arc<Mutex<Desk>>);

impl Future for Verdict {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        match std::mem::take(&mut self.0.lock().commit) {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }
}

impl Attempts {
    pub fn new(place: Place) -> Self {
        let desk = Arc::<Mutex<Desk>>::default();
        let theirs = desk.clone();
        let body = async move |begun: AsyncTransaction| {
            theirs.lock().begun = Some(begun);
            Verdict(theirs.clone()).await
        };
        let run: Run = match place {
            Place::Db(db) => {
                let db = db.to_async();
                Box::pin(async move { db.transaction(body).await })
            }
            Place::Sublevel(sublevel) => {
                let sublevel = sublevel.to_async();
                Box::pin(async move { sublevel.transaction(body).await })
            }
        };
        Attempts {
            desk,
            run: Some(run),
            begun: false,
        }
    }

    /// Asks for the next attempt; one that is under way is to commit, so that a next one means that it conflicted.
    pub fn ask(&mut self) {
        self.desk.lock().commit = self.begun;
        self.begun = true;
    }

    /// The next attempt; `None`: the last one has committed.
    pub fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<AsyncTransaction>, Error>> {
        let Some(run) = &mut self.run else {
            return Poll::Ready(Ok(None));
        };
        match run.as_mut().poll(context) {
            Poll::Ready(ended) => {
                self.run = None;
                Poll::Ready(ended.map(|()| None))
            }
            Poll::Pending => match self.desk.lock().begun.take() {
                Some(begun) => Poll::Ready(Ok(Some(begun))),
                None => Poll::Pending,
            },
        }
    }

    pub fn has_begun(&self) -> bool {
        self.begun
    }
}
