//! Iterators over a range of keys at one moment, for threads.

use std::marker::PhantomData;
use std::task::Poll;

use crate::bounds::Bounds;
use crate::codec::Codec;
use crate::coding::{decode_entry, decode_key, decode_value, encode_key};
use crate::error::{Error, Result};
use crate::stored::End;
use crate::walk::Walk;

/// The entries of a range at one moment, in key order; made by [`Readable::range`](crate::Readable::range) and its kin.
///
/// Its items are entries, and after [`keys`](Range::keys) or [`values`](Range::values) only these. Of a
/// [`Typed`](crate::Typed) view they are decoded: `C` is then the pair of its codecs, and an entry that cannot be decoded
/// is an error in its place, after which the range goes on.
///
/// - It is double-ended: [`Iterator::rev`] walks it from the last key.
/// - It goes on at the same moment, whoever leads. Where that moment is gone it ends with
///   [`SnapshotLost`](crate::ErrorKind::SnapshotLost). After an error other than of decoding it ends.
/// - It keeps the database open.
/// - In a transaction it shows what the transaction wrote in its place, also what it writes ahead of the walk meanwhile.
///
/// ```
/// use level_party::{Readable, WriteBatch};
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path())?;
/// db.write(WriteBatch::new().put("a", "1").put("b", "2").put("c", "3"))?;
/// let keys = db.range("b"..).keys().rev().collect::<level_party::Result<Vec<_>>>()?;
/// assert_eq!(keys, [b"c", b"b"]);
/// # Ok::<(), level_party::Error>(())
/// ```
#[must_use = "a range reads nothing before it is walked"]
pub struct Range<T = (Vec<u8>, Vec<u8>), C = ()> {
    walk: Walk,
    take: Take<T>,
    /// A bound could not be encoded: this is the one thing it gives.
    problem: Option<Error>,
    codecs: PhantomData<fn() -> C>,
}

/// What an item is made of a key and a value.
pub(crate) type Take<T> = fn(&[u8], &[u8]) -> Result<T>;

/// What a range is made of whose bounds could not be encoded: it is empty, and gives this error first.
pub(crate) fn or_problem(bounds: Result<Bounds>) -> (Bounds, Option<Error>) {
    match bounds {
        Ok(bounds) => (bounds, None),
        Err(problem) => (Bounds::none(), Some(problem)),
    }
}

/// A whole entry.
pub(crate) fn entry(key: &[u8], value: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    Ok((key.to_vec(), value.to_vec()))
}

/// A key alone.
pub(crate) fn key(key: &[u8], _: &[u8]) -> Result<Vec<u8>> {
    Ok(key.to_vec())
}

/// A value alone.
pub(crate) fn value(_: &[u8], value: &[u8]) -> Result<Vec<u8>> {
    Ok(value.to_vec())
}

impl Range {
    /// The entries of `walk`, as they are.
    pub(crate) fn plain(walk: Walk) -> Self {
        Range {
            walk,
            take: entry,
            problem: None,
            codecs: PhantomData,
        }
    }

    /// The keys alone. Values are not read where they can be left out, nor copied.
    ///
    /// ```
    /// use level_party::{Readable, WriteBatch};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// db.write(WriteBatch::new().put("a", "1").put("b", "2"))?;
    /// let keys: Vec<Vec<u8>> = db.iter().keys().collect::<level_party::Result<_>>()?;
    /// assert_eq!(keys, [b"a", b"b"]);
    /// # Ok::<(), level_party::Error>(())
    /// ```
    pub fn keys(mut self) -> Range<Vec<u8>> {
        self.walk.only_keys();
        self.taking(key)
    }

    /// The values alone, in the order of their keys.
    pub fn values(self) -> Range<Vec<u8>> {
        self.taking(value)
    }
}

impl<K: Codec, V: Codec> Range<(K::Item, V::Item), (K, V)> {
    /// The entries of `walk`, decoded.
    pub(crate) fn typed(walk: Walk, problem: Option<Error>) -> Self {
        Range {
            walk,
            take: decode_entry::<K, V>,
            problem,
            codecs: PhantomData,
        }
    }

    /// The keys alone: values are neither read nor decoded.
    pub fn keys(mut self) -> Range<K::Item, (K, V)> {
        self.walk.only_keys();
        self.taking(|key, _| decode_key::<K>(key))
    }

    /// The values alone, in the order of their keys, which are not decoded.
    pub fn values(self) -> Range<V::Item, (K, V)> {
        self.taking(decode_value::<V>)
    }
}

impl<T, C> Range<T, C> {
    fn taking<U>(self, take: Take<U>) -> Range<U, C> {
        Range {
            walk: self.walk,
            take,
            problem: self.problem,
            codecs: PhantomData,
        }
    }

    /// At most `count` entries from here on, whichever end they are taken from. No more than these are fetched.
    ///
    /// Of several limits the smallest counts. Unlike with [`Iterator::take`] the other end stays where it is:
    /// `range.limit(2).rev()` are the last two.
    ///
    /// ```
    /// use level_party::{Readable, WriteBatch};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// db.write(WriteBatch::new().put("a", "1").put("b", "2").put("c", "3"))?;
    /// let last = db.iter().limit(2).rev().collect::<level_party::Result<Vec<_>>>()?;
    /// assert_eq!(last, [(b"c".to_vec(), b"3".to_vec()), (b"b".to_vec(), b"2".to_vec())]);
    /// # Ok::<(), level_party::Error>(())
    /// ```
    pub fn limit(mut self, count: u64) -> Self {
        self.walk.limit_to(count);
        self
    }

