//! Members' slots: who has joined, and the oldest moment that each has pinned; and the floor below which nothing can be
//! pinned (docs/COMMIT.md, P).
//!
//! A member stores its pin, makes a fence, and looks at the floor; the leader raises the floor, makes a fence, and looks at
//! the pins. So one of them sees the other. The horizon is what compactions keep to: it never falls, also where a pin was
//! stored that its member will not get confirmed.

use std::sync::atomic::Ordering;

use level_party_format::Sequence;

use super::syncs::SYNCING;
use super::{At, Control, FLAG};
use crate::base::peers::Incarnation;
use crate::base::sync::{AtomicU64, fence};

/// Members that may live at one time. Two where it is run in a model: there every word costs.
pub(crate) const MEMBER_SLOTS: usize = if cfg!(loom) { 2 } else { 1024 };

const SLOTS: usize = 4096;
pub(super) const SLOT_LEN: usize = 64;
pub(super) const SLOTS_END: usize = SLOTS + MEMBER_SLOTS * SLOT_LEN;

pub(super) const INCARNATION: usize = 0;
const PIN: usize = 8;
const PID: usize = 24;
const PINNED_SINCE: usize = 32;
const WORN: usize = 40;
const JOINED: usize = 56;

const FLOOR: At = At(144);
const HORIZON: At = At(184);
pub(super) const SLOTS_HIGH: At = At(272);

/// Where the floor of pins is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Floor {
    /// The moment can be pinned.
    Below,
    /// A scan of the pins is under way, which began above the moment.
    Undecided,
    /// What the moment needs may be compacted away.
    Above,
}

/// What the other members may know of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberInfo {
    /// Its number.
    pub incarnation: Incarnation,
    /// Its process; 0 for a moment while it joins.
    pub pid: u32,
    /// Since when it is a member, in [`Peers::milliseconds`](crate::Peers::milliseconds); `None` where that gives nothing.
    pub joined: Option<u64>,
    /// How many pins it has.
    pub pins: u32,
    /// The oldest moment that it has pinned.
    pub pinned: Option<Sequence>,
    /// Since when, in [`Peers::milliseconds`](crate::Peers::milliseconds); `None` where that gives nothing.
    pub pinned_since: Option<u64>,
}

impl Control {
    pub(super) fn slot_word(&self, slot: usize, field: usize) -> &AtomicU64 {
        self.word(At(SLOTS + slot * SLOT_LEN + field))
    }

    /// Takes a free slot for a member; `None` if there is none.
    pub(crate) fn claim_slot(&self, own: Incarnation) -> Option<usize> {
        for slot in 0..MEMBER_SLOTS {
            let word = self.slot_word(slot, INCARNATION);
            let claimed = word.compare_exchange(0, own, Ordering::AcqRel, Ordering::Relaxed);
            if claimed.is_ok() {
                let high = slot as u64 + 1;
                self.word(SLOTS_HIGH).fetch_max(high, Ordering::Release);
                return Some(slot);
            }
        }
        None
    }

    /// Says whose slot it is, and since when, in words that nothing is decided by.
    pub(crate) fn introduce(&self, slot: usize, pid: u32, milliseconds: u64) {
        self.slot_word(slot, PID)
            .store(pid.into(), Ordering::Relaxed);
        self.slot_word(slot, JOINED)
            .store(milliseconds, Ordering::Relaxed);
    }

    /// Says how many pins its member has. Only the member stores the word.
    pub(crate) fn store_pin_count(&self, slot: usize, pid: u32, pins: u32) {
        self.slot_word(slot, PID)
            .store(u64::from(pins) << 32 | u64::from(pid), Ordering::Relaxed);
    }

    /// Says since when the oldest moment is pinned; 0 if nobody knows.
    pub(crate) fn store_pinned_since(&self, slot: usize, milliseconds: u64) {
        self.slot_word(slot, PINNED_SINCE)
            .store(milliseconds, Ordering::Relaxed);
    }

    /// Says that a member's reads have made the table of this number worth compacting. False: the leader has not taken the
    /// one before it.
    pub(crate) fn store_worn(&self, slot: usize, number: u64) -> bool {
        let word = self.slot_word(slot, WORN);
        let stored = word.compare_exchange(0, number, Ordering::Release, Ordering::Relaxed);
        stored.is_ok()
    }

    /// Takes the tables that the members told of.
    pub(crate) fn take_worn(&self) -> Vec<u64> {
        let high = self.word(SLOTS_HIGH).load(Ordering::Acquire) as usize;
        let told = (0..high.min(MEMBER_SLOTS)).filter_map(|slot| {
            let word = self.slot_word(slot, WORN);
            let number = word.load(Ordering::Relaxed);
            (number != 0).then(|| word.swap(0, Ordering::Acquire))
        });
        told.filter(|number| *number != 0).collect()
    }

