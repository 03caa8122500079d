//! Sessions that hold moments and are not attached: what is kept for them, and for how long.
//!
//! Two kinds: those the leader before knew, for which everything that it kept readable is held as a whole; and those
//! whose connection to this leader broke, whose grants are parked.
//!
//! Invariants:
//! - What is kept for a session goes only after it has come back and its moments were pinned anew, its byte is free (it
//!   is dead), or [`GRACE`] has passed.
//! - What the leader before kept is held until that is so of every session it knew. Where it granted moments to
//!   sessions that have no place in the table, until the grace is over.
//! - What is parked is bounded, in sessions and in moments. Where it is too much, those who hold the most go first, so that
//!   a peer that breaks connections with ever so many moments costs a modest one nothing.
//! - A session that is not waited for any more has no row, so that no later leader waits for it.
//!
//! Crash cases: a leader that dies in its grace leaves the rows of those it waited for to the next one, which waits
//! anew. A session that comes back after its grace finds its moments readable, or `SnapshotLost` by the drop floor.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use level_party_engine::Pin;
use parking_lot::Mutex;

use super::allowance::Allowance;
use super::grants::Grants;
use crate::alarm::Alarm;
use crate::faults;
use crate::sign_of_life::Member;
use crate::state::{Known, StateFile};

/// How long moments are kept for a session that is not attached.
pub(crate) const GRACE: Duration = Duration::from_secs(10);
/// How often it is looked whether those who are waited for still live. The kernel tells nobody that a byte is free.
const LOOK: Duration = Duration::from_millis(100);
/// Sessions whose grants are parked at one time; a peer could break any number of connections.
const MAX_PARKED: usize = 1024;

pub(super) struct Absent {
    state: Arc<StateFile>,
    begun: Instant,
    elector: Arc<Alarm>,
    allowance: Arc<Allowance>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Everything that the leader before kept readable.
    inherited: Option<Pin>,
    /// Whom it is held for.
    expected: BTreeMap<[u64; 2], Known>,
    /// It is held for others too, whom nobody can name.
    unlisted: bool,
    parked: BTreeMap<[u64; 2], Parked>,
}

struct Parked {
    grants: Arc<Grants>,
    since: Instant,
}

impl Absent {
    /// `inherited` is held for the `expected`, and for the `unlisted` if there are any.
    pub fn new(
        state: Arc<StateFile>,
        elector: Arc<Alarm>,
        inherited: Option<Pin>,
        expected: Vec<Known>,
        unlisted: bool,
        allowance: Allowance,
    ) -> Self {
        Absent {
            state,
            begun: Instant::now(),
            elector,
            allowance: Arc::new(allowance),
            inner: Mutex::new(Inner {
                inherited,
                expected: expected.into_iter().map(|k| (k.session, k)).collect(),
                unlisted,
                parked: BTreeMap::new(),
            }),
        }
    }

    /// What all sessions together may hold.
    pub fn allowance(&self) -> Arc<Allowance> {
        self.allowance.clone()
    }

    /// `member` has come back, and what it holds is pinned by its own grants again.
    pub fn returned(&self, member: Member) {
        let mut inner = self.inner.lock();
        inner.parked.remove(&member.session);
        let elsewhere = |known: &Known| Some(known.place) != member.place;
        if let Some(known) = inner.expected.remove(&member.session)
            && elsewhere(&known)
        {
            self.strike(&known);
        }
        // Whoever had this place before is dead.
        inner.expected.retain(|_, known| elsewhere(known));
        drop(inner);
        self.elector.ring();
    }

    /// The connection of a session broke: its grants are kept until it comes back.
    pub fn park(&self, grants: Arc<Grants>) {
        if grants.count() == 0 {
            return;
        }
        if faults::planted("pin-leaked-on-disconnect") {
            return std::mem::forget(grants);
        }
        let parked = Parked {
            grants,
            since: Instant::now(),
        };
        let mut inner = self.inner.lock();
        inner.parked.insert(parked.grants.owner().session, parked);
        inner.make_room(self.allowance.most_parked());
        drop(inner);
        self.elector.ring();
    }

