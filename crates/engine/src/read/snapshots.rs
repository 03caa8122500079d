//! Pins (snapshots) and the drop floor.
//!
//! Promises: while a [`Pin`] lives, every read at its sequence gives the same answer, because a compaction drops only
//! what no moment at or above its horizon needs, and the horizon is never above the smallest pin of any member. A horizon
//! once chosen is the new drop floor: no moment below it can be pinned any more. Choosing a horizon and pinning exclude each
//! other by fences ([`Control::floor_at`](crate::base::control::Control::floor_at)), in one process and between two.
//! Must not know: views, files, or who holds a pin.
//!
//! The floor rises in memory before the listener records it, and the compaction begins after: a failed record leaves
//! the floor too high, which refuses pins that would still be readable, never the reverse.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use level_party_format::Sequence;

use crate::base::control::{BellKind, Floor, Leading};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::member::Member;
use crate::base::options::Listener;
use crate::base::sync::{Mutex, yield_now};

#[cfg(all(test, loom))]
mod models;

/// How often a scan of the pins is looked at before the first sleep.
const SCAN_LOOKS: usize = 1_000;
/// How often one is slept for, and how long each time: a second in all.
const SCAN_SLEEPS: usize = 500;
const SCAN_SLEEP: Duration = Duration::from_millis(2);

/// The pins of a member.
pub(crate) struct Snapshots {
    member: Arc<Member>,
    /// The oldest pin is in the member's slot, and their number: all change under this lock.
    pins: Mutex<Pins>,
    /// The floor that the listener has recorded. The leader's thread alone raises it.
    recorded: Mutex<Sequence>,
    listener: Option<Arc<dyn Listener>>,
}

/// How many pins hold each sequence, and how many there are.
#[derive(Default)]
struct Pins {
    holds: BTreeMap<Sequence, Holds>,
    count: usize,
}

/// The pins of one sequence.
#[derive(Default)]
struct Holds {
    all: usize,
    /// Of them those that were given out: the floor was at or below the sequence when they were in the slot, and is since.
    given: usize,
}

impl Pins {
    fn oldest(&self) -> Option<Sequence> {
        self.holds.keys().next().copied()
    }

    /// Whether a pin that was given out keeps the floor at or below this sequence.
    fn covers(&self, sequence: Sequence) -> bool {
        let mut up_to = self.holds.range(..=sequence);
        up_to.any(|(_, holds)| holds.given > 0)
    }
}

impl Snapshots {
    pub(crate) fn new(member: &Arc<Member>, listener: Option<Arc<dyn Listener>>) -> Arc<Snapshots> {
        Arc::new(Snapshots {
            pins: Mutex::new(Pins::default()),
            // The horizon in the page may be one that a leader which died had not recorded yet.
            recorded: Mutex::new(0),
            member: Arc::clone(member),
            listener,
        })
    }

    /// Pins the sequence that `now` gives.
    pub(crate) fn pin(self: &Arc<Self>, now: impl Fn() -> Sequence) -> Pin {
        let mut pins = self.pins.lock();
        loop {
            let sequence = now();
            self.add(&mut pins, sequence);
            if self.member.control.floor_at(sequence) == Floor::Below {
                return self.give(&mut pins, sequence);
            }
            self.remove(&mut pins, sequence);
        }
    }

    /// Pins a given moment: at once where an older one is pinned in this process. Otherwise a scan of the pins that is under way
    /// comes first.
    ///
    /// # Errors
    /// [`ErrorKind::SnapshotLost`], [`ErrorKind::InvalidArgument`]; [`ErrorKind::Busy`]: the leader was stopped in its scan, or died
    /// in it and nobody has succeeded it.
    pub(crate) fn pin_at(
        self: &Arc<Self>,
        sequence: Sequence,
        now: impl FnOnce() -> Sequence,
    ) -> Result<Pin> {
        check_readable(sequence, 0, now())?;
        {
            let mut pins = self.pins.lock();
            self.add(&mut pins, sequence);
            if pins.covers(sequence) {
                return Ok(self.give(&mut pins, sequence));
            }
        }
        let Member { control, peers, .. } = self.member.as_ref();
        let mut left = SCAN_LOOKS + SCAN_SLEEPS;
        loop {
            let refusal = match control.floor_at(sequence) {
                Floor::Below => return Ok(self.give(&mut self.pins.lock(), sequence)),
                Floor::Undecided if left > 0 && !control.is_condemned() => {
                    left -= 1;
                    if left >= SCAN_SLEEPS {
                        // Some hundred loads by the leader.
                        yield_now();
                    } else {
                        let (bell, rings) = control.announce_sleep_at(BellKind::Progress);
                        peers.sleep(bell, rings, SCAN_SLEEP);
                    }
                    continue;
                }
                Floor::Undecided => undecided(sequence),
                Floor::Above => lost(sequence, self.floor()),
            };
            self.remove(&mut self.pins.lock(), sequence);
            return Err(refusal);
        }
    }

