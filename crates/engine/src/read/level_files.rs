//! The files of a version's levels, as an iterator needs them: [`Levels`] owns them, [`first_file_reaching`] finds one.
//!
//! Must not know: versions, or which files a level has.

use std::sync::Arc;

use level_party_format::key::InternalComparator;

use crate::read::files::{FileMeta, Tables};

/// The owner of the files of each level: while it lives, they are kept.
pub(crate) trait Levels: Send + Sync {
    /// The files of a level, in order. A level beyond the last has none.
    fn files_of(&self, level: usize) -> &[Arc<FileMeta>];

    /// What the tables are opened with.
    fn tables(&self) -> &Tables;
}

/// The position in `files` (of one level below 0) of the first whose largest key is not before `internal_key`.
pub(crate) fn first_file_reaching(
    comparator: &InternalComparator,
    files: &[Arc<FileMeta>],
    internal_key: &[u8],
) -> usize {
    files.partition_point(|file| comparator.compare(&file.largest, internal_key).is_lt())
}
