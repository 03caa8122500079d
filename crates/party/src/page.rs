//! The session page: what makes a write exactly-once over a leader's death.
//!
//! A follower shares one small page of memory with its leader, and the page outlives the leader. It is a ring of
//! [`ENTRIES`] entries; write number `n` of the session uses entry `n % ENTRIES`, and the follower starts write `n`
//! only when write `n - ENTRIES` has ended. Every word is a `u64` in native order (both sides are on one machine):
//!
//! | word of an entry | written by | is |
//! |---|---|---|
//! | 0 claim | both, by compare-and-swap | `number << 2 \| state`: pending, claimed or cancelled |
//! | 1 number | leader | 0 while words 2-6 are being written, then the write's number (release) |
//! | 2 epoch number, 3-4 epoch's random bits | leader | the leadership that assigned the sequence |
//! | 5 last sequence | leader | the last sequence assigned to the write |
//! | 6 result | leader | 0 assigned, 1 applied and visible, 2 refused: a condition did not hold |
//!
//! Invariants:
//! - The leader assigns a sequence to write `n` only after it moved the claim from pending to claimed, and the
//!   follower gives `n` up for certain only by moving it from pending to cancelled: never both.
//! - The entry stands before the first byte of the write's log record is written. So after the leader's death:
//!   not claimed, or claimed with no entry = not in the log; an entry = in the log iff its last sequence is within
//!   what the next leader recovered of that epoch (a log record is whole or absent, in sequence order).
//! - A refusal stands in its entry before the entry of the session's next write does, so a write that was refused is
//!   never judged again after a later one took effect.
//!
//! Crash cases (each is a kill point in the tests): before the claim, after the claim, after the entry, after the
//! append, after the answer was sent, after it was received.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use level_party_os::SharedPage;

use crate::epoch::Epoch;

/// Writes that one session can have in flight.
pub(crate) const ENTRIES: usize = 256;
const WORDS_PER_ENTRY: usize = 8;
const PAGE_BYTES: usize = ENTRIES * WORDS_PER_ENTRY * 8;

const PENDING: u64 = 1;
const CLAIMED: u64 = 2;
const CANCELLED: u64 = 3;
const APPLIED: u64 = 1;
const REFUSED: u64 = 2;

fn claim_word(number: u64, state: u64) -> u64 {
    number << 2 | state
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
    /// The leadership `epoch` gave it `last_sequence`; `applied` where it became visible there.
    Assigned {
        epoch: Epoch,
        last_sequence: u64,
        applied: bool,
    },
    /// A leader took it and decided that it is not written.
    Refused,
}

impl Page {
    /// A new page, owned by a follower.
    pub fn create() -> io::Result<Self> {
        Ok(Page {
            shared: SharedPage::create(PAGE_BYTES)?,
        })
    }

    /// The leader's view of a page that a follower passed.
    pub fn from_handle(handle: OwnedFd) -> io::Result<Self> {
        Ok(Page {
            shared: SharedPage::from_handle(handle, PAGE_BYTES)?,
        })
    }

