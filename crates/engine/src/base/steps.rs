//! Named steps at which a test may stop a member, for a while or for good.
//!
//! A step is reached before the store or call that it is named after. There are steps in this crate's own unit tests, and with
//! the feature `steps`.

/// Says that a member is about to take a step.
macro_rules! step {
    ($peers:expr, $step:ident) => {
        #[cfg(any(test, feature = "steps"))]
        $peers.reach(crate::base::steps::Step::$step);
    };
}

pub(crate) use step;

/// Makes the steps, and the list of their names.
macro_rules! steps {
    ($($(#[$doc:meta])* $step:ident,)*) => {
        /// The steps of docs/COMMIT.md.
        #[cfg(any(test, feature = "steps"))]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Step {
            $($(#[$doc])* $step,)*
        }

        #[cfg(any(test, feature = "steps"))]
        impl Step {
            /// The names of all steps.
            pub const NAMES: &[&str] = &[$(stringify!($step)),*];

            /// The step's name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Step::$step => stringify!($step),)*
                }
            }
        }
    };
}

steps! {
    /// The active region's log is about to be opened (C1).
    OpenLog,
    /// The lock was taken, and nothing looked at (C4).
    LockTaken,
    /// Sequences were given out, and nothing stored (C10).
    RecordStart,
    /// `start` is stored.
    RecordLast,
    /// `last` is stored.
    RecordEnd,
    /// The record is stored, and nothing in the log (C11).
    Append,
    /// An append failed, and what it left is about to be cut off (E1).
    CutFailed,
    /// It is cut off, and the record as it was (E2).
    RestoreEnd,
    /// `end` is as before the commit (E3).
    RestoreLast,
    /// The record is in the log, and nothing inserted (C12, C13).
    Insert,
    /// All is inserted, and nothing published (C14).
    Publish,
    /// It is published, and the lock held (C15).
    Unlock,
    /// The lock was given back, and nobody answered (C17).
    Answer,
    /// A log is about to be synced, and nobody told (S6).
    BeginSync,
    /// All members can see it, and it is not made.
    Sync,
    /// It is made, and nothing said of it.
    Synced,
    /// A failed one was told, and the member's word says still that it is under way.
    SyncFailed,
    /// What a dead holder left is about to be cut off (R2).
    Cut,
    /// The leader's thread is about to look for work.
    Work,
    /// The oldest frozen region is about to be flushed (F3).
    Flush,
    /// A read has its view, and has read nothing (G3).
    Read,
    /// A switch is about to set up the next region's header (W2).
    SetUp,
    /// It is set up, and no list in it (W3).
    Install,
    /// It is whole, and not named (W4).
    Name,
    /// It is named (W5).
    Named,
    /// The table is durable, and not in the manifest (M1).
    AppendEdit,
    /// The manifest is durable, and the version that it makes not published (M3).
    PublishVersion,
    /// It is published, and what it does not need is still there (M6).
    Remove,
    /// A successor is about to write its manifest (L5).
    WriteManifest,
    /// A ring is counted, and whom it is for not woken (C15, W5).
    Wake,
}
