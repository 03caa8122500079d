//! Leaderships that follow each other in one process, and a session that comes and goes between them as the test wants.

use std::path::Path;

use level_party_engine::{Engine, Options as EngineOptions, StdFs, WriteBatch};
use level_party_os::Stream;
use serde_bytes::Bytes;

use super::absent::GRACE;
use super::*;
use crate::error::ErrorKind;
use crate::follower::{Greeted, Reception};
use crate::protocol::Welcome;
use crate::session::{Answered, Limits, PinId, Session, Tenure};
use crate::sign_of_life::SignOfLife;

const PATIENCE: Duration = Duration::from_secs(60);
const OWN: Member = Member {
    session: [1, 1],
    place: None,
};

fn lead(path: &Path) -> Arc<Leadership> {
    // The engine reaches its files through the descriptor, which a node keeps as long as it lives.
    let dir: &'static DataDir = Box::leak(Box::new(DataDir::open(path).unwrap()));
    let lock = DirLock::try_acquire(dir).unwrap();
    let alarm = Arc::new(Alarm::new().unwrap());
    let options = Options::default().write_buffer_size(64 << 10);
    Leadership::take_over(dir, path, lock, &options, alarm, &|| OWN).unwrap()
}

/// What a settled engine has changed.
fn current(path: &Path) -> Vec<u8> {
    std::fs::read(path.join("CURRENT")).unwrap()
}

fn write(leadership: &Leadership, key: &[u8], value: &[u8]) {
    let mut batch = WriteBatch::new();
    batch.put(key, value);
    let request = Request::Write(Write {
        number: 0,
        sync: false,
        batch: Bytes::new(batch.as_bytes()),
        conditions: Bytes::new(&[]),
    });
    leadership
        .execute(&request, Instant::now() + PATIENCE)
        .unwrap();
}

/// Overwrites `k` until compactions have dropped all that nobody holds.
fn overwrite(leadership: &Leadership) {
    for n in 0..1000 {
        write(leadership, b"k", &vec![n as u8; 1000]);
    }
}

fn pins(leadership: &Leadership) -> u64 {
    match leadership.execute(&Request::Status, Instant::now() + PATIENCE) {
        Ok(Answer::Status(status)) => status.pins,
        other => panic!("not a status: {other:?}"),
    }
}

/// A session that attaches when it is told to.
struct Follower {
    dir: DataDir,
    session: Arc<Session>,
    sign: SignOfLife,
    /// Finds no place in the table.
    unlisted: bool,
}

impl Follower {
    fn of(path: &Path) -> Follower {
        Follower {
            dir: DataDir::open(path).unwrap(),
            session: Session::new(Arc::new(Alarm::new().unwrap())).unwrap(),
            sign: SignOfLife::default(),
            unlisted: false,
        }
    }

    fn attach(&self) -> Tenure {
        let place = match self.unlisted {
            true => None,
            false => self.sign.give(self.dir.path(), self.session.id()).place,
        };
        let options = Options::default().write_buffer_size(64 << 10).engine;
        let greeting = self.session.greeting(options, place);
        let stream = Arc::new(Stream::connect(&self.dir).unwrap());
        let hello = greeting.hello.clone();
        let greeted = Greeted::greet(stream, &self.dir, self.session.page(), hello).unwrap();
        match greeted.next().unwrap() {
            Reception::Welcome(link, welcome) => self
                .session
                .attach(Arc::new(link), &greeting, &welcome)
                .unwrap(),
            Reception::Recovering(_) => panic!("it serves"),
        }
    }

    fn call(&self, request: &Request<'_>) -> crate::error::Result<Answered> {
        self.session.call(request, &Limits::new(PATIENCE, true))
    }

    fn pin(&self) -> (PinId, u64) {
        let answered = self.call(&Request::Pin).unwrap();
        match answered.answer {
            Answer::Pinned { sequence } => (answered.pin.unwrap(), sequence),
            other => panic!("no pin: {other:?}"),
        }
    }

    /// The value of `k` at a pinned moment.
    fn value_at(&self, (id, sequence): (PinId, u64)) -> crate::error::Result<Option<Vec<u8>>> {
        self.session.check_pin(id)?;
        let key = Bytes::new(b"k");
        let at = Some(sequence);
        match self.call(&Request::Get { key, at })?.answer {
            Answer::Value(value) => Ok(value),
            other => panic!("no value: {other:?}"),
        }
    }
}

