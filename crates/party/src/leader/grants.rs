//! The moments that one session holds at the leader.

use std::collections::BTreeMap;

use level_party_engine::Pin;

/// Pins by moment, each with the number of grants that stand on it.
#[derive(Default)]
pub(crate) struct Grants {
    held: BTreeMap<u64, (Pin, u64)>,
}

impl Grants {
    /// One more grant of the pinned moment.
    pub fn add(&mut self, pin: Pin) {
        self.held.entry(pin.sequence()).or_insert((pin, 0)).1 += 1;
    }

    /// Whether the session holds that moment.
    pub fn holds(&self, sequence: u64) -> bool {
        self.held.contains_key(&sequence)
    }

    /// One grant less; with the last one the pin goes. An unknown moment is no error: it was lost before.
    pub fn release(&mut self, sequence: u64) {
        if let Some((_, count)) = self.held.get_mut(&sequence) {
            *count -= 1;
            if *count == 0 {
                self.held.remove(&sequence);
            }
        }
    }
}
