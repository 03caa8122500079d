//! The moments a session holds, and giving them back.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Inner, Session, Tenure, Via};
use crate::error::{Error, ErrorKind, Result};
use crate::follower::{Link, SendError};
use crate::leader::Leadership;
use crate::protocol::{ClientMessage, encode_frame};

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
        self.inner.lock().pins.check(id)
    }

    /// Registers a grant that the leader of `tenure` made. `None`: that leader has gone, and the grant with it.
    pub(super) fn register_grant(&self, sequence: u64, tenure: Tenure) -> Option<PinId> {
        let mut inner = self.inner.lock();
        (inner.tenure == tenure).then(|| inner.pins.grant(sequence))
    }

    /// Gives the grant `id` back. Never blocks: the leader is told now, or with the next frame.
    pub fn unpin(&self, id: PinId) {
        {
            let mut inner = self.inner.lock();
            let Some(moment) = inner.pins.held.remove(&id) else {
                return;
            };
            if moment.lost {
                return;
            }
            match &inner.via {
                Via::Local(local) => return local.leadership.unpin(moment.sequence),
                // Between leaders too: the one that is just being greeted may have been told of the pin.
                Via::Link(_) | Via::Nobody => inner.pins.give_back(moment.sequence),
                Via::Closed => return,
            }
        }
        self.flush_returned();
    }

    /// This process leads now: what was given back meanwhile goes back to its own grants.
    pub(super) fn return_to(&self, inner: &mut Inner, leadership: &Leadership) {
        for sequence in inner.pins.returned.drain(..) {
            leadership.unpin(sequence);
        }
    }

    /// Tells the leader of the grants that were given back, unless somebody else is sending: who sends looks again.
    pub(super) fn flush_returned(&self) {
        while self.has_returned() {
            let Some(sender) = self.sender.try_lock() else {
                return;
            };
            let Some((link, tenure, sequences)) = self.inner.lock().take_returned() else {
                return;
            };
            let mut frames = Vec::new();
            for &sequence in &sequences {
                encode_frame(&ClientMessage::Unpin { sequence }, &mut frames);
            }
            let sent = link.try_send(&frames);
            drop(sender);
            match sent {
                Ok(()) => {}
                // The connection is full: they go with the next frame.
                Err(SendError::NothingSent) => {
                    let mut inner = self.inner.lock();
                    if inner.tenure == tenure {
                        inner.pins.returned.extend(sequences);
                    }
                    return;
                }
                Err(SendError::Broken) => self.lose(tenure),
            }
        }
    }

    fn has_returned(&self) -> bool {
        let inner = self.inner.lock();
        inner.may_send() && !inner.pins.returned.is_empty()
    }
}

impl Inner {
    /// Whether there is a leader to send to, and nothing older is still on its way to it.
    fn may_send(&self) -> bool {
        matches!(self.via, Via::Link(_)) && !self.catching_up
    }

    fn take_returned(&mut self) -> Option<(Arc<Link>, Tenure, Vec<u64>)> {
        match &self.via {
            Via::Link(link) if self.may_send() => {
                let link = link.clone();
                Some((link, self.tenure, std::mem::take(&mut self.pins.returned)))
            }
            _ => None,
        }
    }
}
