//! Pins (snapshots) and the drop floor, under one lock.
//!
//! Promises: while a [`Pin`] lives, every read at its sequence gives the same answer, because a compaction drops only
//! what no moment at or above its horizon needs, and the horizon is never above the smallest pin. A horizon once chosen
//! is the new drop floor: no moment below it can be pinned any more. Choosing a horizon and pinning exclude each other.
//! Must not know: views, files, or who holds a pin.
//!
//! The floor rises in memory before the listener records it, and the compaction begins after: a failed record leaves
//! the floor too high, which refuses pins that would still be readable, never the reverse.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use level_party_format::Sequence;

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::options::Listener;
use crate::base::sync::{AtomicU64, Mutex};

#[cfg(all(test, loom))]
mod models;

/// All pins of an engine and its drop floor.
pub(crate) struct Snapshots {
    state: Mutex<State>,
    /// Changed under the lock, read without it.
    floor: AtomicU64,
    listener: Option<Arc<dyn Listener>>,
}

struct State {
    /// How many pins hold each sequence.
    pins: BTreeMap<Sequence, usize>,
    /// The floor that the listener has recorded.
    recorded: Sequence,
}

impl Snapshots {
    pub(crate) fn new(floor: Sequence, listener: Option<Arc<dyn Listener>>) -> Arc<Snapshots> {
        let state = State {
            pins: BTreeMap::new(),
            recorded: floor,
        };
        Arc::new(Snapshots {
            state: Mutex::new(state),
            floor: AtomicU64::new(floor),
            listener,
        })
    }

    /// Pins the sequence that `now` gives, asked under the lock.
    pub(crate) fn pin(self: &Arc<Self>, now: impl FnOnce() -> Sequence) -> Pin {
        let mut state = self.state.lock();
        let sequence = now();
        state.add(sequence);
        Pin {
            sequence,
            snapshots: Arc::clone(self),
        }
    }

    /// Pins a given moment.
    pub(crate) fn pin_at(
        self: &Arc<Self>,
        sequence: Sequence,
        now: impl FnOnce() -> Sequence,
    ) -> Result<Pin> {
        let mut state = self.state.lock();
        check_readable(sequence, self.floor(), now())?;
        state.add(sequence);
        Ok(Pin {
            sequence,
            snapshots: Arc::clone(self),
        })
    }

    /// The lowest sequence that can be pinned. A view loaded before this is asked lacks nothing at or above the answer.
    pub(crate) fn floor(&self) -> Sequence {
        self.floor.load(Ordering::SeqCst)
    }

    /// How many pins there are, and the smallest.
    pub(crate) fn count(&self) -> (usize, Option<Sequence>) {
        let state = self.state.lock();
        let oldest = state.pins.keys().next().copied();
        (state.pins.values().sum(), oldest)
    }

    /// The horizon of a compaction about to begin: the smallest pin, or what `now` gives where there is none. The drop
    /// floor is raised to it and the listener has recorded that.
    ///
    /// # Errors
    /// The listener's error; the compaction must not run.
    pub(crate) fn raise_horizon(&self, now: impl FnOnce() -> Sequence) -> Result<Sequence> {
        let (horizon, recorded) = {
            let state = self.state.lock();
            let mut smallest = state.pins.keys().next().copied();
            if planted!(PinsIgnored) {
                smallest = None;
            }
            let horizon = smallest.unwrap_or_else(now);
            #[cfg(test)]
            let state = if planted!(HorizonInTwoSteps) {
                drop(state);
                self.state.lock()
            } else {
                state
            };
            self.floor.fetch_max(horizon, Ordering::SeqCst);
            (horizon, state.recorded)
        };
        if horizon > recorded {
            if let Some(listener) = &self.listener {
                let raised = listener.raise_drop_floor(horizon);
                raised.map_err(|error| {
                    let message =
                        format!("the drop floor {horizon} could not be recorded: {error}");
                    Error::with_source(crate::base::error::classify(&error), message, error)
                })?;
            }
            let mut state = self.state.lock();
            state.recorded = state.recorded.max(horizon);
        }
        Ok(horizon)
    }
}

impl State {
    fn add(&mut self, sequence: Sequence) {
        *self.pins.entry(sequence).or_default() += 1;
    }
}

/// Whether a moment lies between the drop floor and the last published sequence.
pub(crate) fn check_readable(sequence: Sequence, floor: Sequence, last: Sequence) -> Result<()> {
    if sequence > last {
        let message = format!("sequence {sequence} is above the last published one, {last}");
        return Err(Error::new(ErrorKind::InvalidArgument, message));
    }
    if sequence < floor {
        let message = format!("the moment {sequence} can no longer be read, the oldest is {floor}");
        return Err(Error::new(ErrorKind::SnapshotLost, message));
    }
    Ok(())
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
        self.snapshots.state.lock().add(self.sequence);
        Pin {
            sequence: self.sequence,
            snapshots: Arc::clone(&self.snapshots),
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut state = self.snapshots.state.lock();
        if let Some(count) = state.pins.get_mut(&self.sequence) {
            *count -= 1;
            if *count == 0 {
                state.pins.remove(&self.sequence);
            }
        }
    }
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pin({})", self.sequence)
    }
}
