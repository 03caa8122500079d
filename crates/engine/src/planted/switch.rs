//! The switch. It holds for one thread, and for the background thread of engines opened there, so that tests beside it
//! have an engine without bugs.

use std::cell::Cell;

/// A bug that a harness has to catch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// None: the engine as it is.
    None,
    /// A write is answered when its record is made, and the record appended with the next one.
    AnswerBeforeAppend,
    /// A recovery goes on in the last log, behind a tail that may be torn.
    OldLogAppendedTo,
    /// The directory is not synced after `CURRENT` is renamed.
    CurrentNotSynced,
    /// A table is not synced before the manifest names it.
    TableNotSynced,
    /// A sync does not wait until what was recovered is in tables.
    SyncUnsettled,
    /// The manifest is given a last sequence that is not in tables, and in the log perhaps.
    ManifestAheadOfLog,
    /// A compaction ends a table between two versions of a key.
    VersionsSplit,
    /// A compaction drops what only a pinned moment needs.
    PinsIgnored,
    /// A reader of the tail goes one operation too far.
    TailSkips,
    /// The choice of a horizon and the raising of the drop floor are two steps.
    HorizonInTwoSteps,
}

thread_local! {
    static SWITCHED_ON: Cell<Bug> = const { Cell::new(Bug::None) };
}

/// Switches one bug on, and any other off, for engines that this thread opens from now on.
pub(crate) fn switch_on(bug: Bug) {
    SWITCHED_ON.set(bug);
}

/// The bug that is on.
pub(crate) fn on_this_thread() -> Bug {
    SWITCHED_ON.get()
}

/// Whether it is this one.
pub(crate) fn is_on(bug: Bug) -> bool {
    SWITCHED_ON.get() == bug
}
