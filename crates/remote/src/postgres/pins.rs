//! The moments that a process holds.
//!
//! A moment is kept in memory alone until the keeper writes the oldest to the server (`keeper.rs`): pruning leaves what is younger
//! than a minute in any case.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use level_party_locks::Mutex;

use crate::answer::Moment;

#[derive(Default)]
pub struct Pins {
    held: Mutex<BTreeMap<(u64, [u64; 2]), Held>>,
}

struct Held {
    count: u64,
    since: Instant,
}

fn key(moment: Moment) -> (u64, [u64; 2]) {
    (moment.sequence, moment.history.random)
}

impl Pins {
    pub fn hold(&self, moment: Moment) {
        let mut held = self.held.lock();
        let new = || Held {
            count: 0,
            since: Instant::now(),
        };
        held.entry(key(moment)).or_insert_with(new).count += 1;
    }

    pub fn give_back(&self, moment: Moment) {
        let mut held = self.held.lock();
        if let Some(found) = held.get_mut(&key(moment)) {
            found.count -= 1;
            if found.count == 0 {
                held.remove(&key(moment));
            }
        }
    }

    /// How many are held, and the oldest.
    pub fn report(&self) -> (u64, Option<u64>) {
        let held = self.held.lock();
        let count = held.values().map(|held| held.count).sum();
        (count, held.keys().next().map(|(sequence, _)| *sequence))
    }

    /// The oldest moment, if any is held for so long.
    pub fn oldest_of_age(&self, age: Duration) -> Option<u64> {
        let held = self.held.lock();
        let is_old = held.values().any(|held| held.since.elapsed() >= age);
        let oldest = held.keys().next().map(|(sequence, _)| *sequence);
        oldest.filter(|_| is_old)
    }

    pub fn is_empty(&self) -> bool {
        self.held.lock().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::History;

    #[test]
    fn a_moment_is_held_as_often_as_it_was_taken() {
        let pins = Pins::default();
        let moment = |sequence| Moment {
            sequence,
            history: History {
                number: 1,
                random: [0, 0],
            },
        };
        pins.hold(moment(7));
        pins.hold(moment(7));
        pins.hold(moment(9));
        assert_eq!(pins.report(), (3, Some(7)));
        pins.give_back(moment(7));
        assert_eq!(pins.oldest_of_age(Duration::ZERO), Some(7));
        assert_eq!(pins.oldest_of_age(Duration::from_secs(3600)), None);
        pins.give_back(moment(7));
        assert_eq!(pins.report(), (1, Some(9)));
        pins.give_back(moment(9));
        assert!(pins.is_empty());
    }
}
