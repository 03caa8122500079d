//! Streams over a range of keys at one moment.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::codec::Codec;
use crate::coding::{decode_entry, decode_key, decode_value, encode_key};
use crate::error::{Error, Result};
use crate::limits::Wait;
use crate::range::{Take, entry, key, value};
use crate::stored::End;
use crate::walk::Walk;

/// Fetches what the next step at one end needs, and hands nothing out.
type Fetch = Pin<Box<dyn Future<Output = (Box<Walk>, Result<()>)> + Send + Sync>>;

/// A walk, and the fetch that a dropped step left under way: with it goes the walk, until it is done.
enum State {
    Idle(Box<Walk>),
    Fetching(Fetch),
    /// A step panicked.
    Broken,
}

impl State {
    /// Changes what the walk does from its next step on. What is being fetched comes first.
    fn change(&mut self, change: impl FnOnce(&mut Walk) + Send + Sync + 'static) {
        match std::mem::replace(self, State::Broken) {
            State::Idle(mut walk) => {
                change(&mut walk);
                *self = State::Idle(walk);
            }
            State::Fetching(fetch) => {
                *self = State::Fetching(Box::pin(async move {
                    let (mut walk, fetched) = fetch.await;
                    change(&mut walk);
                    (walk, fetched)
                }));
            }
            State::Broken => {}
        }
    }

