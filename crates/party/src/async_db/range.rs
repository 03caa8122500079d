//! Streams over a range of keys at one moment.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::error::Result;
use crate::range::{End, Range};
use crate::session::Wait;

type Entry = (Vec<u8>, Vec<u8>);
/// Fetches what the next step at one end needs, and hands nothing out.
type Fetch = Pin<Box<dyn Future<Output = (Box<Range>, Result<()>)> + Send + Sync>>;

/// The entries of a range at one moment, in key order; made by [`AsyncDb::range`](crate::AsyncDb::range) and its kin.
///
/// It is a [`Stream`], and can be walked from both ends without one: [`AsyncRange::next`] and [`AsyncRange::next_back`].
/// A step that is dropped before its end loses no entry: the next one goes on with it. After an error it ends.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
/// # pollster::block_on(async {
/// db.batch().put("a", "1").put("b", "2").write().await?;
/// let mut entries = db.range("a"..);
/// assert_eq!(entries.next_back().await.transpose()?.unwrap().0, b"b");
/// assert_eq!(entries.next().await.transpose()?.unwrap().0, b"a");
/// assert!(entries.next().await.is_none());
/// # Ok::<(), level_party::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "a stream does nothing unless polled"]
pub struct AsyncRange {
    state: State,
}

enum State {
    Idle(Box<Range>),
    Fetching(Fetch),
    /// A step panicked.
    Broken,
}

impl AsyncRange {
    pub(crate) fn new(range: Range) -> Self {
        AsyncRange {
            state: State::Idle(Box::new(range)),
        }
    }

    /// The next entry from the front.
    ///
    /// # Errors
    /// As an item of [`Range`].
    pub async fn next(&mut self) -> Option<Result<(Vec<u8>, Vec<u8>)>> {
        std::future::poll_fn(|context| self.poll_step(End::Front, context)).await
    }

    /// The next entry from the back.
    ///
    /// # Errors
    /// As an item of [`Range`].
    pub async fn next_back(&mut self) -> Option<Result<(Vec<u8>, Vec<u8>)>> {
        std::future::poll_fn(|context| self.poll_step(End::Back, context)).await
    }

    fn poll_step(&mut self, end: End, context: &mut Context<'_>) -> Poll<Option<Result<Entry>>> {
        loop {
            match std::mem::replace(&mut self.state, State::Broken) {
                State::Idle(mut range) if range.has_to_ask(end) => {
                    let fetch = async move {
                        let fetched = range.ready(Wait::Task, end).await;
                        (range, fetched)
                    };
                    self.state = State::Fetching(Box::pin(fetch));
                }
                State::Idle(mut range) => {
                    let entry = match end {
                        End::Front => range.next(),
                        End::Back => range.next_back(),
                    };
                    self.state = State::Idle(range);
                    return Poll::Ready(entry);
                }
                State::Fetching(mut fetch) => match fetch.as_mut().poll(context) {
                    Poll::Pending => {
                        self.state = State::Fetching(fetch);
                        return Poll::Pending;
                    }
                    Poll::Ready((range, fetched)) => {
                        self.state = State::Idle(range);
                        if let Err(error) = fetched {
                            return Poll::Ready(Some(Err(error)));
                        }
                    }
                },
                State::Broken => return Poll::Ready(None),
            }
        }
    }
}

impl Stream for AsyncRange {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(self.get_mut().poll_step(End::Front, context));
        Poll::Ready(item)
    }
}
