//! The moments a session holds, and giving them back.

use std::collections::BTreeMap;

use super::pump::Patience;
use super::{Inner, Session, Tenure, Via};
use crate::error::{Error, ErrorKind, Result};
use crate::leader::Leadership;

/// Names one grant of a pinned moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PinId(u64);

/// The grants a session holds, and those its leader has not been told of having back.
#[derive(Default)]
pub(super) struct Pins {
    next: u64,
    held: BTreeMap<PinId, Moment>,
    /// Given back, to be told to the leader with the next frame.
    returned: Vec<u64>,
}

struct Moment {
    sequence: u64,
    /// A leader could no longer read it: it stays lost, whatever its number names later.
    lost: bool,
}

impl Pins {
    pub fn grant(&mut self, sequence: u64) -> PinId {
        self.next += 1;
        let id = PinId(self.next);
        self.held.insert(
            id,
            Moment {
                sequence,
                lost: false,
            },
        );
        id
    }

    /// Each moment that can still be read, once for each grant, in the order of the grants.
    pub fn readable(&self) -> impl Iterator<Item = (PinId, u64)> {
        self.held
            .iter()
            .filter(|(_, moment)| !moment.lost)
            .map(|(id, m)| (*id, m.sequence))
    }

    pub fn lose(&mut self, id: PinId) {
        if let Some(moment) = self.held.get_mut(&id) {
            moment.lost = true;
        }
    }

    pub fn check(&self, id: PinId) -> Result<()> {
        match self.held.get(&id) {
            Some(Moment { lost: false, .. }) => Ok(()),
            _ => Err(Error::new(
                ErrorKind::SnapshotLost,
                "the moment of this snapshot or iterator can no longer be read; take a new one",
            )),
        }
    }

    /// Forgets what was given back: the leader that had granted it has gone.
    pub fn forget_returned(&mut self) {
        self.returned.clear();
    }

    pub fn has_returned(&self) -> bool {
        !self.returned.is_empty()
    }

    pub fn take_returned(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.returned)
    }

    /// One grant is given back to whom it came from.
    pub fn give_back(&mut self, sequence: u64) {
        self.returned.push(sequence);
    }
}

impl Session {
    /// The moment behind `id` can still be read, as far as this process knows.
    ///
    /// # Errors
    /// `SnapshotLost`.
    pub fn check_pin(&self, id: PinId) -> Result<()> {
        self.lock().pins.check(id)
    }

    /// Registers a grant that the leader of `tenure` made. `None`: that leader has gone, and the grant with it.
    pub(super) fn register_grant(&self, sequence: u64, tenure: Tenure) -> Option<PinId> {
        let mut inner = self.lock();
        (inner.tenure == tenure).then(|| inner.pins.grant(sequence))
    }

    /// Gives the grant `id` back. Never blocks: the leader is told now, or with the next frame.
    pub fn unpin(&self, id: PinId) {
        let mut inner = self.lock();
        self.unpin_locked(&mut inner, id);
        self.pump(&mut inner, Patience::None);
    }

    pub(super) fn unpin_locked(&self, inner: &mut Inner, id: PinId) {
        let Some(moment) = inner.pins.held.remove(&id).filter(|moment| !moment.lost) else {
            return;
        };
        match &inner.via {
            Via::Local(local) => local.leadership.unpin(moment.sequence),
            // Between leaders too: the one that is just being greeted may have been told of the pin.
            Via::Link(_) | Via::Nobody => inner.pins.give_back(moment.sequence),
            Via::Closed => {}
        }
    }

    /// This process leads now: what was given back meanwhile goes back to its own grants.
    pub(super) fn return_to(&self, inner: &mut Inner, leadership: &Leadership) {
        for sequence in inner.pins.returned.drain(..) {
            leadership.unpin(sequence);
        }
    }
}
