//! [`Held`]: the commit lock, and the stores that its holder alone may make.

use std::sync::atomic::Ordering;

use level_party_format::Sequence;

use super::{BellKind, Control, FLAG, HOLDER, LOCK, RegionWords, WATCHED};
use crate::base::peers::{Incarnation, Peers};
use crate::base::steps::step;
use crate::base::sync::fence;

/// The commit lock of a segment, held. Dropping it gives the lock back; a record that is in flight then stays, and the next
/// holder repairs it.
pub(crate) struct Held<'a> {
    control: &'a Control,
    peers: &'a dyn Peers,
    /// The dead member that it was taken from.
    taken_from: Option<Incarnation>,
}

impl Control {
    /// Takes the lock for the member `own` if nobody has it. `slept`: others may sleep for it, too.
    pub(crate) fn try_lock<'a>(
        &'a self,
        own: Incarnation,
        slept: bool,
        peers: &'a dyn Peers,
    ) -> Option<Held<'a>> {
        let word = self.word(LOCK);
        let flag = if slept { FLAG } else { 0 };
        let take = |free| {
            let taken = match planted!(WatchersForgotten) {
                true => own | flag,
                false => own | flag | free,
            };
            word.compare_exchange(free, taken, Ordering::Acquire, Ordering::Relaxed)
        };
        let taken = match take(0) {
            // Nobody has it, and somebody waits for commits.
            Err(WATCHED) => take(WATCHED),
            taken => taken,
        };
        // Only made if it is held: dropping one gives the lock back.
        taken.is_ok().then(|| Held {
            control: self,
            peers,
            taken_from: None,
        })
    }

    /// Tells whoever holds the lock, or takes it next, that somebody will sleep until something is committed. What a holder
    /// published who gives the lock back without a look at this is seen by whoever looks afterwards.
    pub(crate) fn announce_watch(&self) {
        self.word(LOCK).fetch_or(WATCHED, Ordering::AcqRel);
    }

    /// Tells the holder that somebody will sleep, and gives his number; 0 if the lock is free.
    pub(crate) fn announce_sleep(&self) -> Incarnation {
        let word = self.word(LOCK);
        let mut seen = word.load(Ordering::Relaxed);
        while seen & HOLDER != 0 && seen & FLAG == 0 {
            let flagged =
                word.compare_exchange(seen, seen | FLAG, Ordering::Relaxed, Ordering::Relaxed);
            match flagged {
                Ok(_) => seen |= FLAG,
                Err(now) => seen = now,
            }
        }
        // Before the caller looks at the bell and sleeps.
        fence(Ordering::SeqCst);
        seen & HOLDER
    }

    /// Takes the lock for `own` over from `dead`, who will never store anything again, if `dead` still has it.
    pub(crate) fn take_over<'a>(
        &'a self,
        dead: Incarnation,
        own: Incarnation,
        peers: &'a dyn Peers,
    ) -> Option<Held<'a>> {
        let word = self.word(LOCK);
        let seen = word.load(Ordering::Relaxed);
        if seen & HOLDER != dead {
            return None;
        }
        let taken = own | FLAG | (seen & WATCHED);
        let taken = word.compare_exchange(seen, taken, Ordering::AcqRel, Ordering::Relaxed);
        // Only made if it is held: dropping one gives the lock back.
        taken.is_ok().then(|| Held {
            control: self,
            peers,
            taken_from: Some(dead),
        })
    }
}

impl<'a> Held<'a> {
    /// Whether the lock still names this member: nobody takes it from one that lives.
    pub(crate) fn is_of(&self, own: Incarnation) -> bool {
        self.control.holder() == own
    }

    /// The dead member from which the lock was taken over.
    pub(crate) fn taken_from(&self) -> Option<Incarnation> {
        self.taken_from
    }

    /// Leaves the lock to whoever has it now.
    pub(crate) fn leave(self) {
        std::mem::forget(self);
    }

    /// The counter of the region that is written.
    pub(crate) fn active_counter(&self) -> u32 {
        self.control.view().active
    }

    /// Its header.
    pub(crate) fn active(&self) -> RegionWords<'a> {
        self.control.region(self.active_counter())
    }

    /// The header of another region.
    pub(crate) fn region(&self, counter: u32) -> RegionWords<'a> {
        self.control.region(counter)
    }

    /// A commit up to `last` is in flight, whose record has `len` bytes (C10).
    pub(crate) fn begin(&self, last: Sequence, len: u64) {
        #[cfg(test)]
        self.active().store_record_writer(self.control.holder());
        self.active().store_record(last, len, self.peers);
    }

    /// Whether the record is that of whoever the lock was taken from.
    #[cfg(test)]
    pub(crate) fn is_taken_from_writer(&self) -> bool {
        Some(self.active().record_writer()) == self.taken_from
    }

    /// It did not happen, and what it left of its record was cut off (E2, E3).
    pub(crate) fn take_back(&self) {
        self.active().take_back_record(self.peers);
    }

    /// It happened (C14).
    pub(crate) fn publish(&self) {
        let active = self.active();
        step!(self.peers, Publish);
        active.store_published(active.record_last());
        step!(self.peers, Unlock);
    }

    /// Makes the next region's slot that region's (W2).
    pub(crate) fn set_up_next(&self, log: u64) {
        let next = self.active_counter().wrapping_add(1);
        let before = self.active().published();
        step!(self.peers, SetUp);
        self.control.region(next).set_up(log, before);
        step!(self.peers, Install);
    }

    /// Makes the region that was set up the active one (W4).
    pub(crate) fn name_next(&self) {
        let next = self.active_counter().wrapping_add(1);
        step!(self.peers, Name);
        self.control.change_view(|view| view.active = next);
        step!(self.peers, Named);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let order = match planted!(UnlockedRelaxed) {
            true => Ordering::Relaxed,
            false => Ordering::Release,
        };
        let had = self.control.word(LOCK).swap(0, order);
        if had & FLAG != 0 {
            let bell = self.control.ring_always(BellKind::Lock);
            step!(self.peers, Wake);
            self.peers.wake_one(bell);
        }
        if had & WATCHED != 0 {
            let bell = self.control.ring_always(BellKind::Published);
            step!(self.peers, Wake);
            self.peers.wake_all(bell);
        }
    }
}
