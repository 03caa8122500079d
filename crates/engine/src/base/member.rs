//! [`Member`]: one process's part of a segment.
//!
//! Promises: its incarnation is its own; the control page it has is that of its segment.
//! Must not know: files, or what is committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use level_party_format::Sequence;

use crate::base::bell::Bell;
use crate::base::control::{
    self, BellKind, CondemnReason, Control, REGIONS, Syncer, VersionRecord, ViewWord,
};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::health;
use crate::base::peers::{Incarnation, Peers};
use crate::base::segment::Segment;
use crate::base::steps::step;

/// What makes an engine one of the members of a segment: the memory that they share, and how they know each other. Given to
/// [`Engine::found`](crate::Engine::found) and [`Engine::join`](crate::Engine::join).
#[derive(Clone)]
pub struct Membership {
    /// The memory.
    pub segment: Arc<dyn Segment>,
    /// The other members.
    pub peers: Arc<dyn Peers>,
    /// This member's own number: of a founder [`first_incarnation`], of one that joins [`next_incarnation`].
    pub incarnation: Incarnation,
}

/// The number of the member that founds a segment. `founding` is from 1 to below 2^29, and another one for each segment of a
/// directory.
pub fn first_incarnation(founding: u32) -> Incarnation {
    control::incarnation(founding, 1)
}

/// A number for a new member of a segment, which nobody gets again. It is taken before the member
/// [joins](crate::Engine::join), so that the others can tell whether it lives once its number is seen.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] if nobody founded the segment, or with another layout; [`ErrorKind::Condemned`];
/// [`ErrorKind::Busy`] if all numbers are used up.
pub fn next_incarnation(segment: &dyn Segment) -> Result<Incarnation> {
    let control = founded(segment)?;
    if let Some(reason) = control.condemned() {
        return Err(health::condemned(reason));
    }
    control.next_incarnation().ok_or_else(|| {
        let message = "no number is left for another process that opens the database";
        Error::new(ErrorKind::Busy, message)
    })
}

/// The control page of a segment that was founded.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] if it was not, or by a program with another layout.
pub(crate) fn founded(segment: &dyn Segment) -> Result<Control> {
    let control = Control::over(segment.control()).filter(Control::is_founded);
    control.ok_or_else(|| {
        let message = "the shared memory holds no database that this program can read";
        Error::new(ErrorKind::InvalidArgument, message)
    })
}

/// A member of a segment.
pub(crate) struct Member {
    pub(crate) control: Control,
    pub(crate) segment: Arc<dyn Segment>,
    pub(crate) peers: Arc<dyn Peers>,
    pub(crate) own: Incarnation,
    /// [`Options::name`](crate::Options::name).
    pub(crate) name: Arc<str>,
    pid: u32,
    /// Its slot in the control page.
    slot: usize,
    /// It gave the slot back.
    left: AtomicBool,
}

impl Member {
    /// A new member of a segment that was founded.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] if all slots are taken; [`ErrorKind::Condemned`].
    pub(crate) fn join(
        control: Control,
        membership: Membership,
        name: &Arc<str>,
    ) -> Result<Member> {
        let Membership {
            segment,
            peers,
            incarnation: own,
        } = membership;
        let slot = control.claim_slot(own).ok_or_else(|| {
            let message = "as many processes as can be have the database open";
            Error::new(ErrorKind::Busy, message)
        })?;
        let pid = std::process::id();
        control.introduce(slot, pid, peers.milliseconds());
        let member = Member {
            control,
            segment,
            peers,
            own,
            name: Arc::clone(name),
            pid,
            slot,
            left: AtomicBool::new(false),
        };
        match member.control.condemned() {
            Some(reason) => Err(health::condemned(reason)),
            None => Ok(member),
        }
    }

    /// Its slot, until it leaves.
    fn slot(&self) -> Option<usize> {
        (!self.left.load(Ordering::Relaxed)).then_some(self.slot)
    }

    /// Stores the oldest moment that this member has pinned; see [`Control::store_pin`]. The caller excludes
    /// [`Member::leave`].
    pub(crate) fn store_pin(&self, oldest: Option<Sequence>) {
        if let Some(slot) = self.slot() {
            self.control.store_pin(slot, oldest);
        }
    }

    /// Reads of this member have made the table of this number worth compacting: the leader is told.
    pub(crate) fn tell_worn(&self, number: u64) {
        let Some(slot) = self.slot() else {
            return;
        };
        if self.control.store_worn(slot, number) {
            Bell::new(&self.control, &self.peers).ring();
        }
    }

    /// The oldest moment that this member has pinned is another one from now on.
    pub(crate) fn pinned_now(&self) {
        if let Some(slot) = self.slot() {
            let now = self.peers.milliseconds();
            self.control.store_pinned_since(slot, now);
        }
    }

    /// Says how many pins this member has, for whoever asks. As [`Member::store_pin`].
    pub(crate) fn store_pin_count(&self, pins: usize) {
        if let Some(slot) = self.slot() {
            let pins = u32::try_from(pins).unwrap_or(u32::MAX);
            self.control.store_pin_count(slot, self.pid, pins);
        }
    }

    /// This member is about to sync a log. The caller excludes [`Member::leave`].
    pub(crate) fn begin_sync(&self, log: u64) {
        if let Some(slot) = self.slot() {
            self.control.begin_sync(slot, log);
        }
    }

    /// It did; if that failed, it has said so.
    pub(crate) fn end_sync(&self) {
        if let Some(slot) = self.slot() {
            self.control.end_sync(slot);
        }
        if let Some(word) = self.control.ring(BellKind::Sync) {
            step!(self.peers, Wake);
            self.peers.wake_all(word);
        }
    }

    /// The syncs of a log that other members have under way.
    pub(crate) fn syncers_of(&self, log: u64) -> Vec<Syncer> {
        self.control.syncers_of(log, self.own)
    }

    /// Gives the slot back (Q4). Whatever pins there are hold nothing any more.
    pub(crate) fn leave(&self) {
        if let Some(slot) = self.slot()
            && !self.left.swap(true, Ordering::Relaxed)
        {
            self.control.give_back_slot(slot);
        }
    }

    /// Whether a member will never store anything again. One's own is never judged.
    pub(crate) fn is_dead(&self, member: Incarnation) -> bool {
        member != self.own && self.peers.is_dead(member)
    }

    /// What is read now.
    ///
    /// # Errors
    /// [`ErrorKind::Condemned`] if the control page contradicts itself.
    pub(crate) fn current_version(&self) -> Result<(ViewWord, VersionRecord)> {
        let current = self.control.current_version();
        current.ok_or_else(|| {
            self.control.condemn(CondemnReason::Damaged);
            health::condemned(CondemnReason::Damaged)
        })
    }

    /// Fails if a view stays that names a region which is not in its slot. For who could not read what it names.
    pub(crate) fn check_view(&self, view: ViewWord) -> Result<()> {
        let (now, version) = self.current_version()?;
        let not_in_tables = now.active.wrapping_sub(version.flushed);
        let count = not_in_tables.clamp(1, REGIONS);
        match now == view && self.control.is_damaged(view, count) {
            true => Err(health::condemned(CondemnReason::Damaged)),
            false => Ok(()),
        }
    }

    /// Regions that wait for their flush.
    pub(crate) fn frozen_count(&self) -> Result<u32> {
        let (view, version) = self.current_version()?;
        Ok(view.active.wrapping_sub(version.flushed).saturating_sub(1))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.leave();
    }
}