    fn give(self: &Arc<Self>, pins: &mut Pins, sequence: Sequence) -> Pin {
        pins.holds.entry(sequence).or_default().given += 1;
        Pin {
            sequence,
            snapshots: Arc::clone(self),
        }
    }

    fn add(&self, pins: &mut Pins, sequence: Sequence) {
        let before = pins.oldest();
        pins.holds.entry(sequence).or_default().all += 1;
        pins.count += 1;
        self.store_oldest(pins);
        if before.is_none_or(|before| before > sequence) {
            self.member.pinned_now();
        }
    }

    fn remove(&self, pins: &mut Pins, sequence: Sequence) {
        if let Some(holds) = pins.holds.get_mut(&sequence) {
            holds.all -= 1;
            pins.count -= 1;
            if holds.all == 0 {
                pins.holds.remove(&sequence);
            }
        }
        self.store_oldest(pins);
    }

    fn store_oldest(&self, pins: &Pins) {
        self.member.store_pin(pins.oldest());
        self.member.store_pin_count(pins.count);
    }

    /// Ends what the pins of this member hold: it leaves (Q4). Moments that they name are lost once they are compacted away.
    pub(crate) fn leave(&self) {
        let _pins = self.pins.lock();
        self.member.leave();
    }

    /// Clears the slots of members that are dead, for those who want to join.
    pub(crate) fn clear_dead(&self, leading: &Leading) {
        // The leader's thread may be at it, too.
        let _recorded = self.recorded.lock();
        leading.clear_dead(|member| self.member.is_dead(member));
    }

    /// The lowest sequence that can be pinned. A view loaded before this is asked lacks nothing at or above the answer.
    pub(crate) fn floor(&self) -> Sequence {
        self.member.control.horizon()
    }

    /// How many pins this member has, and the smallest.
    pub(crate) fn count(&self) -> (usize, Option<Sequence>) {
        let pins = self.pins.lock();
        (pins.count, pins.oldest())
    }

    /// The horizon of a compaction about to begin: the smallest pin of all members, or what `now` gives where there is
    /// none. The drop floor is raised to it and the listener has recorded that.
    ///
    /// # Errors
    /// The listener's error; the compaction must not run.
    pub(crate) fn raise_horizon(
        &self,
        leading: &Leading,
        now: impl FnOnce() -> Sequence,
    ) -> Result<Sequence> {
        let mut recorded = self.recorded.lock();
        let horizon = leading.raise_horizon(now(), |member| self.member.is_dead(member));
        if horizon > *recorded {
            if let Some(listener) = &self.listener {
                let raised = listener.raise_drop_floor(horizon);
                raised.map_err(|error| {
                    let message =
                        format!("the drop floor {horizon} could not be recorded: {error}");
                    Error::with_source(crate::base::error::classify(&error), message, error)
                })?;
            }
            *recorded = horizon;
        }
        Ok(horizon)
    }
}

/// Whether a moment lies between the drop floor and the last published sequence.
pub(crate) fn check_readable(sequence: Sequence, floor: Sequence, last: Sequence) -> Result<()> {
    if sequence > last {
        let message = format!("sequence {sequence} is above the last published one, {last}");
        return Err(Error::new(ErrorKind::InvalidArgument, message));
    }
    if sequence < floor {
        return Err(lost(sequence, floor));
    }
    Ok(())
}

fn undecided(sequence: Sequence) -> Error {
    let message = format!(
        "whether the moment {sequence} can still be read is for the leading process to say, which does not get on"
    );
    Error::new(ErrorKind::Busy, message)
}

fn lost(sequence: Sequence, floor: Sequence) -> Error {
    let message = format!("the moment {sequence} can no longer be read, the oldest is {floor}");
    Error::new(ErrorKind::SnapshotLost, message)
}

/// Keeps one moment readable until it is dropped. A clone is a pin of its own.
pub struct Pin {
    sequence: Sequence,
    snapshots: Arc<Snapshots>,
}

impl Pin {
    /// The pinned moment: every write up to and including this sequence.
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }
}

impl Clone for Pin {
    fn clone(&self) -> Pin {
        // The floor is at or below it for as long as it is pinned.
        let mut pins = self.snapshots.pins.lock();
        self.snapshots.add(&mut pins, self.sequence);
        self.snapshots.give(&mut pins, self.sequence)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pins = self.snapshots.pins.lock();
        if let Some(holds) = pins.holds.get_mut(&self.sequence) {
            holds.given -= 1;
        }
        self.snapshots.remove(&mut pins, self.sequence);
    }
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pin({})", self.sequence)
    }
}
