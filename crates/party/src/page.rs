//! The session page: what makes a write exactly-once over a leader's death.
//!
//! A follower shares one small page of memory with its leader, and the page outlives the leader. It is a ring of
//! [`ENTRIES`] entries; write number `n` of the session uses entry `n % ENTRIES`, and the follower starts write `n`
//! only when write `n - ENTRIES` has ended. An entry is **one word**, a `u64` in native order (both sides are on one
//! machine) alone in its 64 bytes, so that the two sides do not pull at each other's neighbours:
//!
//! | bits 0-2: state | bits 3-63 | made by | from |
//! |---|---|---|---|
//! | 1 pending | the turn | follower, by a store | anything |
//! | 2 claimed | the turn | leader | pending, of the same turn |
//! | 3 cancelled | the turn | follower | pending, of the same turn |
//! | 4 assigned | the last sequence assigned to the write | leader | claimed, of its own turn |
//! | 5 applied and visible | the same | leader | assigned, of that sequence |
//! | 6 refused: a condition did not hold | the turn | leader | claimed, of its own turn |
//!
//! The **turn** says which write it is and which leadership may take it: bits 8-44 of the write's number (the entry says
//! the rest), then bits 0-23 of the epoch's number. Every step but the follower's first is a compare-and-swap.
//!
//! Invariants:
//! - The leader assigns a sequence to write `n` only after it moved the entry from pending to claimed, and the
//!   follower gives `n` up for certain only by moving it from pending to cancelled: never both.
//! - The entry says *assigned* before the first byte of the write's log record is written. So after the leader's death:
//!   not claimed, or claimed and not assigned = not in the log; assigned = in the log iff that sequence is within
//!   what the next leader recovered of that epoch (a log record is whole or absent, in sequence order).
//! - **A leadership changes only entries that were begun for it.** One that was overtaken (`LOCK` was removed) and stood
//!   still in the middle of a write may go on when the follower has begun the same write anew for a successor: it finds
//!   another turn, and neither takes the write from the successor nor overwrites what that one wrote. It may append what it
//!   had in hand, which never counts (the engine leaves out what a succeeded leader appends), and finds the epoch word
//!   taken before it answers. So the follower knows without asking the page which leadership assigned: the one it began
//!   the write for.
//! - An overtaken leader that did append, and was found still in its place after that, moves *assigned* to *applied* late
//!   at worst: its successor has recovered that sequence, and an entry that was begun anew holds another or none.
//! - A refusal stands in its entry before the entry of the session's next write does, so a write that was refused is
//!   never judged again after a later one took effect.
//!
//! Crash cases (each is a kill point in the tests): before the claim, after the claim, after the entry, after the
//! append, after the answer was sent, after it was received.

use std::io;

use std::sync::atomic::{AtomicU64, Ordering};

use level_party_engine::with_descriptors;
use level_party_os::{BorrowedHandle, OwnedHandle, SharedPage};

use crate::epoch::Epoch;

/// Writes that one session can have in flight.
pub(crate) const ENTRIES: usize = 256;
const WORDS_PER_ENTRY: usize = 8;
const PAGE_BYTES: usize = ENTRIES * WORDS_PER_ENTRY * 8;

const PENDING: u64 = 1;
const CLAIMED: u64 = 2;
const CANCELLED: u64 = 3;
const ASSIGNED: u64 = 4;
const APPLIED: u64 = 5;
const REFUSED: u64 = 6;
const STATE_BITS: u32 = 3;
const EPOCH_BITS: u32 = 24;
/// What is left for the number, whose lowest bits are the entry's place.
const NUMBER_BITS: u32 = u64::BITS - STATE_BITS - EPOCH_BITS;

/// The word of an entry in which write `number` of a session stands for the leadership `epoch`.
fn of_turn(number: u64, epoch: Epoch, state: u64) -> u64 {
    let number = (number / ENTRIES as u64) & ((1 << NUMBER_BITS) - 1);
    let epoch = epoch.number & ((1 << EPOCH_BITS) - 1);
    (((number << EPOCH_BITS) | epoch) << STATE_BITS) | state
}

fn of_sequence(sequence: u64, state: u64) -> u64 {
    (sequence << STATE_BITS) | state
}