    /// What the follower passes.
    pub fn as_handle(&self) -> BorrowedFd<'_> {
        self.shared.as_handle()
    }

    fn entry(&self, number: u64) -> &[AtomicU64] {
        let at = (number % ENTRIES as u64) as usize * WORDS_PER_ENTRY;
        &self.shared.words()[at..at + WORDS_PER_ENTRY]
    }

    /// Follower: write `number` begins, or begins again after it is known not to have been assigned.
    pub fn begin(&self, number: u64) {
        let entry = self.entry(number);
        entry[1].store(0, Ordering::Relaxed);
        entry[0].store(claim_word(number, PENDING), Ordering::Release);
    }

    /// Follower: gives write `number` up. True: no leader will ever apply it.
    pub fn cancel(&self, number: u64) -> bool {
        self.swap_claim(number, PENDING, CANCELLED)
    }

    /// Leader: takes write `number`. False: it was given up, or the page is not in order.
    pub fn claim(&self, number: u64) -> bool {
        self.swap_claim(number, PENDING, CLAIMED)
    }

    fn swap_claim(&self, number: u64, from: u64, to: u64) -> bool {
        self.entry(number)[0]
            .compare_exchange(
                claim_word(number, from),
                claim_word(number, to),
                Ordering::AcqRel,
                Ordering::Acquire,
            )
            .is_ok()
    }

    /// Leader: write `number` will be logged with `last_sequence`. Before the append.
    pub fn assign(&self, number: u64, epoch: Epoch, last_sequence: u64) {
        let entry = self.entry(number);
        entry[1].store(0, Ordering::Relaxed);
        std::sync::atomic::fence(Ordering::Release);
        entry[2].store(epoch.number, Ordering::Relaxed);
        entry[3].store(epoch.random[0], Ordering::Relaxed);
        entry[4].store(epoch.random[1], Ordering::Relaxed);
        entry[5].store(last_sequence, Ordering::Relaxed);
        entry[6].store(0, Ordering::Relaxed);
        entry[1].store(number, Ordering::Release);
    }

    /// Leader: write `number` is not written, and never will be.
    pub fn refuse(&self, number: u64) {
        let entry = self.entry(number);
        entry[1].store(0, Ordering::Relaxed);
        std::sync::atomic::fence(Ordering::Release);
        entry[6].store(REFUSED, Ordering::Relaxed);
        entry[1].store(number, Ordering::Release);
    }

    /// Leader: write `number` is applied and visible.
    pub fn applied(&self, number: u64) {
        self.entry(number)[6].store(APPLIED, Ordering::Release);
    }

    /// Follower, when no leader works for the session: what became of write `number`.
    pub fn trace(&self, number: u64) -> Trace {
        let entry = self.entry(number);
        if entry[1].load(Ordering::Acquire) != number {
            return Trace::NotAssigned;
        }
        let word = |i: usize| entry[i].load(Ordering::Acquire);
        if word(6) == REFUSED {
            return Trace::Refused;
        }
        Trace::Assigned {
            epoch: Epoch {
                number: word(2),
                random: [word(3), word(4)],
            },
            last_sequence: word(5),
            applied: word(6) == APPLIED,
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

    #[test]
    fn a_cancelled_write_cannot_be_claimed_and_a_claimed_one_cannot_be_cancelled() {
        let page = Page::create().unwrap();
        page.begin(1);
        assert!(page.cancel(1));
        assert!(!page.claim(1));
        page.begin(2);
        assert!(page.claim(2));
        assert!(!page.cancel(2));
        assert!(!page.claim(2), "a resent write is not claimed twice");
    }

    #[test]
    fn a_refused_write_is_traced_as_such_until_it_begins_again() {
        let page = Page::create().unwrap();
        page.begin(5);
        assert!(page.claim(5));
        page.refuse(5);
        assert_eq!(page.trace(5), Trace::Refused);
        page.begin(5);
        assert_eq!(page.trace(5), Trace::NotAssigned);
    }

    #[test]
    fn an_entry_of_an_earlier_turn_of_the_ring_says_nothing_of_a_later_write() {
        let page = Page::create().unwrap();
        page.begin(3);
        assert!(page.claim(3));
        page.assign(3, EPOCH, 41);
        page.applied(3);
        let later = 3 + ENTRIES as u64;
        page.begin(later);
        assert_eq!(page.trace(later), Trace::NotAssigned);
        assert!(
            !page.claim(3),
            "a late frame of the earlier write finds another number"
        );
    }

    #[test]
    fn both_sides_see_the_same_entry_through_the_handle() {
        let follower = Page::create().unwrap();
        let leader = Page::from_handle(follower.as_handle().try_clone_to_owned().unwrap()).unwrap();
        follower.begin(9);
        assert!(leader.claim(9));
        assert_eq!(follower.trace(9), Trace::NotAssigned);
        leader.assign(9, EPOCH, 100);
        let assigned = Trace::Assigned {
            epoch: EPOCH,
            last_sequence: 100,
            applied: false,
        };
        assert_eq!(follower.trace(9), assigned);
        leader.applied(9);
        let applied = Trace::Assigned {
            epoch: EPOCH,
            last_sequence: 100,
            applied: true,
        };
        assert_eq!(follower.trace(9), applied);
    }
}
