//! The moments that this process's handles hold, over any number of stays.
//!
//! A moment is pinned in the segment that this process is a member of. When it becomes a member of another one, each moment is
//! pinned anew there before the new stay answers anything; it is lost where that can't be, for good, whatever its number means
//! later.
//! Must not know: who reads at a moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use level_party_engine::{Engine, ErrorKind as EngineErrorKind, Pin};
use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::limits::Stay;

/// The moments that this process's handles hold.
#[derive(Default)]
pub(crate) struct Pins {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// The stay in whose segment moments are pinned.
    stay: Option<Stay>,
    next: u64,
    moments: BTreeMap<u64, Arc<Moment>>,
}

/// A moment.
pub(crate) struct Moment {
    id: u64,
    sequence: u64,
    state: Mutex<State>,
}

enum State {
    Pinned(#[expect(dead_code, reason = "held for its drop")] Pin),
    /// Between two stays.
    Loose,
    Lost,
}

impl Moment {
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The moment can still be read, as far as this process knows.
    ///
    /// # Errors
    /// `SnapshotLost`.
    pub fn check(&self) -> Result<()> {
        match &*self.state.lock() {
            State::Lost => Err(Error::new(
                ErrorKind::SnapshotLost,
                "the moment of this snapshot or iterator can no longer be read; take a new one",
            )),
            _ => Ok(()),
        }
    }
}

impl Pins {
    /// Keeps a moment that was pinned in a stay. `None`: that stay is over, so that nobody would pin it anew.
    pub fn hold(&self, pin: Pin, stay: Stay) -> Option<Arc<Moment>> {
        let mut held = self.held.lock();
        if held.stay != Some(stay) {
            drop(held);
            drop(pin); // It takes locks of the engine.
            return None;
        }
        held.next += 1;
        let moment = Arc::new(Moment {
            id: held.next,
            sequence: pin.sequence(),
            state: Mutex::new(State::Pinned(pin)),
        });
        held.moments.insert(moment.id, moment.clone());
        Some(moment)
    }

    /// Gives a moment back.
    pub fn give_back(&self, moment: &Moment) {
        self.held.lock().moments.remove(&moment.id);
        let state = std::mem::replace(&mut *moment.state.lock(), State::Lost);
        // Its drop takes locks of the engine.
        drop(state);
    }

    /// A stay ends: its pins go, and the moments wait for the next one.
    pub fn loosen(&self) {
        let mut held = self.held.lock();
        held.stay = None;
        for moment in held.moments.values() {
            let mut state = moment.state.lock();
            if let State::Pinned(_) = &*state {
                *state = State::Loose;
            }
        }
    }

    /// A stay begins: the moments that wait are pinned there, if its sequences mean the same as theirs; else they are lost. One
    /// waits on where nobody says in time whether it can still be read: each read at it asks again.
    pub fn move_to(&self, engine: &Engine, stay: Stay, unbroken: bool) {
        let mut held = self.held.lock();
        held.stay = Some(stay);
        for moment in held.moments.values() {
            let mut state = moment.state.lock();
            if let State::Loose = &*state {
                let pinned = unbroken.then(|| engine.pin_at(moment.sequence));
                *state = match pinned {
                    Some(Ok(pin)) => State::Pinned(pin),
                    Some(Err(error)) if error.kind() == EngineErrorKind::Busy => State::Loose,
                    _ => State::Lost,
                };
            }
        }
    }
}