/// What a leader says to a new session that is owed a sync, or not.
fn welcome_of(path: &Path, owed_sync: bool) -> Welcome {
    let follower = Follower::of(path);
    let options = Options::default().write_buffer_size(64 << 10).engine;
    let mut hello = follower.session.greeting(options, None).hello;
    assert!(!hello.owed_sync, "it has no write in flight");
    hello.owed_sync = owed_sync;
    let stream = Arc::new(Stream::connect(&follower.dir).unwrap());
    let page = follower.session.page();
    let greeted = Greeted::greet(stream, &follower.dir, page, hello).unwrap();
    match greeted.next().unwrap() {
        Reception::Welcome(_, welcome) => welcome,
        Reception::Recovering(_) => panic!("it serves"),
    }
}

/// Has the next table that is made in the directory fail, and gives its name. (Something else has that name; a full disk is
/// no other failure to the engine.)
fn refuse_next_table(path: &Path) -> String {
    let numbers = std::fs::read_dir(path).unwrap().filter_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.strip_suffix(".log")?.parse::<u64>().ok()
    });
    let name = format!("{:06}.ldb", numbers.max().unwrap() + 1);
    std::fs::create_dir(path.join(&name)).unwrap();
    name
}

#[test]
fn a_session_that_is_owed_a_sync_is_welcomed_once_what_was_recovered_lasts() {
    let tmp = tempfile::tempdir().unwrap();
    let first = lead(tmp.path());
    write(&first, b"k", b"1");
    let found = current(tmp.path());
    first.leave();
    let second = lead(tmp.path());
    assert_eq!(welcome_of(tmp.path(), false).not_lasting, None);
    assert!(
        current(tmp.path()) == found,
        "who is owed nothing waits for nothing"
    );
    assert_eq!(welcome_of(tmp.path(), true).not_lasting, None);
    assert!(current(tmp.path()) != found);
    second.leave();
}

#[test]
fn a_session_that_is_owed_a_sync_that_can_not_be_had_is_welcomed_and_told_why() {
    let tmp = tempfile::tempdir().unwrap();
    let first = lead(tmp.path());
    write(&first, b"k", b"1");
    let found = current(tmp.path());
    first.leave();
    let second = lead(tmp.path());
    let table = refuse_next_table(tmp.path());
    let told = welcome_of(tmp.path(), true).not_lasting.unwrap();
    assert!(told.message.contains(&table), "{told:?}");
    assert!(current(tmp.path()) == found);
    assert!(!second.is_over());
    // Whoever comes next has it tried again.
    assert_eq!(welcome_of(tmp.path(), true).not_lasting, None);
    assert!(current(tmp.path()) != found);
    second.leave();
}

/// A leader whose own session has such a write in flight, of the leader before it, and what is answered. `ready` is given
/// what it leads in when it is about to be told of the session.
fn promoted(sync: bool, ready: impl Fn(&Path)) -> (crate::error::Result<Answered>, bool) {
    let tmp = tempfile::tempdir().unwrap();
    let first = lead(tmp.path());
    write(&first, b"k", b"1");
    let found = current(tmp.path());
    let epoch = first.epoch();
    first.leave();
    let leadership = lead(tmp.path());
    assert!(current(tmp.path()) == found);
    let session = Session::new(Arc::new(Alarm::new().unwrap())).unwrap();
    let answered = std::thread::scope(|threads| {
        let write = crate::session::in_flight_and_assigned(&session, threads, sync, epoch);
        ready(tmp.path());
        session.promote(leadership.clone()).unwrap();
        write.join().unwrap()
    });
    let settled = current(tmp.path()) != found;
    assert!(!leadership.is_over());
    session.step_down();
    leadership.leave();
    (answered, settled)
}

#[test]
fn a_leader_that_is_owed_a_sync_itself_waits_until_what_was_recovered_lasts() {
    for sync in [false, true] {
        let (answered, settled) = promoted(sync, |_| {});
        let answer = answered.unwrap().answer;
        assert!(matches!(answer, Answer::Written { sequence: 1 }));
        assert_eq!(settled, sync);
    }
}

