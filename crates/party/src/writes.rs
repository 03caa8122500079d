//! Writes that take effect together, and the limits within which writes can be made.

use std::borrow::Cow;

use level_party_engine::{Op, WriteBatch as EngineBatch};

use crate::conditions::Conditions;
use crate::error::{Error, ErrorKind, Result};
use crate::view::{TakesEntry, TakesKey, View};

/// What one write may have, as [`Db::limits`](crate::Db::limits) gives it. More is refused with `InvalidArgument`, never split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteLimits {
    /// The longest key, in bytes.
    pub key_bytes: usize,
    /// The largest batch, in bytes of keys and values.
    pub batch_bytes: usize,
    /// The most operations of a batch.
    pub batch_len: usize,
}

impl WriteLimits {
    /// Those of a directory.
    pub(crate) const DIRECTORY: WriteLimits = WriteLimits {
        key_bytes: WriteBatch::MAX_KEY_BYTES,
        batch_bytes: WriteBatch::MAX_BYTES,
        batch_len: WriteBatch::MAX_LEN,
    };
}

/// Several writes that take effect together, as [`Db::write`](crate::Db::write) makes them: all or none, in their order.
///
/// It belongs to no database before it is written. Its keys are those of what it is written to: of a
/// [`Sublevel`](crate::Sublevel), say; [`put_in`](WriteBatch::put_in) and [`delete_in`](WriteBatch::delete_in) write to
/// other sublevels and through typed views. It may be written again, when that failed.
///
/// ```
/// use level_party::WriteBatch;
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path())?;
/// db.write(WriteBatch::new().put("a", "1").put("b", "2").delete("c").sync(true))?;
///
/// let mut batch = WriteBatch::new();
/// for n in 0..100 {
///     batch.put(format!("job/{n}"), "new");
/// }
/// db.write(&batch)?;
/// # Ok::<(), level_party::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct WriteBatch {
    batch: EngineBatch,
    /// The numbers of the operations that name whole keys, in their order.
    whole: Vec<u32>,
    sync: Option<bool>,
    /// The first operation that can never be written.
    problem: Option<Error>,
}

impl WriteBatch {
    /// The longest key, in bytes: 16 MiB. LevelDB has no limit below 4 GiB.
    pub const MAX_KEY_BYTES: usize = 16 << 20;
    /// The largest batch, in bytes: 64 MiB of keys, values and about 10 bytes an operation.
    pub const MAX_BYTES: usize = 64 << 20;
    /// The most operations of one batch. Each costs up to some 150 bytes beside its own while it is in memory, of which the
    /// members share 1 GiB at most for one batch.
    pub const MAX_LEN: usize = 1 << 22;

    /// A batch without operations.
    pub fn new() -> Self {
        WriteBatch::default()
    }

    /// Sets `key` to `value`.
    ///
    /// A batch over the limits is refused when it is written.
    #[doc(alias = "insert")]
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Self {
        self.add_put(key.as_ref(), value.as_ref());
        self
    }

    /// Removes `key`, if it is there.
    #[doc(alias = "remove")]
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> &mut Self {
        self.add_delete(key.as_ref());
        self
    }

    /// Sets `key` of `view` to `value`, whatever the batch is written to: a view is a [`Sublevel`](crate::Sublevel), a
    /// [`Typed`](crate::Typed) view, or a whole [`Db`](crate::Db).
    ///
    /// ```
    /// use level_party::{BigEndian, Readable, Utf8, WriteBatch};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// let users = db.sublevel("users")?;
    /// let by_year = db.sublevel("by-year")?.typed::<BigEndian<u16>, Utf8>();
    /// db.write(WriteBatch::new().put_in(&users, "ada", "1815").put_in(&by_year, &1815, "ada"))?;
    /// assert!(users.contains("ada")? && by_year.contains(&1815)?);
    /// # Ok::<(), level_party::Error>(())
    /// ```
    pub fn put_in<V, K, X>(&mut self, view: &V, key: K, value: X) -> &mut Self
    where
        V: View + TakesEntry<K, X>,
    {
        let encoded = view.with_entry(key, value, |key, value| {
            self.whole.push(self.batch.count());
            self.add_put(key, value);
        });
        self.check(encoded)
    }

    /// Removes `key` of `view`, whatever the batch is written to.
    pub fn delete_in<V, K>(&mut self, view: &V, key: K) -> &mut Self
    where
        V: View + TakesKey<K>,
    {
        let encoded = view.with_key(key, |key| {
            self.whole.push(self.batch.count());
            self.add_delete(key);
        });
        self.check(encoded)
    }

    /// Adds the operations of `other` behind its own. What `other` says of [`sync`](WriteBatch::sync) is not taken over.
    ///
    /// ```
    /// use level_party::WriteBatch;
    /// let mut batch = WriteBatch::new();
    /// batch.put("a", "1");
    /// batch.append(WriteBatch::new().put("b", "2").delete("a"));
    /// assert_eq!(batch.len(), 3);
    /// ```
    pub fn append(&mut self, other: &WriteBatch) -> &mut Self {
        let before = self.batch.count();
        let moved = other.whole.iter().map(|number| before + number);
        self.whole.extend(moved);
        self.batch.append(&other.batch);
        match &other.problem {
            Some(problem) => self.check(Err(problem.clone())),
            None => self,
        }
    }

