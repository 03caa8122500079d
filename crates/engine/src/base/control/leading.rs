//! [`Leading`]: the stores that the leader alone may make.

use std::sync::atomic::Ordering;

use level_party_format::Sequence;

use super::{At, Control, KEPT_LOGS, LEVEL_ZERO, VersionRecord};
use crate::base::error::ErrorKind;
use crate::base::peers::Incarnation;

const TERM: At = At(160);
const LEADER: At = At(168);
const NO_ROOM: At = At(176);
/// In [`NO_ROOM`]: it was a compaction that failed.
const OF_COMPACTION: u64 = 1 << 7;
const KIND: u64 = OF_COMPACTION - 1;
const ONE_FAILURE: u64 = 1 << 8;

/// The right to publish versions.
pub(crate) struct Leading {
    control: Control,
}

impl Leading {
    /// For whoever leads: the caller has founded the segment, or has the leader's byte.
    pub(crate) fn new(control: Control) -> Leading {
        Leading { control }
    }

    /// Begins a leadership (L3).
    pub(crate) fn begin(&self, own: Incarnation) {
        self.control.word(TERM).fetch_add(1, Ordering::Release);
        self.control.word(NO_ROOM).store(0, Ordering::Release);
        self.control.word(LEADER).store(own, Ordering::Release);
    }

    /// Ends it (Q3).
    pub(crate) fn end(&self, own: Incarnation) {
        let leader = self.control.word(LEADER);
        // Another one has it only if this one was taken for dead.
        let _ = leader.compare_exchange(own, 0, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// A flush or a compaction failed, or what failed succeeded. The other members know by it.
    pub(crate) fn fared(&self, step: LeaderStep, result: Result<(), ErrorKind>) {
        let word = self.control.word(NO_ROOM);
        let seen = word.load(Ordering::Relaxed);
        let failed = result.err().map(|kind| step.bits() | kind_bits(kind));
        let next = match failed {
            Some(bits) => (seen & !(ONE_FAILURE - 1)).wrapping_add(ONE_FAILURE) | bits,
            None if seen & OF_COMPACTION == step.bits() => seen & !(ONE_FAILURE - 1),
            None => return,
        };
        if next != seen {
            word.store(next, Ordering::Release);
        }
    }

    /// The counter that the next version gets.
    pub(crate) fn next_counter(&self) -> u32 {
        self.control.view().version.wrapping_add(1)
    }

    /// Raises the horizon to the oldest moment that a living member needs, or to `now` where there is none (H1 to H3).
    /// Gives it: all that only moments below it need may go.
    pub(crate) fn raise_horizon(
        &self,
        now: Sequence,
        is_dead: impl Fn(Incarnation) -> bool,
    ) -> Sequence {
        if planted!(HorizonInTwoSteps) {
            let least = self.control.scan_pins(is_dead);
            self.control.begin_scan(now);
            return self.control.end_scan(least.unwrap_or(now));
        }
        self.control.begin_scan(now);
        let mut least = self.control.scan_pins(is_dead);
        if planted!(PinsIgnored) {
            least = None;
        }
        self.control
            .end_scan(least.map_or(now, |least| least.min(now)))
    }

    /// Clears the slots of members that are dead (H2).
    pub(crate) fn clear_dead(&self, is_dead: impl Fn(Incarnation) -> bool) {
        self.control.scan_pins(is_dead);
    }

    /// Logs below this number are about to be removed.
    pub(crate) fn keep_logs_from(&self, number: u64) {
        self.control
            .word(KEPT_LOGS)
            .fetch_max(number, Ordering::Release);
    }

    /// Makes a version the one that is read (M3 to M5). Its `counter` is [`Leading::next_counter`].
    pub(crate) fn publish(&self, record: &VersionRecord) {
        self.control.store_version(record);
        self.control
            .change_view(|view| view.version = record.counter);
        self.control
            .word(LEVEL_ZERO)
            .store(record.level_zero, Ordering::Relaxed);
    }
}

/// What members wait for the leader to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaderStep {
    /// The oldest memtable becomes a table.
    Flush,
    /// Level 0 has fewer tables.
    Compaction,
}

impl LeaderStep {
    fn bits(self) -> u64 {
        match self {
            LeaderStep::Flush => 0,
            LeaderStep::Compaction => OF_COMPACTION,
        }
    }
}

/// The kinds that other members are told apart.
const KINDS: [ErrorKind; 4] = [
    ErrorKind::Io,
    ErrorKind::OutOfSpace,
    ErrorKind::Corruption,
    ErrorKind::PermissionDenied,
];

fn kind_bits(kind: ErrorKind) -> u64 {
    let known = KINDS.iter().position(|known| *known == kind);
    known.unwrap_or(0) as u64 + 1
}

impl Control {
    /// The member that leads; 0: nobody.
    pub(crate) fn leader(&self) -> Incarnation {
        self.word(LEADER).load(Ordering::Acquire)
    }

    /// How many leaderships there were.
    pub(crate) fn term(&self) -> u64 {
        self.word(TERM).load(Ordering::Acquire)
    }

    /// What [`Control::failed_since`] compares with.
    pub(crate) fn failures(&self) -> u64 {
        self.word(NO_ROOM).load(Ordering::Acquire)
    }

    /// How the leader failed with a step since then, if it has not done it meanwhile.
    pub(crate) fn failed_since(&self, before: u64, step: LeaderStep) -> Option<ErrorKind> {
        let now = self.failures();
        let kind = (now & KIND).checked_sub(1)?;
        let is_new = now != before && now & OF_COMPACTION == step.bits();
        let kind = KINDS.get(kind as usize).copied();
        is_new.then_some(kind.unwrap_or(ErrorKind::Io))
    }
}