#[test]
fn a_leader_that_is_owed_a_sync_itself_that_can_not_be_had_leads_all_the_same() {
    for sync in [false, true] {
        let table = std::cell::RefCell::default();
        let (answered, settled) =
            promoted(sync, |path| *table.borrow_mut() = refuse_next_table(path));
        assert!(!settled);
        if !sync {
            answered.unwrap();
            continue;
        }
        let error = answered.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
        assert!(error.message().contains(&*table.borrow()), "{error}");
    }
}

#[test]
fn an_overtaken_leader_answers_no_call_that_is_made_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let leader = lead(dir.path());
    let mut batch = WriteBatch::new();
    batch.put(b"k", b"1");
    let written = leader.write_at_once(Cow::Borrowed(&batch), false).unwrap();
    assert_eq!(written.unwrap(), 1);
    assert_eq!(leader.get(b"k").unwrap(), Some(b"1".to_vec()));

    // What a candidate does whom no lock has stopped.
    let _successor = StateFile::open(dir.path()).unwrap();
    assert!(matches!(leader.get(b"k"), Err(Stop::Over)));
    assert!(leader.is_over());
    batch.delete(b"k");
    for _ in 0..2 {
        let back = leader.write_at_once(Cow::Borrowed(&batch), false);
        let back = back.unwrap_err();
        assert!(back.iter().eq(batch.iter()), "the next leader is asked");
    }
    let last = leader.service.engine().last_sequence();
    assert_eq!(last, 1, "it assigned nothing");
    leader.leave();
}

#[test]
fn another_program_that_leaves_the_tripwire_is_known_by_current() {
    let tmp = tempfile::tempdir().unwrap();
    let first = lead(tmp.path());
    let epoch = first.epoch();
    write(&first, b"a", b"1");
    first.leave();
    let second = lead(tmp.path());
    assert_eq!(second.recovered(epoch), RecoveredThrough::Sequence(1));
    let epoch = second.epoch();
    second.leave();

    let fs = Arc::new(StdFs::new(tmp.path()));
    let other = Engine::open(fs, EngineOptions::default()).unwrap();
    other.close().unwrap();
    assert!(tripwire::is_set(tmp.path()).unwrap());
    let third = lead(tmp.path());
    assert_eq!(
        third.recovered(epoch),
        RecoveredThrough::SequenceBeforeForeign(1)
    );
    assert!(!third.follows_unbroken(epoch));
    let epoch = third.epoch();
    third.leave();
    let fourth = lead(tmp.path());
    assert!(fourth.follows_unbroken(epoch), "found once, told once");
    fourth.leave();
}

#[test]
fn a_broken_link_costs_no_snapshot_while_the_leader_lives() {
    let tmp = tempfile::tempdir().unwrap();
    let leader = lead(tmp.path());
    write(&leader, b"k", b"old");
    let follower = Follower::of(tmp.path());
    let tenure = follower.attach();
    let (kept, given_back) = (follower.pin(), follower.pin());
    follower.session.lose(tenure);
    follower.session.unpin(given_back.0);
    overwrite(&leader);
    follower.attach();
    assert_eq!(follower.value_at(kept).unwrap().unwrap(), b"old");
    assert_eq!(pins(&leader), 1, "what it did not name again is gone");
    leader.leave();
}

#[test]
fn what_is_parked_goes_when_its_session_dies_or_stays_away() {
    let tmp = tempfile::tempdir().unwrap();
    let leader = lead(tmp.path());
    for how in ["dies", "stays away", "stays away unlisted"] {
        let mut follower = Follower::of(tmp.path());
        follower.unlisted = how == "stays away unlisted";
        let tenure = follower.attach();
        follower.pin();
        let elector = &leader.ending.elector;
        elector.hear();
        follower.session.lose(tenure);
        // Rings when the connection's end has been seen.
        elector.wait(Some(PATIENCE));
        let now = Instant::now();
        assert!(leader.tend(now).is_some() && pins(&leader) == 1, "{how}");
        let later = match how {
            "dies" => {
                follower.sign.end();
                now
            }
            _ => now + GRACE,
        };
        assert_eq!(leader.tend(later), None, "{how}");
        assert_eq!(pins(&leader), 0, "{how}");
        assert_eq!(leader.state.sessions().unwrap().0, [], "{how}");
    }
    leader.leave();
}

