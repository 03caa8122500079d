//! The order of keys: that of their bytes, unless the opener brings another one.

use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

use level_party_engine::{Comparator as EngineOrder, CustomComparator};

use crate::error::{Error, ErrorKind, Result};

/// The order of a database's keys, where it is not that of their bytes (LevelDB's `Comparator`); given to
/// [`Options::comparator`](crate::Options::comparator), which says what it takes.
///
/// ```
/// use std::cmp::Ordering;
/// use level_party::{Comparator, Db, ErrorKind, Readable, WriteBatch};
///
/// struct Backwards;
///
/// impl Comparator for Backwards {
///     fn name(&self) -> &str {
///         "example.Backwards"
///     }
///     fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
///         b.cmp(a)
///     }
/// }
///
/// # let dir = tempfile::tempdir().unwrap();
/// let db = Db::options().comparator(Backwards).open(dir.path())?;
/// db.write(WriteBatch::new().put("a", "1").put("b", "2"))?;
/// assert_eq!(db.iter().next().unwrap()?.0, b"b");
/// db.close()?;
/// let refused = Db::open(dir.path()).unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
/// # Ok::<(), level_party::Error>(())
/// ```
pub trait Comparator: Send + Sync {
    /// The name that is kept in the database. A process whose order has another name cannot open it. Names that begin with
    /// `leveldb.` are LevelDB's own.
    fn name(&self) -> &str;

    /// Where `a` stands relative to `b`. The order must be total, and the same in every process and for ever: what is
    /// stored rests on it. Called on threads of the database too; it must not call the database.
    fn compare(&self, a: &[u8], b: &[u8]) -> Ordering;
}

/// The opener's order, as the engine takes it.
struct Custom<C>(C);

impl<C: Comparator> CustomComparator for Custom<C> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        self.0.compare(a, b)
    }
}

/// The order of a database's keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Order(EngineOrder);

impl Order {
    /// That of a database's keys where nobody says otherwise.
    pub const BYTEWISE: Order = Order(EngineOrder::Bytewise);

    pub fn custom(comparator: impl Comparator + 'static) -> Self {
        Order(EngineOrder::Custom(Arc::new(Custom(comparator))))
    }

    pub fn engine(&self) -> EngineOrder {
        self.0.clone()
    }

    pub fn name(&self) -> &str {
        self.0.name()
    }

    #[inline]
    pub fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        self.0.compare(a, b)
    }

    pub fn is_bytewise(&self) -> bool {
        matches!(self.0, EngineOrder::Bytewise)
    }

    /// Whether `key` lies at or above the lower bound `bound`.
    pub fn is_above(&self, bound: Bound<&[u8]>, key: &[u8]) -> bool {
        match bound {
            Bound::Included(lower) => self.compare(lower, key).is_le(),
            Bound::Excluded(lower) => self.compare(lower, key).is_lt(),
            Bound::Unbounded => true,
        }
    }

    /// Whether `key` lies at or below the upper bound `bound`.
    pub fn is_below(&self, bound: Bound<&[u8]>, key: &[u8]) -> bool {
        match bound {
            Bound::Included(upper) => self.compare(key, upper).is_le(),
            Bound::Excluded(upper) => self.compare(key, upper).is_lt(),
            Bound::Unbounded => true,
        }
    }

    /// Refuses `what` where keys are in another order than that of their bytes.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn check_bytewise(&self, what: &str) -> Result<()> {
        if self.is_bytewise() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "{what} need keys in the order of their bytes; this database was opened with the comparator {}",
                self.name()
            ),
        ))
    }

    /// Refuses a handle whose order is not `self`, that of the database as this process has it open.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn check_same(&self, asked: &Order) -> Result<()> {
        // An order of the opener's own may have the bytewise order's name: then it says that it is the same.
        if self.name() == asked.name() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "the database is open in this process with the comparator {}, not {}",
                self.name(),
                asked.name()
            ),
        ))
    }
}
