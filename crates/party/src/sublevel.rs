//! Sublevels: parts of a database with keys of their own, laid out as npm's `abstract-level` lays them out.
//!
//! A sublevel `name` owns the keys that begin with `!name!`; one inside it those that begin with `!name!!inner!`. A name
//! has no character up to `"` (the one after the separator), so `!name"` comes after every key of the sublevel and
//! before those of any other whose name begins alike: sublevels never overlap, but for those inside each other. A parent
//! sees the entries of its sublevels as its own, their keys with the prefix: so does Node.
//!
//! In one thing we are stricter than `abstract-level` 3: there the upper bound of a range is `!name"` itself, inclusive,
//! so that a foreign key of exactly these bytes is shown, and cleared, as if it were the sublevel's empty key. Here it is
//! nobody's.

use std::sync::Arc;

use crate::async_db::AsyncDb;
use crate::batch::Batch;
use crate::bounds::{Bounds, KeyRange};
use crate::codec::Codec;
use crate::db::Db;
use crate::error::{Error, ErrorKind, Result};
use crate::range::Range;
use crate::snapshot::Snapshot;
use crate::space::Space;
use crate::transaction::{self, Transaction};
use crate::typed::Typed;
use crate::watch::{Watch, WatchFrom};
use crate::writes::{WriteBatch, WriteOptions};

/// A part of a database with keys of its own; made by [`Db::sublevel`].
///
/// Every call means what the call of the same name means on [`Db`], for the keys of this sublevel alone, seen without
/// their prefix. Clones are cheap. It is a clone of the handle it was made of: the database is left when the last is
/// dropped.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path())?;
/// let users = db.sublevel("users")?;
/// let ada = users.sublevel("ada")?; // they nest
/// users.put("ada", "Lovelace")?;
/// ada.put("born", "1815")?;
/// assert_eq!(users.get("ada")?.as_deref(), Some(&b"Lovelace"[..]));
/// assert_eq!(ada.iter().keys().collect::<level_party::Result<Vec<_>>>()?, [b"born"]);
/// assert_eq!(ada.prefix_bytes(), b"!users!!ada!");
/// # Ok::<(), level_party::Error>(())
/// ```
#[derive(Clone)]
pub struct Sublevel {
    db: Db,
    prefix: Arc<[u8]>,
}

impl Sublevel {
    pub(crate) fn of(db: &Db, parent: &[u8], name: &str, separator: char) -> Result<Self> {
        Ok(Sublevel {
            prefix: prefix(parent, name, separator)?,
            db: db.clone(),
        })
    }

    /// All keys of the database, for a typed view of it.
    pub(crate) fn whole(db: &Db) -> Self {
        Sublevel::behind(db.clone(), db.handle().no_prefix.clone())
    }

    /// All keys that begin with `prefix`.
    pub(crate) fn behind(db: Db, prefix: Arc<[u8]>) -> Self {
        Sublevel { db, prefix }
    }