    fn step(&mut self, end: End) -> Option<Result<T>> {
        if let Some(problem) = self.problem.take() {
            return Some(Err(problem));
        }
        let taken = self.walk.step(end, self.take)?;
        Some(taken.and_then(|item| item))
    }
}

impl<T> Range<T> {
    /// What `read` makes of the next entry, whose key and value it is lent. After [`keys`](Range::keys) the value is empty.
    ///
    /// ```
    /// use level_party::{Readable, WriteBatch};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// db.write(WriteBatch::new().put("a", "1").put("b", "22"))?;
    /// let mut bytes = 0;
    /// let mut range = db.iter();
    /// while let Some(length) = range.next_with(|_key, value| value.len()).transpose()? {
    ///     bytes += length;
    /// }
    /// assert_eq!(bytes, 3);
    /// # Ok::<(), level_party::Error>(())
    /// ```
    pub fn next_with<R>(&mut self, read: impl FnMut(&[u8], &[u8]) -> R) -> Option<Result<R>> {
        self.walk.step(End::Front, read)
    }

    /// The same from the other end.
    pub fn next_back_with<R>(&mut self, read: impl FnMut(&[u8], &[u8]) -> R) -> Option<Result<R>> {
        self.walk.step(End::Back, read)
    }

    /// As [`next_with`](Range::next_with), if that waits for nothing and reads no more than a few entries: most were read
    /// ahead. `Pending`: the next step has more to do; nothing was begun, `read` was not called, and nobody is woken: `next_with`
    /// makes the step. It is for a thread that holds something which others want meanwhile, such as an interpreter's lock.
    ///
    /// ```
    /// use std::task::Poll;
    /// use level_party::Readable;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// db.put("a", "1")?;
    /// let mut range = db.iter();
    /// let first = match range.try_next_with(|key, _| key.to_vec()) {
    ///     Poll::Ready(first) => first,
    ///     Poll::Pending => range.next_with(|key, _| key.to_vec()),
    /// };
    /// assert_eq!(first.transpose()?.as_deref(), Some(&b"a"[..]));
    /// # Ok::<(), level_party::Error>(())
    /// ```
    pub fn try_next_with<R>(
        &mut self,
        read: impl FnOnce(&[u8], &[u8]) -> R,
    ) -> Poll<Option<Result<R>>> {
        self.walk.try_step(End::Front, read)
    }

    /// The same from the other end.
    pub fn try_next_back_with<R>(
        &mut self,
        read: impl FnOnce(&[u8], &[u8]) -> R,
    ) -> Poll<Option<Result<R>>> {
        self.walk.try_step(End::Back, read)
    }

    /// Moves the front: [`next`](Iterator::next) then gives the first entry whose key is `target` or after it.
    ///
    /// It may move forward or backward, at any time, and stays at the same moment and within the range: a target before
    /// the range means its first entry, and one after it (or after where the back stands) means that nothing is left.
    /// The back stays where it is. A limit goes on counting. After an error there is nothing to move.
    ///
    /// ```
    /// use level_party::{Readable, WriteBatch};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// db.write(WriteBatch::new().put("a", "1").put("c", "2").put("e", "3"))?;
    /// let mut range = db.iter();
    /// range.seek("b");
    /// assert_eq!(range.next().unwrap()?.0, b"c");
    /// range.seek("a");
    /// assert_eq!(range.next().unwrap()?.0, b"a");
    /// # Ok::<(), level_party::Error>(())
    /// ```
    pub fn seek(&mut self, target: impl AsRef<[u8]>) {
        self.walk.move_to(End::Front, target.as_ref());
    }

    /// Moves the back: [`next_back`](DoubleEndedIterator::next_back) then gives the last entry whose key is `target` or
    /// before it; as [`seek`](Range::seek) otherwise.
    pub fn seek_back(&mut self, target: impl AsRef<[u8]>) {
        self.walk.move_to(End::Back, target.as_ref());
    }
}

impl<T, K: Codec, V> Range<T, (K, V)> {
    /// Moves the front to `target`, or to the first key after it.
    ///
    /// # Errors
    /// `Encoding`: it stays where it was.
    pub fn seek(&mut self, target: &K::Given) -> Result<()> {
        self.walk.move_to(End::Front, &encode_key::<K>(target)?);
        Ok(())
    }

    /// Moves the back to `target`, or to the last key before it.
    ///
    /// # Errors
    /// `Encoding`: it stays where it was.
    pub fn seek_back(&mut self, target: &K::Given) -> Result<()> {
        self.walk.move_to(End::Back, &encode_key::<K>(target)?);
        Ok(())
    }
}

impl<T, C> Iterator for Range<T, C> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(End::Front)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let problem = usize::from(self.problem.is_some());
        let most = self.walk.most();
        (problem, most.and_then(|most| most.checked_add(problem)))
    }
}

impl<T, C> DoubleEndedIterator for Range<T, C> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(End::Back)
    }
}

impl<T, C> std::iter::FusedIterator for Range<T, C> {}

impl<T, C> std::fmt::Debug for Range<T, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Range")
            .field("bounds", &self.walk)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
