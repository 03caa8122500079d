//! Leadership given up, and the events that tell of it.

use std::sync::atomic::{AtomicBool, Ordering};

use level_party::{Db, Event, Lead, Prefix, Readable, Role, WatchFrom, WatchItem};
use level_party_testkit::PATIENCE;

use crate::child::Process;

#[test]
fn with_nobody_else_the_leader_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let then = db.yield_leadership().unwrap();
    assert_eq!((then.leader_pid, then.epoch), (std::process::id(), 1));
    assert!(!then.handed_over);
    assert_eq!(db.role(), Role::Leader);
}

#[test]
fn who_only_follows_is_no_successor() {
    let dir = tempfile::tempdir().unwrap();
    let mut leader = Process::start(dir.path());
    let db = Db::options().lead(Lead::Never).open(dir.path()).unwrap();
    let then = db.yield_leadership().unwrap();
    assert_eq!((then.leader_pid, then.handed_over), (leader.pid(), false));
    assert_eq!(leader.ask("role"), "leader");
}

#[test]
fn leadership_goes_round_under_load_and_nobody_notices() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let mut events = db.events().unwrap();
    for number in 0..2000 {
        db.put(format!("old/{number:05}"), "x").unwrap();
    }
    let snapshot = db.snapshot().unwrap();
    let mut stream = db.range(Prefix("old/"));
    stream.next().unwrap().unwrap();
    let mut watch = db.watch("new/".."new0", WatchFrom::Now).unwrap();
    let mut others: Vec<Process> = (0..2).map(|_| Process::start(dir.path())).collect();
    let stop = AtomicBool::new(false);
    let written = std::thread::scope(|threads| {
        let writer = threads.spawn(|| {
            let mut number = 0;
            while !stop.load(Ordering::SeqCst) {
                db.put(format!("new/{number:08}"), "x").expect("a put");
                let found = db.get(format!("new/{number:08}")).expect("a get");
                assert!(found.is_some(), "a process reads its own write");
                number += 1;
            }
            number
        });
        let thens: Vec<_> = (0..6).map(|_| db.yield_leadership()).collect();
        stop.store(true, Ordering::SeqCst);
        let mut leader = std::process::id();
        for then in &thens {
            let then = then.as_ref().expect("it is given up");
            assert!(then.handed_over && then.leader_pid != leader, "{thens:?}");
            leader = then.leader_pid;
        }
        writer.join().unwrap()
    });
    assert_eq!(
        stream
            .map(|entry| entry.expect("an entry"))
            .fold(0, |n, _| n + 1),
        1999
    );
    assert_eq!(
        snapshot.range(Prefix("new/")).next().transpose().unwrap(),
        None
    );
    for number in 0..written {
        match watch.next_timeout(PATIENCE).unwrap() {
            Some(WatchItem::Change(change)) => {
                assert_eq!(change.key, format!("new/{number:08}").into_bytes());
            }
            other => panic!("{other:?} instead of {number}"),
        }
    }
    assert_eq!(others[0].ask("put a 1"), "ok");
    db.close().unwrap();
    // The election may be told after `open` returned.
    let first = Event::Elected { epoch: 1 };
    let all: Vec<Event> = events
        .by_ref()
        .skip_while(|event| *event == first)
        .collect();
    assert!(
        matches!(
            all[0],
            Event::SteppedDown {
                epoch: 1,
                failed: false
            }
        ),
        "{all:?}"
    );
    assert!(matches!(all[1], Event::Attached { .. }), "{all:?}");
    let last = all.last().unwrap();
    assert!(
        matches!(last, Event::LeaderLost { .. } | Event::SteppedDown { .. }),
        "{all:?}"
    );
}

#[test]
fn a_killed_leader_is_an_event_and_so_is_the_election_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let leader = Process::start(dir.path());
    let db = Db::open(dir.path()).unwrap();
    let mut events = db.events().unwrap();
    let leader_pid = leader.pid();
    leader.kill();
    let lost = Event::LeaderLost {
        leader_pid,
        epoch: 1,
    };
    // The attaching may be told after `open` returned.
    let mut next = || events.next_timeout(PATIENCE).expect("an event");
    let first = next();
    let told = match first {
        Event::Attached { .. } => next(),
        other => other,
    };
    assert_eq!(told, lost);
    assert_eq!(next(), Event::Elected { epoch: 2 });
    db.put("a", "1").unwrap();
}

#[test]
fn a_status_names_the_members_and_what_each_holds() {
    let dir = tempfile::tempdir().unwrap();
    let leader = Process::start(dir.path());
    let db = Db::options().lead(Lead::Never).open(dir.path()).unwrap();
    db.put("a", "1").unwrap();
    let program = std::env::current_exe().unwrap();
    let check = |leader: u32, follower: u32, held: Option<u64>| {
        let status = db.status().unwrap();
        let members = &status.leader.members;
        let pids: Vec<u32> = members.iter().map(|member| member.pid).collect();
        assert_eq!(pids, [leader, follower]);
        assert_eq!(status.leader.followers, [follower]);
        if cfg!(target_os = "linux") {
            assert_eq!(members[1].program.as_deref(), program.to_str());
        }
        let ours = members
            .iter()
            .find(|member| member.pid == std::process::id())
            .unwrap();
        assert_eq!(ours.oldest_pin, held);
        assert_eq!(ours.oldest_pin_held_for.is_some(), held.is_some());
        assert_eq!(status.leader.oldest_pin, held);
        assert_eq!(status.leader.oldest_pin_held_for, ours.oldest_pin_held_for);
        assert_eq!((status.queued_calls, status.queued_bytes), (0, 0));
        ours.pins
    };
    assert_eq!(check(leader.pid(), std::process::id(), None), 0);
    let first = db.snapshot().unwrap();
    db.put("a", "2").unwrap();
    let second = db.snapshot().unwrap();
    assert_eq!(check(leader.pid(), std::process::id(), Some(1)), 2);
    drop(first);
    assert_eq!(check(leader.pid(), std::process::id(), Some(2)), 1);
    drop(second);
    assert_eq!(check(leader.pid(), std::process::id(), None), 0);
}

#[test]
fn a_leaders_own_snapshots_are_in_the_status_too() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    db.put("a", "1").unwrap();
    let _snapshot = db.snapshot().unwrap();
    let leader = db.status().unwrap().leader;
    assert_eq!(leader.members.len(), 1);
    assert_eq!((leader.members[0].pins, leader.oldest_pin), (1, Some(1)));
    assert!(leader.oldest_pin_held_for.is_some());
}
