//! [`OpenTables`]: how many tables are kept open at once, each with its index and filter in memory.
//!
//! Promises: those of [`Clock`]. The limit bounds memory; how many of the tables have a file descriptor is for the
//! directory to decide ([`Fs::keep_open_at_most`](crate::Fs::keep_open_at_most)).
//! Must not know: levels, versions, or why a table is read.

use crate::base::clock::{Clock, Kept, Slot};
use crate::read::table::Table;

/// Where a file's open table is, if it is open.
pub(crate) type TableSlot = Slot<Table>;

/// An open table, kept open for as long as this lives.
pub type TableRef = Kept<Table>;

/// The tables kept open.
pub(crate) type OpenTables = Clock<Table>;