    /// Its operations in their order: a key, and the value that it is set to, or `None` where it is removed. A key of
    /// [`put_in`](WriteBatch::put_in) or [`delete_in`](WriteBatch::delete_in) is the whole key in the database. An operation
    /// over the limits is not among them.
    ///
    /// ```
    /// use level_party::WriteBatch;
    /// let mut batch = WriteBatch::new();
    /// batch.put("a", "1").delete("b");
    /// let operations: Vec<_> = batch.iter().collect();
    /// assert_eq!(operations, [(&b"a"[..], Some(&b"1"[..])), (b"b", None)]);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.batch.iter().map(|op| match op {
            Op::Put { key, value } => (key, Some(value)),
            Op::Delete { key } => (key, None),
        })
    }

    /// Whether the batch is on stable storage before it is acknowledged, instead of what
    /// [`Options::sync`](crate::Options::sync) says.
    pub fn sync(&mut self, yes: bool) -> &mut Self {
        self.sync = Some(yes);
        self
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.batch.count() as usize
    }

    /// Whether there is no operation.
    pub fn is_empty(&self) -> bool {
        self.batch.count() == 0
    }

    /// How large it is, in bytes, of [`WriteBatch::MAX_BYTES`]; prefixes of sublevels may come to it.
    pub fn byte_size(&self) -> usize {
        self.batch.byte_size()
    }

    /// Removes all operations; keeps the memory, and what [`sync`](WriteBatch::sync) said.
    pub fn clear(&mut self) {
        self.batch.clear();
        self.whole.clear();
        self.problem = None;
    }

    fn add_put(&mut self, key: &[u8], value: &[u8]) {
        match check_entry(key, value) {
            Ok(()) => self.batch.put(key, value),
            Err(error) => self.refuse(error),
        }
    }

    fn add_delete(&mut self, key: &[u8]) {
        match check_key(key) {
            Ok(()) => self.batch.delete(key),
            Err(error) => self.refuse(error),
        }
    }

    fn check(&mut self, encoded: Result<()>) -> &mut Self {
        if let Err(error) = encoded {
            self.refuse(error);
        }
        self
    }

    fn refuse(&mut self, error: Error) {
        self.problem.get_or_insert(error);
    }

    /// Whether it says by itself if it is to be synced.
    pub(crate) fn syncs(&self) -> Option<bool> {
        self.sync
    }

    /// Its operations as those of whole keys, where it is written behind `prefix`.
    ///
    /// # Errors
    /// The first operation that can never be written.
    pub(crate) fn placed(&self, prefix: &[u8]) -> Result<Cow<'_, EngineBatch>> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        if prefix.is_empty() {
            return Ok(Cow::Borrowed(&self.batch));
        }
        let mut placed = EngineBatch::new();
        self.each(prefix, |key, value| {
            match value {
                Some(value) => placed.put(key, value),
                None => placed.delete(key),
            }
            Ok(())
        })?;
        Ok(Cow::Owned(placed))
    }

    /// Calls `take` with the whole key and the value of each operation; no value: a delete.
    ///
    /// # Errors
    /// The first operation that can never be written; what `take` fails with.
    pub(crate) fn each(
        &self,
        prefix: &[u8],
        mut take: impl FnMut(&[u8], Option<&[u8]>) -> Result<()>,
    ) -> Result<()> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        let mut whole = self.whole.iter().peekable();
        let mut placed = prefix.to_vec();
        for (number, op) in (0_u32..).zip(self.batch.iter()) {
            let mut key = op.key();
            if whole.next_if_eq(&&number).is_none() {
                placed.truncate(prefix.len());
                placed.extend_from_slice(key);
                key = &placed;
            }
            match op {
                Op::Put { value, .. } => take(key, Some(value))?,
                Op::Delete { .. } => take(key, None)?,
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for WriteBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriteBatch")
            .field("len", &self.len())
            .field("byte_size", &self.byte_size())
            .field("sync", &self.sync)
            .finish_non_exhaustive()
    }
}

/// The longest key, in bytes.
const MAX_KEY_BYTES: usize = WriteBatch::MAX_KEY_BYTES;
/// The largest write, in bytes.
const MAX_BATCH_BYTES: usize = WriteBatch::MAX_BYTES;
/// The most entries of one write.
const MAX_BATCH_ENTRIES: u32 = WriteBatch::MAX_LEN as u32;

/// Refuses a key over its limit, alike in both roles.
pub(crate) fn check_key(key: &[u8]) -> Result<()> {
    if key.len() <= MAX_KEY_BYTES {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        format!(
            "a key of {} bytes is over the limit of {MAX_KEY_BYTES}",
            key.len()
        ),
    ))
}

/// Refuses an entry that no batch can hold.
pub(crate) fn check_entry(key: &[u8], value: &[u8]) -> Result<()> {
    check_key(key)?;
    if value.len() <= MAX_BATCH_BYTES {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        format!(
            "a value of {} bytes is over the limit of {MAX_BATCH_BYTES}",
            value.len()
        ),
    ))
}

/// Refuses a batch that cannot travel.
pub(crate) fn check_batch(batch: &EngineBatch, conditions: &Conditions) -> Result<()> {
    let bytes = batch.byte_size() + conditions.bytes();
    if bytes > MAX_BATCH_BYTES {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("a write of {bytes} bytes is over the limit of {MAX_BATCH_BYTES}; split it"),
        ));
    }
    conditions.check_count()?;
    check_entries(batch.as_bytes())?;
    // No key is longer than the whole.
    match batch.byte_size() <= MAX_KEY_BYTES {
        true => Ok(()),
        false => batch.iter().try_for_each(|op| check_key(op.key())),
    }
}

/// Refuses a batch (in LevelDB's form: sequence u64, count u32, entries) that says it has too many entries.
pub(crate) fn check_entries(batch: &[u8]) -> Result<()> {
    let count = batch
        .get(8..12)
        .map_or(0, |n| u32::from_le_bytes(n.try_into().expect("four")));
    if count <= MAX_BATCH_ENTRIES {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        format!("a write of {count} entries is over the limit of {MAX_BATCH_ENTRIES}; split it"),
    ))
}
