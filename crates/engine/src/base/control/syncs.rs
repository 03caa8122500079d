//! Which member syncs which log: a word of each member's slot (docs/COMMIT.md, S).
//!
//! The system tells a failed sync to those who had the file open, once to each, and to nobody who opens it later. So whoever
//! opened a log has to wait for the syncs under way, which may just be told: their members say so (`failed`) before they
//! clear their word. A count of a member's ended syncs tells one from the next of the same log.

use std::sync::atomic::Ordering;

use super::members::{INCARNATION, MEMBER_SLOTS, SLOTS_HIGH};
use super::{Control, FLAG};
use crate::base::peers::Incarnation;
use crate::base::sync::fence;

pub(super) const SYNCING: usize = 16;
const SYNCS: usize = 48;

/// A sync of a log that was under way when it was looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Syncer {
    pub(crate) member: Incarnation,
    slot: usize,
    /// What the member had ended.
    syncs: u64,
}

impl Control {
    /// The member of this slot is about to sync this log.
    pub(crate) fn begin_sync(&self, slot: usize, log: u64) {
        self.slot_word(slot, SYNCING).store(log, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// It did; if that failed, it has said so.
    pub(crate) fn end_sync(&self, slot: usize) {
        self.slot_word(slot, SYNCING).store(0, Ordering::Release);
        let syncs = self.slot_word(slot, SYNCS);
        let ended = syncs.load(Ordering::Relaxed);
        syncs.store(ended.wrapping_add(1), Ordering::Release);
    }

    /// The syncs of a log that other members have under way. A member that opened the log before finds each that could have been told
    /// of an error that the opened file is not.
    pub(crate) fn syncers_of(&self, log: u64, own: Incarnation) -> Vec<Syncer> {
        fence(Ordering::SeqCst);
        let high = self.word(SLOTS_HIGH).load(Ordering::Acquire) as usize;
        let slots = 0..high.min(MEMBER_SLOTS);
        let at = |slot| {
            let member = self.slot_word(slot, INCARNATION).load(Ordering::Acquire) & !FLAG;
            // Before the word: a count that is too low ends the wait for a later sync, which does not matter.
            let syncs = self.slot_word(slot, SYNCS).load(Ordering::Acquire);
            let syncing = self.slot_word(slot, SYNCING).load(Ordering::Acquire);
            let is_other = member != 0 && member != own;
            (is_other && syncing == log).then_some(Syncer {
                member,
                slot,
                syncs,
            })
        };
        slots.filter_map(at).collect()
    }

    /// Whether that sync has ended; its member may have begun the next one.
    pub(crate) fn has_ended(&self, syncer: &Syncer, log: u64) -> bool {
        let Syncer {
            member,
            slot,
            syncs,
        } = *syncer;
        self.slot_word(slot, SYNCING).load(Ordering::Acquire) != log
            || self.slot_word(slot, SYNCS).load(Ordering::Acquire) != syncs
            || self.slot_word(slot, INCARNATION).load(Ordering::Acquire) & !FLAG != member
    }

    /// A dead member was syncing a log, perhaps: what it was told died with it.
    pub(super) fn fail_log_of(&self, slot: usize) {
        let log = self.slot_word(slot, SYNCING).load(Ordering::Acquire);
        if log != 0
            && let Some(region) = self.region_of_log(log)
        {
            region.set_failed();
        }
    }
}
