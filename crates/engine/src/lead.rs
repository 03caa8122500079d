//! Layer `lead`: what one does for all: recovery, flush, compaction, the manifest, removal of files; and the care of a
//! directory as a whole: checkpoint, verification, repair.
//!
//! Promises: one thread at a time changes the manifest and removes files; what a reader may still need stays.
//! Must not know: who calls, or how groups are committed.

pub(crate) mod aside_names;
pub(crate) mod background;
pub(crate) mod calls;
pub(crate) mod checkpoint;
pub(crate) mod choose_manifest;
pub(crate) mod compaction;
pub(crate) mod context;
pub(crate) mod destroy;
pub(crate) mod file_numbers;
pub(crate) mod flush;
pub(crate) mod foreign;
pub(crate) mod founding;
pub(crate) mod kept_logs;
pub(crate) mod log_check;
pub(crate) mod losses;
pub(crate) mod manifest;
pub(crate) mod obsolete;
pub(crate) mod opened;
pub(crate) mod orphans;
pub(crate) mod recovery;
pub(crate) mod repair;
pub(crate) mod run;
pub(crate) mod succession;
pub(crate) mod table_writer;
pub(crate) mod verify;