    /// The members there are, as their slots say.
    pub(crate) fn members(&self) -> Vec<MemberInfo> {
        let high = self.word(SLOTS_HIGH).load(Ordering::Acquire) as usize;
        let info = |slot| {
            let load = |field| self.slot_word(slot, field).load(Ordering::Acquire);
            let incarnation = load(INCARNATION);
            let info = MemberInfo {
                incarnation,
                pid: load(PID) as u32,
                joined: Some(load(JOINED)).filter(|since| *since != 0),
                pins: (load(PID) >> 32) as u32,
                pinned: load(PIN).checked_sub(1),
                pinned_since: Some(load(PINNED_SINCE)).filter(|since| *since != 0),
            };
            let is_there = incarnation != 0 && incarnation & FLAG == 0;
            // Another member may have the slot by now.
            (is_there && load(INCARNATION) == incarnation).then_some(info)
        };
        (0..high.min(MEMBER_SLOTS)).filter_map(info).collect()
    }

    /// Gives a member's own slot back.
    pub(crate) fn give_back_slot(&self, slot: usize) {
        self.slot_word(slot, PIN).store(0, Ordering::SeqCst);
        for field in [PID, PINNED_SINCE, WORN, JOINED] {
            self.slot_word(slot, field).store(0, Ordering::Relaxed);
        }
        self.slot_word(slot, SYNCING).store(0, Ordering::Release);
        self.slot_word(slot, INCARNATION)
            .store(0, Ordering::Release);
    }

    /// The member of this slot needs all moments from this one on; `None` if it needs none. A member that looks at the
    /// floor afterwards sees a scan that missed it.
    pub(crate) fn store_pin(&self, slot: usize, oldest: Option<Sequence>) {
        let word = oldest.map_or(0, |sequence| sequence + 1);
        self.slot_word(slot, PIN).store(word, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Whether a moment whose pin is stored can be pinned.
    pub(crate) fn floor_at(&self, sequence: Sequence) -> Floor {
        // In this order: the leader stores the horizon first.
        let floor = self.word(FLOOR).load(Ordering::SeqCst);
        if self.horizon() > sequence {
            return Floor::Above;
        }
        // Without its flag the floor is the horizon.
        match floor & !FLAG <= sequence {
            true => Floor::Below,
            false => Floor::Undecided,
        }
    }

    /// Moments below this may be compacted away.
    pub(crate) fn horizon(&self) -> Sequence {
        self.word(HORIZON).load(Ordering::SeqCst)
    }

    /// What a founding begins with.
    pub(super) fn store_horizon(&self, horizon: Sequence) {
        self.word(HORIZON).store(horizon, Ordering::Relaxed);
        self.word(FLOOR).store(horizon, Ordering::Relaxed);
    }

    /// A scan of the pins begins: none below `now` can be confirmed until it ends (H1). Only the leader may.
    pub(super) fn begin_scan(&self, now: Sequence) {
        self.word(FLOOR).store(now | FLAG, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// It ends; `least` is the oldest moment that anybody needs, or now (H3). Gives the horizon.
    pub(super) fn end_scan(&self, least: Sequence) -> Sequence {
        let before = self.word(HORIZON).fetch_max(least, Ordering::SeqCst);
        let horizon = before.max(least);
        self.word(FLOOR).store(horizon, Ordering::SeqCst);
        horizon
    }

    /// The oldest moment that a living member pinned, and clears the slots of the others (H2). A slot is claimed before it
    /// is cleared: another member may have taken it meanwhile.
    pub(super) fn scan_pins(&self, is_dead: impl Fn(Incarnation) -> bool) -> Option<Sequence> {
        let high = self.word(SLOTS_HIGH).load(Ordering::Acquire) as usize;
        let mut least: Option<Sequence> = None;
        for slot in 0..high.min(MEMBER_SLOTS) {
            let word = self.slot_word(slot, INCARNATION);
            let seen = word.load(Ordering::Acquire);
            let member = seen & !FLAG;
            if member == 0 {
                continue;
            }
            if seen & FLAG != 0 || is_dead(member) {
                let claimed = seen & FLAG != 0
                    || planted!(SlotNotClaimed)
                    || word
                        .compare_exchange(seen, seen | FLAG, Ordering::AcqRel, Ordering::Relaxed)
                        .is_ok();
                if claimed {
                    self.fail_log_of(slot);
                    self.give_back_slot(slot);
                    continue;
                }
            }
            let pin = self.slot_word(slot, PIN).load(Ordering::SeqCst);
            if let Some(pin) = pin.checked_sub(1) {
                least = Some(least.map_or(pin, |least| least.min(pin)));
            }
        }
        least
    }
}