    fn poll_step<T>(
        &mut self,
        end: End,
        context: &mut Context<'_>,
        take: Take<T>,
    ) -> Poll<Option<Result<T>>> {
        loop {
            match std::mem::replace(self, State::Broken) {
                State::Idle(mut walk) => {
                    if let Poll::Ready(taken) = walk.try_step(end, take) {
                        *self = State::Idle(walk);
                        return Poll::Ready(taken.map(|item| item.and_then(|item| item)));
                    }
                    let fetch = async move {
                        let fetched = walk.ready(Wait::Task, end).await;
                        (walk, fetched)
                    };
                    *self = State::Fetching(Box::pin(fetch));
                }
                State::Fetching(mut fetch) => match fetch.as_mut().poll(context) {
                    Poll::Pending => {
                        *self = State::Fetching(fetch);
                        return Poll::Pending;
                    }
                    Poll::Ready((walk, fetched)) => {
                        *self = State::Idle(walk);
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
            State::Idle(walk) => walk.fmt(f),
            State::Fetching(_) => f.write_str("(fetching)"),
            State::Broken => f.write_str("(broken)"),
        }
    }
}

/// The entries of a range at one moment, in key order, for tasks; made by
/// [`AsyncReadable::range`](crate::AsyncReadable::range) and its kin.
///
/// Its items are entries, and after [`keys`](AsyncRange::keys) or [`values`](AsyncRange::values) only these. Of an
/// [`AsyncTyped`](crate::AsyncTyped) view they are decoded: `C` is then the pair of its codecs, and an entry that cannot be
/// decoded is an error in its place, after which the range goes on.
///
/// - It is a [`Stream`], and can be walked from both ends without one: by [`next`](AsyncRange::next) and
///   [`next_back`](AsyncRange::next_back). A step that is dropped before its end loses no entry: the next one goes on
///   with it.
/// - It goes on at the same moment, whoever leads. Where that moment is gone it ends with
///   [`SnapshotLost`](crate::ErrorKind::SnapshotLost). After an error other than of decoding it ends.
/// - It keeps the database open.
/// - In a transaction it shows what the transaction wrote in its place, also what it writes ahead of the walk meanwhile.
///
/// ```
/// use level_party::{AsyncReadable, WriteBatch};
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
/// # pollster::block_on(async {
/// db.write(WriteBatch::new().put("a", "1").put("b", "2").put("c", "3")).await?;
/// let mut entries = db.range("a"..);
/// assert_eq!(entries.next_back().await.transpose()?.unwrap().0, b"c");
/// entries.seek("b");
/// assert_eq!(entries.next().await.transpose()?.unwrap().0, b"b");
/// assert!(entries.next().await.is_none());
/// # Ok::<(), level_party::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "a stream does nothing unless polled"]
pub struct AsyncRange<T = (Vec<u8>, Vec<u8>), C = ()> {
    state: State,
    take: Take<T>,
    /// A bound could not be encoded: this is the one thing it gives.
    problem: Option<Error>,
    codecs: PhantomData<fn() -> C>,
}

impl AsyncRange {
    /// The entries of `walk`, as they are.
    pub(crate) fn plain(walk: Walk) -> Self {
        AsyncRange {
            state: State::Idle(Box::new(walk)),
            take: entry,
            problem: None,
            codecs: PhantomData,
        }
    }

    /// The keys alone. Values are not read where they can be left out, nor copied.
    ///
    /// ```
    /// use level_party::{AsyncReadable, WriteBatch};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
    /// # pollster::block_on(async {
    /// db.write(WriteBatch::new().put("a", "1").put("b", "2")).await?;
    /// let mut keys = db.iter().keys().limit(1);
    /// assert_eq!(keys.next().await.transpose()?, Some(b"a".to_vec()));
    /// assert_eq!(keys.next().await.transpose()?, None);
    /// # Ok::<(), level_party::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn keys(mut self) -> AsyncRange<Vec<u8>> {
        self.state.change(Walk::only_keys);
        self.taking(key)
    }

    /// The values alone, in the order of their keys.
    pub fn values(self) -> AsyncRange<Vec<u8>> {
        self.taking(value)
    }
}

impl<K: Codec, V: Codec> AsyncRange<(K::Item, V::Item), (K, V)> {
    /// The entries of `walk`, decoded.
    pub(crate) fn typed(walk: Walk, problem: Option<Error>) -> Self {
        AsyncRange {
            state: State::Idle(Box::new(walk)),
            take: decode_entry::<K, V>,
            problem,
            codecs: PhantomData,
        }
    }

    /// The keys alone: values are neither read nor decoded.
    pub fn keys(mut self) -> AsyncRange<K::Item, (K, V)> {
        self.state.change(Walk::only_keys);
        self.taking(|key, _| decode_key::<K>(key))
    }

    /// The values alone, in the order of their keys, which are not decoded.
    pub fn values(self) -> AsyncRange<V::Item, (K, V)> {
        self.taking(decode_value::<V>)
    }
}

impl<T, C> AsyncRange<T, C> {
    fn taking<U>(self, take: Take<U>) -> AsyncRange<U, C> {
        AsyncRange {
            state: self.state,
            take,
            problem: self.problem,
            codecs: PhantomData,
        }
    }

    /// At most `count` items from here on, whichever end they are taken from. No more than these are fetched. Of several
    /// limits the smallest counts.
    pub fn limit(mut self, count: u64) -> Self {
        self.state.change(move |walk| walk.limit_to(count));
        self
    }

    /// The next item from the front. `None`: there is none.
    ///
    /// # Errors
    /// [Those of every read](crate::Readable#errors); `Encoding`, after which the range goes on.
    pub async fn next(&mut self) -> Option<Result<T>> {
        std::future::poll_fn(|context| self.poll_step(End::Front, context)).await
    }

    /// The next item from the back. `None`: there is none.
    ///
    /// # Errors
    /// [Those of every read](crate::Readable#errors); `Encoding`, after which the range goes on.
    pub async fn next_back(&mut self) -> Option<Result<T>> {
        std::future::poll_fn(|context| self.poll_step(End::Back, context)).await
    }

    fn move_to(&mut self, end: End, target: Vec<u8>) {
        self.state.change(move |walk| walk.move_to(end, &target));
    }

    fn poll_step(&mut self, end: End, context: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        match self.problem.take() {
            Some(problem) => Poll::Ready(Some(Err(problem))),
            None => self.state.poll_step(end, context, self.take),
        }
    }
}

impl<T> AsyncRange<T> {
    /// Moves the front: [`next`](AsyncRange::next) then gives the first item whose key is `target` or after it.
    ///
    /// It may move forward or backward, at any time, and stays at the same moment and within the range: a target before
    /// the range means its first item, and one after it (or after where the back stands) means that nothing is left. The
    /// back stays where it is. A limit goes on counting. After an error there is nothing to move.
    pub fn seek(&mut self, target: impl AsRef<[u8]>) {
        self.move_to(End::Front, target.as_ref().to_vec());
    }

    /// Moves the back: [`next_back`](AsyncRange::next_back) then gives the last item whose key is `target` or before it;
    /// as [`seek`](AsyncRange::seek) otherwise.
    pub fn seek_back(&mut self, target: impl AsRef<[u8]>) {
        self.move_to(End::Back, target.as_ref().to_vec());
    }
}

impl<T, K: Codec, V> AsyncRange<T, (K, V)> {
    /// Moves the front to `target`, or to the first key after it.
    ///
    /// # Errors
    /// `Encoding`: it stays where it was.
    pub fn seek(&mut self, target: &K::Given) -> Result<()> {
        let target = encode_key::<K>(target)?.into_owned();
        self.move_to(End::Front, target);
        Ok(())
    }

    /// Moves the back to `target`, or to the last key before it.
    ///
    /// # Errors
    /// `Encoding`: it stays where it was.
    pub fn seek_back(&mut self, target: &K::Given) -> Result<()> {
        let target = encode_key::<K>(target)?.into_owned();
        self.move_to(End::Back, target);
        Ok(())
    }
}

impl<T, C> Stream for AsyncRange<T, C> {
    type Item = Result<T>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_step(End::Front, context)
    }
}

impl<T, C> std::fmt::Debug for AsyncRange<T, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AsyncRange")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