    pub(crate) fn space(&self) -> Space<'_> {
        Space {
            handle: self.db.handle(),
            prefix: &self.prefix,
            at: None,
        }
    }

    /// The same sublevel for tasks; as [`Db::to_async`].
    pub fn to_async(&self) -> AsyncDb {
        AsyncDb::new(self.db.clone(), self.prefix.clone())
    }

    /// The database it is a part of.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// What its keys begin with in the database.
    pub fn prefix_bytes(&self) -> &[u8] {
        &self.prefix
    }

    /// A sublevel inside this one; as [`Db::sublevel`].
    ///
    /// # Errors
    /// `InvalidArgument`: as [`Db::sublevel`].
    pub fn sublevel(&self, name: &str) -> Result<Sublevel> {
        Sublevel::of(&self.db, &self.prefix, name, '!')
    }

    /// A sublevel inside this one; as [`Db::sublevel_with`].
    ///
    /// # Errors
    /// `InvalidArgument`: as [`Db::sublevel_with`].
    pub fn sublevel_with(&self, name: &str, separator: char) -> Result<Sublevel> {
        Sublevel::of(&self.db, &self.prefix, name, separator)
    }

    /// The same keys and values with types; as [`Db::typed`].
    pub fn typed<K: Codec, V: Codec>(&self) -> Typed<K, V> {
        Typed::new(self.clone())
    }

    /// As [`Db::get`].
    ///
    /// # Errors
    /// As [`Db::get`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        self.space().get(key.as_ref())
    }

    /// As [`Db::contains`].
    ///
    /// # Errors
    /// As [`Db::get`].
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.space().contains(key.as_ref())
    }

    /// As [`Db::get_many`].
    ///
    /// # Errors
    /// As [`Db::get`].
    pub fn get_many<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        self.space().get_many(keys)
    }

    /// As [`Db::put`].
    ///
    /// # Errors
    /// As [`Db::write`].
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        self.batch().put(key, value).write()
    }

    /// As [`Db::delete`].
    ///
    /// # Errors
    /// As [`Db::write`].
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<()> {
        self.batch().delete(key).write()
    }

    /// As [`Db::batch`]; [`Batch::put_in`] adds writes to other sublevels.
    pub fn batch(&self) -> Batch<'_> {
        Batch::new(self.space())
    }

    /// As [`Db::write`], the batch's keys being this sublevel's.
    ///
    /// # Errors
    /// As [`Db::write`].
    pub fn write(&self, batch: &WriteBatch, options: WriteOptions) -> Result<()> {
        let batch = self.space().batch(batch);
        self.db.handle().write(batch, options.sync).map(drop)
    }

    /// As [`Db::compare_and_swap`].
    ///
    /// # Errors
    /// As [`Db::transaction`].
    pub fn compare_and_swap(
        &self,
        key: impl AsRef<[u8]>,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<bool> {
        transaction::compare_and_swap(self.space(), key.as_ref(), expected, new)
    }

    /// As [`Db::transaction`], its keys being this sublevel's; [`Transaction::of`] reaches others.
    ///
    /// # Errors
    /// As [`Db::transaction`].
    pub fn transaction<T, E: From<Error>>(
        &self,
        body: impl FnMut(&mut Transaction<'_>) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        transaction::run(self.space(), body)
    }

    /// As [`Db::range`].
    pub fn range(&self, bounds: impl KeyRange) -> Range {
        self.space().range(bounds.into_bounds())
    }

    /// All entries, in key order: also those of the sublevels inside it, with what their keys begin with.
    pub fn iter(&self) -> Range {
        self.space().range(Bounds::all())
    }

    /// As [`Db::prefix`].
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range {
        self.space().range(Bounds::prefix(prefix.as_ref()))
    }

    /// As [`Db::clear`]: also what is in the sublevels inside it, where their keys lie in `bounds`.
    ///
    /// # Errors
    /// As [`Db::clear`].
    pub fn clear(&self, bounds: impl KeyRange) -> Result<u64> {
        self.space().clear(bounds.into_bounds())
    }

    /// As [`Db::snapshot`]: it shows this sublevel's keys, and by [`Snapshot::of`] those of any other.
    ///
    /// # Errors
    /// As [`Db::get`].
    pub fn snapshot(&self) -> Result<Snapshot> {
        Snapshot::take(self.space())
    }

    /// As [`Db::watch`], of this sublevel's keys, which the changes show without their prefix. Positions are those of the
    /// whole database.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// use level_party::{WatchFrom, WatchItem};
    /// let users = db.sublevel("users")?;
    /// let mut watch = users.watch(.., WatchFrom::Now)?;
    /// db.put("elsewhere", "1")?;
    /// users.put("ada", "1815")?;
    /// let WatchItem::Change(change) = watch.next().unwrap()? else { panic!("nothing is missing") };
    /// assert_eq!(change.key, b"ada");
    /// # Ok::<(), level_party::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Db::watch`].
    pub fn watch(&self, bounds: impl KeyRange, from: impl Into<WatchFrom>) -> Result<Watch> {
        Watch::begin(self.space(), bounds.into_bounds(), from.into())
    }

    /// As [`Sublevel::watch`], of the keys that begin with `prefix`.
    ///
    /// # Errors
    /// As [`Db::watch`].
    pub fn watch_prefix(
        &self,
        prefix: impl AsRef<[u8]>,
        from: impl Into<WatchFrom>,
    ) -> Result<Watch> {
        Watch::begin(self.space(), Bounds::prefix(prefix.as_ref()), from.into())
    }

    /// As [`Db::compact_range`].
    ///
    /// # Errors
    /// As [`Db::compact_range`].
    pub fn compact_range(&self, bounds: impl KeyRange) -> Result<()> {
        let bounds = bounds.into_bounds().within(&self.prefix);
        self.db.handle().compact_range(&bounds)
    }

    /// As [`Db::approximate_size`].
    ///
    /// # Errors
    /// As [`Db::get`].
    pub fn approximate_size(&self, bounds: impl KeyRange) -> Result<u64> {
        self.space().approximate_size(bounds.into_bounds())
    }
}

impl std::fmt::Debug for Sublevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sublevel")
            .field("prefix", &String::from_utf8_lossy(&self.prefix))
            .field("db", &self.db)
            .finish()
    }
}

/// What the keys of the sublevel `name` below `parent` begin with.
pub(crate) fn prefix(parent: &[u8], name: &str, separator: char) -> Result<Arc<[u8]>> {
    let name = name.trim_matches(separator);
    // One character between the separator and those of names is the upper bound of the sublevel's keys.
    let reserved = separator as u32 + 1;
    let is_fit = |c: char| c as u32 > reserved && (c as u32) < 127;
    if !separator.is_ascii() || !name.chars().all(is_fit) {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "a sublevel cannot be called {name:?} with the separator {separator:?}: a name has characters of ASCII \
                 after the code {reserved} and before 127 only"
            ),
        ));
    }
    let own = format!("{separator}{name}{separator}");
    Ok([parent, own.as_bytes()].concat().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parent: &str, name: &str) -> Option<String> {
        let prefix = prefix(parent.as_bytes(), name, '!').ok()?;
        Some(String::from_utf8(prefix.to_vec()).expect("text"))
    }

    #[test]
    fn prefixes_are_those_of_abstract_level() {
        // As told by abstract-level 3.1.1.
        assert_eq!(of("", "").as_deref(), Some("!!"));
        assert_eq!(of("", "!").as_deref(), Some("!!"));
        assert_eq!(of("", "!a!").as_deref(), Some("!a!"));
        assert_eq!(of("", "a#").as_deref(), Some("!a#!"));
        assert_eq!(of("", "~").as_deref(), Some("!~!"));
        assert_eq!(of("!x!", "y").as_deref(), Some("!x!!y!"));
        for refused in ["a b", "a\"", "é", "a!b", "a\0", "\u{7f}"] {
            assert_eq!(of("", refused), None, "{refused:?}");
        }
        assert_eq!(&prefix(b"", "c", '/').unwrap()[..], b"/c/");
        assert!(prefix(b"", "c", 'é').is_err());
        assert!(prefix(b"", "a/", '!').is_ok());
    }
}
