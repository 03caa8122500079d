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
    /// The manifest is given a last sequence that is not in tables, and in the log perhaps.
    ManifestAheadOfLog,
    /// A compaction ends a table between two versions of a key.
    VersionsSplit,
    /// A compaction drops what only a pinned moment needs.
    PinsIgnored,
    /// A reader of the tail goes one operation too far.
    TailSkips,
    /// A reader of the tail gives what its log holds, published or not.
    WatchBeyondPublished,
    /// A reader of a log goes on in bytes that it read before they were committed.
    UnpublishedBytesKept,
    /// A member that takes the commit lock forgets that somebody waits for commits.
    WatchersForgotten,
    /// The commit lock is taken from a holder that lives.
    TakenFromTheLiving,
    /// Conditions are not judged again by what another member committed meanwhile.
    ConditionsNotJudgedAgain,
    /// A commit that a dead holder left in flight is not looked for.
    RecordNotRepaired,
    /// Each member has a record of its own of its commit in flight.
    RecordOfEachMember,
    /// A sync is taken to be covered by a table whose edit of the manifest is not durable.
    EditNotSynced,
    /// The log of a dead holder is not cut.
    RepairWithoutCut,
    /// A writer goes on where it left the list, though another member wrote since.
    StaleHint,
    /// A commit is published before its record is in the log.
    PublishedBeforeAppend,
    /// After a failed append the log's end stays where the record would have ended.
    EndNotRestored,
    /// A log that was opened late is synced though another member's sync of it is under way.
    TrustedAtOnce,
    /// Nobody keeps a log open but who writes it.
    LogNotKeptOpen,
    /// A member that was told of a failed sync says that it has ended before it says that it failed.
    FailedAfterCleared,
    /// Any sync of a log makes it durable for all, also one that was begun before its last record.
    DurableByAnySync,
    /// A second region is left after one whose log was cut, which is not durable.
    FreeSecondSwitch,
    /// A sync of a log leaves out those before it.
    OwnLogAlone,
    /// A log's name is not made durable.
    DirectoryLeftOut,
    /// A sync is taken to cover what was committed while it was made.
    CoveredLater,
    /// A read sees what lies in a frozen memtable beyond its last sequence.
    FrozenUnclamped,
    /// A flush writes what lies in a memtable beyond its last sequence.
    UnpublishedFlushed,
    /// Whether a region was used again while it was read is not looked at.
    GenerationUnchecked,
    /// The last sequence of a commit is published without release order.
    PublishedRelaxed,
    /// A region is set up without a fence after its generation.
    SetUpWithoutFence,
    /// A generation is looked at without a fence before.
    CheckWithoutFence,
    /// A range of removed keys is used again though keys were put there since.
    WrittenSinceUnchecked,
    /// A range of removed keys is used at moments before the one that it was learnt at.
    DeadRangesOfLater,
    /// Half of the view word is stored over whatever the other half says.
    ViewOverwritten,
    /// A version's slot names its version while it is filled for another one.
    SlotNumberKept,
    /// The commit lock is given back without release order.
    UnlockedRelaxed,
    /// A bell is rung without a fence between the news and the look for sleepers.
    RingWithoutFence,
    /// A dead member's slot is cleared without a look whether it is still that member's.
    SlotNotClaimed,
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
