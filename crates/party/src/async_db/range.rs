//! Streams over a range of keys at one moment.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::error::Result;
use crate::limits::Wait;
use crate::range::{End, Range, owned, owned_key, owned_value};

/// Fetches what the next step at one end needs, and hands nothing out.
type Fetch = Pin<Box<dyn Future<Output = (Box<Range>, Result<()>)> + Send + Sync>>;

/// A range, and the fetch that a dropped step left under way: with it goes the range, until it is done.
enum State {
    Idle(Box<Range>),
    Fetching(Fetch),
    /// A step panicked.
    Broken,
}

impl State {
    fn new(range: Range) -> Self {
        State::Idle(Box::new(range))
    }

    /// Changes what the range does from its next step on. What is being fetched comes first.
    fn change(&mut self, change: impl FnOnce(&mut Range) + Send + Sync + 'static) {
        match std::mem::replace(self, State::Broken) {
            State::Idle(mut range) => {
                change(&mut range);
                *self = State::Idle(range);
            }
            State::Fetching(fetch) => {
                *self = State::Fetching(Box::pin(async move {
                    let (mut range, fetched) = fetch.await;
                    change(&mut range);
                    (range, fetched)
                }));
            }
            State::Broken => {}
        }
    }

    fn poll_step<T>(
        &mut self,
        end: End,
        context: &mut Context<'_>,
        take: impl Fn(&[u8], &[u8]) -> T,
    ) -> Poll<Option<Result<T>>> {
        loop {
            match std::mem::replace(self, State::Broken) {
                State::Idle(mut range) if range.has_to_ask(end) => {
                    let fetch = async move {
                        let fetched = range.ready(Wait::Task, end).await;
                        (range, fetched)
                    };
                    *self = State::Fetching(Box::pin(fetch));
                }
                State::Idle(mut range) => {
                    let taken = range.step(end, take);
                    *self = State::Idle(range);
                    return Poll::Ready(taken);
                }
                State::Fetching(mut fetch) => match fetch.as_mut().poll(context) {
                    Poll::Pending => {
                        *self = State::Fetching(fetch);
                        return Poll::Pending;
                    }
                    Poll::Ready((range, fetched)) => {
                        *self = State::Idle(range);
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

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            State::Idle(range) => range.fmt(f),
            State::Fetching(_) => f.write_str("(fetching)"),
            State::Broken => f.write_str("(broken)"),
        }
    }
}

macro_rules! stream {
    ($(#[$doc:meta])* $name:ident, $item:ty, $take:expr) => {
        $(#[$doc])*
        #[must_use = "a stream does nothing unless polled"]
        #[derive(Debug)]
        pub struct $name {
            state: State,
        }

        impl $name {
            /// As [`Range::limit`].
            pub fn limit(mut self, count: u64) -> Self {
                self.state.change(move |range| range.limit_to(count));
                self
            }

            /// As [`Range::seek`].
            pub fn seek(&mut self, target: impl AsRef<[u8]>) {
                let target = target.as_ref().to_vec();
                self.state.change(move |range| range.seek(target));
            }

            /// As [`Range::seek_back`].
            pub fn seek_back(&mut self, target: impl AsRef<[u8]>) {
                let target = target.as_ref().to_vec();
                self.state.change(move |range| range.seek_back(target));
            }

            /// The next one from the front.
            ///
            /// # Errors
            /// As an item of [`Range`].
            pub async fn next(&mut self) -> Option<Result<$item>> {
                std::future::poll_fn(|context| self.poll_step(End::Front, context)).await
            }

            /// The next one from the back.
            ///
            /// # Errors
            /// As an item of [`Range`].
            pub async fn next_back(&mut self) -> Option<Result<$item>> {
                std::future::poll_fn(|context| self.poll_step(End::Back, context)).await
            }

            pub(crate) fn poll_step(
                &mut self,
                end: End,
                context: &mut Context<'_>,
            ) -> Poll<Option<Result<$item>>> {
                self.state.poll_step(end, context, $take)
            }
        }

        impl Stream for $name {
            type Item = Result<$item>;

            fn poll_next(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<Option<Self::Item>> {
                self.get_mut().poll_step(End::Front, context)
            }
        }
    };
}

stream! {
    /// The entries of a range at one moment, in key order; made by [`AsyncDb::range`](crate::AsyncDb::range) and its kin.
    ///
    /// It is a [`Stream`], and can be walked from both ends without one: [`AsyncRange::next`] and
    /// [`AsyncRange::next_back`]. A step that is dropped before its end loses no entry: the next one goes on with it.
    /// After an error it ends, or goes on, as [`Range`].
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
    /// # pollster::block_on(async {
    /// db.batch().put("a", "1").put("b", "2").put("c", "3").write().await?;
    /// let mut entries = db.range("a"..);
    /// assert_eq!(entries.next_back().await.transpose()?.unwrap().0, b"c");
    /// entries.seek("b");
    /// assert_eq!(entries.next().await.transpose()?.unwrap().0, b"b");
    /// assert!(entries.next().await.is_none());
    /// # Ok::<(), level_party::Error>(())
    /// # }).unwrap();
    /// ```
    AsyncRange, (Vec<u8>, Vec<u8>), owned
}

stream! {
    /// The keys of an [`AsyncRange`]; made by [`AsyncRange::keys`].
    AsyncKeys, Vec<u8>, owned_key
}

stream! {
    /// The values of an [`AsyncRange`]; made by [`AsyncRange::values`].
    AsyncValues, Vec<u8>, owned_value
}

impl AsyncRange {
    pub(crate) fn new(range: Range) -> Self {
        AsyncRange {
            state: State::new(range),
        }
    }

    /// The keys alone. Values are not even read where they can be left out.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
    /// # pollster::block_on(async {
    /// db.batch().put("a", "1").put("b", "2").write().await?;
    /// let mut keys = db.iter().keys().limit(1);
    /// assert_eq!(keys.next().await.transpose()?, Some(b"a".to_vec()));
    /// assert_eq!(keys.next().await.transpose()?, None);
    /// # Ok::<(), level_party::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn keys(self) -> AsyncKeys {
        let mut state = self.state;
        state.change(Range::only_keys);
        AsyncKeys { state }
    }

    /// The values alone, in the order of their keys.
    pub fn values(self) -> AsyncValues {
        AsyncValues { state: self.state }
    }
}