#[test]
fn a_snapshot_outlives_two_leaders_that_its_owner_never_met() {
    let tmp = tempfile::tempdir().unwrap();
    let first = lead(tmp.path());
    write(&first, b"k", b"old");
    let follower = Follower::of(tmp.path());
    let tenure = follower.attach();
    let pin = follower.pin();
    follower.session.lose(tenure);
    overwrite(&first);
    first.leave();
    for _ in 0..2 {
        let unmet = lead(tmp.path());
        assert!(unmet.tend(Instant::now()).is_some(), "it waits");
        overwrite(&unmet);
        unmet.leave();
    }
    let last = lead(tmp.path());
    overwrite(&last);
    follower.attach();
    assert_eq!(follower.value_at(pin).unwrap().unwrap(), b"old");
    assert_eq!(last.tend(Instant::now()), None, "everybody is back");
    assert_eq!(pins(&last), 1);
    follower.session.unpin(pin.0);
    follower.call(&Request::Status).unwrap();
    assert_eq!(last.state.sessions().unwrap().0, []);
    last.leave();
}

#[test]
fn a_new_leader_waits_for_nobody_who_is_dead_and_not_longer_than_its_grace() {
    let tmp = tempfile::tempdir().unwrap();
    for how in ["dead before", "dies", "stays away", "nobody"] {
        let first = lead(tmp.path());
        write(&first, b"k", b"old");
        let follower = Follower::of(tmp.path());
        let tenure = follower.attach();
        let pin = (how != "nobody").then(|| follower.pin());
        follower.session.lose(tenure);
        first.leave();
        if how == "dead before" {
            follower.sign.end();
        }
        let second = lead(tmp.path());
        let now = Instant::now();
        let waits = !matches!(how, "dead before" | "nobody");
        assert_eq!(second.tend(now).is_some(), waits, "{how}");
        if how == "dies" {
            follower.sign.end();
            assert_eq!(second.tend(now), None, "{how}");
        }
        assert_eq!(second.tend(now + GRACE), None, "{how}");
        assert_eq!(pins(&second), 0, "{how}");
        assert_eq!(second.state.sessions().unwrap().0, [], "{how}");
        if let ("stays away", Some(pin)) = (how, pin) {
            overwrite(&second);
            follower.attach();
            let late = follower.value_at(pin).unwrap_err();
            assert_eq!(late.kind(), ErrorKind::SnapshotLost);
        }
        second.leave();
    }
}

#[test]
fn sessions_without_a_place_are_waited_for_as_long_as_the_grace() {
    let tmp = tempfile::tempdir().unwrap();
    let first = lead(tmp.path());
    write(&first, b"k", b"old");
    let mut follower = Follower::of(tmp.path());
    follower.unlisted = true;
    let tenure = follower.attach();
    let pin = follower.pin();
    follower.session.lose(tenure);
    first.leave();
    let second = lead(tmp.path());
    overwrite(&second);
    let tenure = follower.attach();
    assert_eq!(follower.value_at(pin).unwrap().unwrap(), b"old");
    let now = Instant::now();
    assert!(second.tend(now).is_some(), "there may be others");
    assert_eq!(second.tend(now + GRACE), None);
    follower.session.lose(tenure);
    second.leave();
    let third = lead(tmp.path());
    assert!(third.tend(Instant::now()).is_some(), "it held one again");
    third.leave();
}

#[test]
fn a_leader_that_leaves_and_follows_keeps_its_own_snapshots() {
    let tmp = tempfile::tempdir().unwrap();
    let follower = Follower::of(tmp.path());
    let first = lead(tmp.path());
    write(&first, b"k", b"old");
    follower.session.promote(first.clone()).unwrap();
    let pin = follower.pin();
    follower.session.step_down();
    first.leave();
    let second = lead(tmp.path());
    overwrite(&second);
    follower.attach();
    assert_eq!(follower.value_at(pin).unwrap().unwrap(), b"old");
    second.leave();
}