/// Either side's view of a session page.
pub(crate) struct Page {
    shared: SharedPage,
}

/// What the page says of a write whose leader has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trace {
    /// No leader took it, or one took it and never assigned a sequence.
    NotAssigned,
    /// The leadership that it was begun for gave it `last_sequence`; `applied` where it became visible there.
    Assigned { last_sequence: u64, applied: bool },
    /// A leader took it and decided that it is not written.
    Refused,
}

impl Page {
    /// A new page, owned by a follower.
    pub fn create() -> io::Result<Self> {
        Ok(Page {
            shared: with_descriptors(|| SharedPage::create(PAGE_BYTES))?,
        })
    }

    /// The leader's view of a page that a follower passed.
    pub fn from_handle(handle: OwnedHandle) -> io::Result<Self> {
        Ok(Page {
            shared: SharedPage::from_handle(handle, PAGE_BYTES)?,
        })
    }

    /// What the follower passes.
    pub fn as_handle(&self) -> BorrowedHandle<'_> {
        self.shared.as_handle()
    }

    fn entry(&self, number: u64) -> &AtomicU64 {
        &self.shared.words()[(number % ENTRIES as u64) as usize * WORDS_PER_ENTRY]
    }

    /// Follower: write `number` begins, for the leadership `epoch`; or begins again after it is known not to have been
    /// assigned.
    pub fn begin(&self, number: u64, epoch: Epoch) {
        let pending = of_turn(number, epoch, PENDING);
        self.entry(number).store(pending, Ordering::Release);
    }

    /// Follower: gives write `number` up, which it began for `epoch`. True: no leader will ever apply it.
    pub fn cancel(&self, number: u64, epoch: Epoch) -> bool {
        let turn = |state| of_turn(number, epoch, state);
        self.step(number, turn(PENDING), turn(CANCELLED))
    }

    /// Leader: takes write `number`. False: it was given up or begun for another leadership, or the page is not in order.
    pub fn claim(&self, number: u64, epoch: Epoch) -> bool {
        let turn = |state| of_turn(number, epoch, state);
        self.step(number, turn(PENDING), turn(CLAIMED))
    }

    fn step(&self, number: u64, from: u64, to: u64) -> bool {
        self.entry(number)
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Leader: write `number`, which it claimed, will be logged with `last_sequence`. Before the append. False: the
    /// follower has begun it for another leadership, so this one is over and will find that out before it appends; or
    /// the page is not in order, which harms its owner alone.
    pub fn assign(&self, number: u64, epoch: Epoch, last_sequence: u64) -> bool {
        let claimed = of_turn(number, epoch, CLAIMED);
        self.step(number, claimed, of_sequence(last_sequence, ASSIGNED))
    }

    /// Leader: write `number`, which it claimed, is not written, and never will be. False: as for [`Page::assign`].
    pub fn refuse(&self, number: u64, epoch: Epoch) -> bool {
        let turn = |state| of_turn(number, epoch, state);
        self.step(number, turn(CLAIMED), turn(REFUSED))
    }

    /// Leader: write `number`, to which it assigned `last_sequence`, is applied and visible. False: as for
    /// [`Page::assign`].
    pub fn applied(&self, number: u64, last_sequence: u64) -> bool {
        let of = |state| of_sequence(last_sequence, state);
        self.step(number, of(ASSIGNED), of(APPLIED))
    }

    /// Follower, when no leader works for the session: what became of write `number`, which it began for `epoch`.
    pub fn trace(&self, number: u64, epoch: Epoch) -> Trace {
        let word = self.entry(number).load(Ordering::Acquire);
        let state = word & ((1 << STATE_BITS) - 1);
        match state {
            ASSIGNED | APPLIED => Trace::Assigned {
                last_sequence: word >> STATE_BITS,
                applied: state == APPLIED,
            },
            REFUSED if word == of_turn(number, epoch, REFUSED) => Trace::Refused,
            _ => Trace::NotAssigned,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Epoch = Epoch {
        number: 7,
        random: [1, 2],
    };
    const NEXT: Epoch = Epoch {
        number: 8,
        random: [3, 4],
    };

    fn assigned(last_sequence: u64, applied: bool) -> Trace {
        Trace::Assigned {
            last_sequence,
            applied,
        }
    }

    #[test]
    fn a_cancelled_write_cannot_be_claimed_and_a_claimed_one_cannot_be_cancelled() {
        let page = Page::create().unwrap();
        page.begin(1, EPOCH);
        assert!(page.cancel(1, EPOCH));
        assert!(!page.claim(1, EPOCH));
        page.begin(2, EPOCH);
        assert!(page.claim(2, EPOCH));
        assert!(!page.cancel(2, EPOCH));
        assert!(!page.claim(2, EPOCH), "a resent write is not claimed twice");
    }

    #[test]
    fn a_refused_write_is_traced_as_such_until_it_begins_again() {
        let page = Page::create().unwrap();
        page.begin(5, EPOCH);
        assert!(page.claim(5, EPOCH));
        assert!(page.refuse(5, EPOCH));
        assert_eq!(page.trace(5, EPOCH), Trace::Refused);
        page.begin(5, NEXT);
        assert_eq!(page.trace(5, NEXT), Trace::NotAssigned);
    }

    #[test]
    fn an_entry_of_an_earlier_turn_of_the_ring_says_nothing_of_a_later_write() {
        let page = Page::create().unwrap();
        page.begin(3, EPOCH);
        assert!(page.claim(3, EPOCH));
        assert!(page.assign(3, EPOCH, 41));
        assert!(page.applied(3, 41));
        let later = 3 + ENTRIES as u64;
        page.begin(later, EPOCH);
        assert_eq!(page.trace(later, EPOCH), Trace::NotAssigned);
        assert!(
            !page.claim(3, EPOCH),
            "a late frame of the earlier write finds another number"
        );
        assert!(!page.applied(3, 41));
    }

    /// Found by review: a leader whose `LOCK` was removed stood still between its look at the epoch word and its entry.
    #[test]
    fn an_overtaken_leader_changes_no_entry_that_was_begun_for_its_successor() {
        let late: [fn(&Page) -> bool; 3] = [
            |page| page.assign(4, EPOCH, 90),
            |page| page.refuse(4, EPOCH),
            |page| page.claim(4, EPOCH),
        ];
        for late in late {
            let page = Page::create().unwrap();
            page.begin(4, EPOCH);
            assert!(page.claim(4, EPOCH), "and there it stands still");
            page.begin(4, NEXT);
            assert!(!late(&page), "before the successor took it");
            assert!(page.claim(4, NEXT));
            assert!(!late(&page), "before it was assigned");
            assert_eq!(page.trace(4, NEXT), Trace::NotAssigned);
            assert!(page.assign(4, NEXT, 60));
            assert!(!late(&page), "after that");
            assert_eq!(page.trace(4, NEXT), assigned(60, false));
            assert!(page.applied(4, 60));
            assert!(!late(&page), "at the end");
            assert_eq!(page.trace(4, NEXT), assigned(60, true));
        }
    }

    #[test]
    fn the_largest_numbers_have_their_place_in_a_word() {
        let page = Page::create().unwrap();
        let epoch = Epoch {
            number: u64::MAX,
            ..EPOCH
        };
        let largest_sequence = (1 << 56) - 1;
        page.begin(u64::MAX, epoch);
        assert!(page.claim(u64::MAX, epoch));
        assert!(page.assign(u64::MAX, epoch, largest_sequence));
        assert_eq!(
            page.trace(u64::MAX, epoch),
            assigned(largest_sequence, false)
        );
    }

    #[test]
    fn both_sides_see_the_same_entry_through_the_handle() {
        let follower = Page::create().unwrap();
        let leader = Page::from_handle(follower.as_handle().try_clone_to_owned().unwrap()).unwrap();
        follower.begin(9, EPOCH);
        assert!(leader.claim(9, EPOCH));
        assert_eq!(follower.trace(9, EPOCH), Trace::NotAssigned);
        assert!(leader.assign(9, EPOCH, 100));
        assert_eq!(follower.trace(9, EPOCH), assigned(100, false));
        assert!(leader.applied(9, 100));
        assert_eq!(follower.trace(9, EPOCH), assigned(100, true));
    }
}
