//! The moments that one session holds at the leader.

use std::collections::BTreeMap;

use level_party_engine::Pin;
use parking_lot::Mutex;

/// Grants that one session may hold: a bound on what a peer can make the leader remember.
pub(crate) const MAX_GRANTS: u64 = 65_536;

/// Pins by moment, each with the number of grants that stand on it.
#[derive(Default)]
pub(crate) struct Grants {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    moments: BTreeMap<u64, (Pin, u64)>,
    count: u64,
}

impl Grants {
    /// One more grant of the pinned moment. False: there are too many.
    pub fn add(&self, pin: Pin) -> bool {
        let mut held = self.held.lock();
        if held.count == MAX_GRANTS {
            return false;
        }
        held.count += 1;
        held.moments.entry(pin.sequence()).or_insert((pin, 0)).1 += 1;
        true
    }

    /// A pin of that moment for the time of a read, if the session holds it.
    pub fn pin(&self, sequence: u64) -> Option<Pin> {
        self.held
            .lock()
            .moments
            .get(&sequence)
            .map(|(pin, _)| pin.clone())
    }

    /// One grant less; with the last one the pin goes. An unknown moment is no error: it was lost before.
    pub fn release(&self, sequence: u64) {
        let mut held = self.held.lock();
        let Some((_, count)) = held.moments.get_mut(&sequence) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            held.moments.remove(&sequence);
        }
        held.count -= 1;
    }
}
