//! [`RepairOptions`]: how a damaged database is repaired.

use crate::order::{Comparator, Order};

/// How a damaged database is repaired; made by [`Db::repair_options`](crate::Db::repair_options).
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # use level_party::Db;
/// let db = Db::open(dir.path())?;
/// db.put("a", "1")?;
/// db.close()?;
/// std::fs::remove_file(dir.path().join("CURRENT")).unwrap();
/// let plan = Db::repair_options().dry_run(true).run(dir.path())?;
/// assert!(!plan.done && plan.problems[0].file == "CURRENT");
/// assert!(Db::repair(dir.path())?.done);
/// # Ok::<(), level_party::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RepairOptions {
    pub(crate) dry_run: bool,
    pub(crate) bring_back_aside: bool,
    pub(crate) allow_empty: bool,
    pub(crate) order: Order,
}

impl Default for RepairOptions {
    fn default() -> Self {
        RepairOptions {
            dry_run: false,
            bring_back_aside: true,
            allow_empty: false,
            order: Order::default(),
        }
    }
}

impl RepairOptions {
    /// Whether to report what a repair would do, without any change (default no).
    pub fn dry_run(mut self, yes: bool) -> Self {
        self.dry_run = yes;
        self
    }

    /// Whether writes that an opening left out and set aside in a `level-party.aside-` file are brought back, as far as
    /// they can be read (default yes). One comes back only where its key was not written since.
    pub fn bring_back_aside(mut self, yes: bool) -> Self {
        self.bring_back_aside = yes;
        self
    }

    /// The order of the database's keys, where it was made with one
    /// ([`Options::comparator`](crate::Options::comparator)).
    pub fn comparator(mut self, order: impl Comparator + 'static) -> Self {
        self.order = Order::custom(order);
        self
    }

    /// Whether a repair may leave an empty database where there are files with data of which it can read nothing (default
    /// no: it fails with [`Corruption`](crate::ErrorKind::Corruption) and changes nothing).
    pub fn allow_empty(mut self, yes: bool) -> Self {
        self.allow_empty = yes;
        self
    }
}