    /// Lets go of what need not be kept any longer as of `now`. Gives when to look again; `None`: nobody is waited for.
    pub fn tend(&self, now: Instant) -> Option<Duration> {
        let mut inner = self.inner.lock();
        let is_over = |since: Instant| now.saturating_duration_since(since) >= GRACE;
        let over = is_over(self.begun);
        inner.expected.retain(|_, known| {
            let keep = !over && self.state.is_alive(known.place);
            if !keep {
                self.strike(known);
            }
            keep
        });
        if over && std::mem::take(&mut inner.unlisted) {
            // If it stays the next leader waits in vain, no more.
            let _ = self.state.forget_unlisted();
        }
        if inner.expected.is_empty() && !inner.unlisted {
            inner.inherited = None;
        }
        let is_dead = |member: Member| member.place.is_some_and(|p| !self.state.is_alive(p));
        let gone: Vec<[u64; 2]> = inner
            .parked
            .iter()
            .filter(|(_, parked)| is_over(parked.since) || is_dead(parked.grants.owner()))
            .map(|(session, _)| *session)
            .collect();
        for session in gone {
            inner.release(session);
        }
        (inner.inherited.is_some() || !inner.parked.is_empty()).then_some(LOOK)
    }

    /// Takes the row of a session away. One that stays makes the next leader wait in vain, no more.
    fn strike(&self, known: &Known) {
        let _ = self.state.record_session(known.session, known.place, None);
    }
}

impl Inner {
    /// Lets go of the sessions that hold the most until the rest is not too much; of equals, of the oldest.
    fn make_room(&mut self, most: u64) {
        let count = |parked: &Parked| parked.grants.count();
        let mut all: u64 = self.parked.values().map(count).sum();
        while all > most || self.parked.len() > MAX_PARKED {
            let greediest = self
                .parked
                .iter()
                .map(|(session, parked)| (count(parked), Reverse(parked.since), *session))
                .max();
            let Some((held, _, session)) = greediest else {
                return;
            };
            self.release(session);
            all -= held;
        }
    }

    fn release(&mut self, session: [u64; 2]) {
        if let Some(parked) = self.parked.remove(&session) {
            parked.grants.forget();
        }
    }
}

/// The grants of an attached session. However its connection ends, they are parked.
pub(super) struct Attached {
    pub grants: Option<Arc<Grants>>,
    pub absent: Arc<Absent>,
}

impl std::ops::Deref for Attached {
    type Target = Grants;

    fn deref(&self) -> &Grants {
        self.grants.as_ref().expect("only drop takes them")
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if let Some(grants) = self.grants.take() {
            self.absent.park(grants);
        }
    }
}

#[cfg(test)]
mod tests {
    use level_party_engine::{Engine, MemFs, Options};

    use super::*;
    use crate::error::ErrorKind;

    struct World {
        _dir: tempfile::TempDir,
        engine: Engine,
        state: Arc<StateFile>,
        absent: Absent,
    }

    impl World {
        fn new(most: u64) -> World {
            let dir = tempfile::tempdir().unwrap();
            let state = Arc::new(StateFile::open(dir.path()).unwrap());
            let elector = Arc::new(Alarm::new().unwrap());
            let allowance = Allowance::new(most);
            World {
                engine: Engine::open(Arc::new(MemFs::default()), Options::default()).unwrap(),
                absent: Absent::new(state.clone(), elector, None, vec![], false, allowance),
                state,
                _dir: dir,
            }
        }

        fn session(&self, id: u64) -> Arc<Grants> {
            let member = Member {
                session: [id; 2],
                place: None,
            };
            let allowance = Some(self.absent.allowance());
            Arc::new(Grants::new(self.state.clone(), member, allowance))
        }

        fn hold(&self, session: &Grants, count: u64) {
            for _ in 0..count {
                session.add(self.engine.pin()).expect("there is room");
            }
        }
    }

    /// Found by review: each session had its bound, and there could be any number of sessions.
    #[test]
    fn what_all_sessions_hold_together_is_bounded_and_the_next_is_told_so() {
        let world = World::new(4);
        let (first, second) = (world.session(1), world.session(2));
        world.hold(&first, 3);
        world.hold(&second, 1);
        let refused = second.add(world.engine.pin()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Busy);
        first.release(world.engine.pin().sequence());
        world.hold(&second, 1);
        assert!(second.add(world.engine.pin()).is_err());
        drop(first);
        world.hold(&second, 2);
        second.forget();
        world.hold(&world.session(3), 4);
        let own = Grants::new(world.state.clone(), second.owner(), None);
        world.hold(&own, 5);
    }

    #[test]
    fn of_what_is_parked_the_most_goes_first_and_the_modest_stay() {
        let world = World::new(20);
        for (id, count) in [(1, 1), (2, 6), (3, 3), (4, 7)] {
            let session = world.session(id);
            world.hold(&session, count);
            world.absent.park(session);
        }
        let kept: Vec<u64> = world
            .absent
            .inner
            .lock()
            .parked
            .keys()
            .map(|s| s[0])
            .collect();
        assert_eq!(kept, [1, 2, 3], "7 of 17 went");
        let pins = world.engine.stats().pins;
        assert_eq!(pins, 3, "one for each session that is left");
        world.hold(&world.session(5), 10);
    }
}
