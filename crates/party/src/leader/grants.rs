//! The moments that one session holds at the leader.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use level_party_engine::Pin;
use parking_lot::Mutex;

use super::allowance::Allowance;
use crate::error::{Error, ErrorKind, Result};
use crate::sign_of_life::Member;
use crate::state::StateFile;

/// Grants that one session may hold: a bound on what a peer can make the leader remember.
pub(crate) const MAX_GRANTS: u64 = 65_536;

/// Pins by moment, each with the number of grants that stand on it. The session's row in the state file tells of the
/// oldest: written before the grant is answered. Dropping this leaves the row, for the session may come back, here or
/// to the next leader.
pub(crate) struct Grants {
    state: Arc<StateFile>,
    owner: Member,
    /// What it is counted in; `None` for this process's own.
    allowance: Option<Arc<Allowance>>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// By moment; with the time since when this leader has kept it for the session.
    moments: BTreeMap<u64, (Pin, u64, Instant)>,
    count: u64,
    /// The oldest moment as the row has it, once this has written it.
    recorded: Option<Option<u64>>,
}

impl Grants {
    pub(super) fn new(
        state: Arc<StateFile>,
        owner: Member,
        allowance: Option<Arc<Allowance>>,
    ) -> Self {
        Grants {
            state,
            owner,
            allowance,
            held: Mutex::default(),
        }
    }

    pub fn owner(&self) -> Member {
        self.owner
    }

    pub fn count(&self) -> u64 {
        self.held.lock().count
    }

    /// One more grant of the pinned moment.
    ///
    /// # Errors
    /// `InvalidArgument` if the session holds too many, `Busy` if all sessions together do.
    pub fn add(&self, pin: Pin) -> Result<()> {
        let mut held = self.held.lock();
        if held.count == MAX_GRANTS {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("this process holds {MAX_GRANTS} snapshots and iterators; drop some"),
            ));
        }
        if let Some(allowance) = self.allowance.as_ref().filter(|all| !all.take()) {
            return Err(Error::new(
                ErrorKind::Busy,
                format!(
                    "all processes together hold {} snapshots and iterators, the most that a leader keeps; it had no \
                     effect: try again when some are dropped (`status` says who holds how many)",
                    allowance.most()
                ),
            ));
        }
        held.count += 1;
        let moment = held.moments.entry(pin.sequence());
        moment.or_insert_with(|| (pin, 0, Instant::now())).1 += 1;
        self.record(&mut held);
        Ok(())
    }

    /// How many grants there are, and the oldest moment with the time for which it has been held.
    pub fn told(&self) -> (u64, Option<(u64, Duration)>) {
        let held = self.held.lock();
        let oldest = held.moments.iter().next();
        let oldest = oldest.map(|(sequence, (_, _, since))| (*sequence, since.elapsed()));
        (held.count, oldest)
    }

    /// A pin of that moment for the time of a read, if the session holds it.
    pub fn pin(&self, sequence: u64) -> Option<Pin> {
        self.held
            .lock()
            .moments
            .get(&sequence)
            .map(|(pin, ..)| pin.clone())
    }

    /// One grant less; with the last one the pin goes. An unknown moment is no error: it was lost before.
    pub fn release(&self, sequence: u64) {
        let mut held = self.held.lock();
        let Some((_, count, _)) = held.moments.get_mut(&sequence) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            held.moments.remove(&sequence);
        }
        held.count -= 1;
        self.give_back(1);
        self.record(&mut held);
    }

    /// The session has come back and named all that it holds: its row says that, and nothing of before.
    pub fn settle(&self) {
        self.record(&mut self.held.lock());
    }

    /// The session is dead, or given up: nobody need wait for it.
    pub fn forget(&self) {
        let mut held = self.held.lock();
        self.give_back(held.count);
        *held = Held {
            recorded: held.recorded,
            ..Held::default()
        };
        self.record(&mut held);
    }

    fn give_back(&self, count: u64) {
        if let Some(allowance) = &self.allowance {
            allowance.give_back(count);
        }
    }

    fn record(&self, held: &mut Held) {
        let oldest = held.moments.keys().next().copied();
        if held.recorded == Some(oldest) {
            return;
        }
        let recorded = match self.owner.place {
            Some(place) => self.state.record_session(self.owner.session, place, oldest),
            None if oldest.is_none() => Ok(()),
            None => self.state.record_unlisted(),
        };
        // Where it can't be written, the next leader may not wait for this session, which loses its snapshots then.
        let _ = recorded.or_else(|_| self.state.record_unlisted());
        held.recorded = Some(oldest);
    }
}

impl Drop for Grants {
    fn drop(&mut self) {
        let count = self.held.get_mut().count;
        self.give_back(count);
    }
}
