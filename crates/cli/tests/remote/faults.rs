//! Faults under load: backends ended and killed, the server killed, answers lost on the way, the primary replaced, history gone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use level_party::{Db, ErrorKind, Readable, WatchFrom, WatchItem};
use level_party_testkit::{Postgres, Proxy, Wire};

use crate::load;

/// How many faults a run makes.
pub fn rounds() -> usize {
    let more = std::env::var("LEVEL_PARTY_CHAOS")
        .ok()
        .and_then(|times| times.parse::<usize>().ok());
    more.unwrap_or(1) * 8
}

/// Waits until the clients were answered so many more calls: that they go on is part of what is tested.
fn let_them_work(answered: &AtomicU64, more: u64) {
    let goal = answered.load(Ordering::Relaxed) + more;
    let patience = Instant::now() + Duration::from_secs(120);
    while answered.load(Ordering::Relaxed) < goal {
        assert!(Instant::now() < patience, "no progress in two minutes");
        std::thread::sleep(Duration::from_millis(1)); // Only so as not to take the clients' time.
    }
}

fn said(what: &str, report: &load::Report) {
    println!(
        "{what}: {} calls, {} open, longest {:?}",
        report.calls, report.open, report.longest
    );
}

#[test]
fn calls_are_linearizable_while_backends_are_ended() {
    let server = Postgres::start(&[]);
    let urls = vec![server.url(); 5];
    let report = load::run(&urls, |answered| {
        for _ in 0..rounds() * 3 {
            let_them_work(answered, 60);
            server.end_sessions();
        }
    });
    said("backends ended", &report);
    assert_eq!(report.open, 0, "each lost write was looked up");
}

#[test]
fn calls_are_linearizable_while_the_server_is_killed() {
    let mut server = Postgres::start(&[]);
    let urls = vec![server.url(); 5];
    let report = load::run(&urls, |answered| {
        for round in 0..rounds() {
            let_them_work(answered, 100);
            match round % 2 {
                0 => {
                    server.kill();
                    server.start_again();
                }
                _ => assert!(server.kill_a_backend()),
            }
        }
        let_them_work(answered, 100);
    });
    said("server killed", &report);
}

#[test]
fn calls_are_linearizable_while_answers_are_lost() {
    let server = Postgres::start(&[]);
    let address = ([127, 0, 0, 1], server.port()).into();
    let proxy = Proxy::start(address, Wire::Postgres);
    let through = server.url().replace(
        &server.port().to_string(),
        &proxy.address().port().to_string(),
    );
    let mut urls = vec![through; 4];
    urls.push(server.url());
    let report = load::run(&urls, |answered| {
        for round in 0..rounds() * 6 {
            let_them_work(answered, 20);
            match round % 6 {
                5 => proxy.cut(),
                _ => proxy.drop_next_answer(),
            }
        }
        let_them_work(answered, 100);
    });
    said("answers lost", &report);
    assert!(proxy.dropped() >= rounds() * 3);
    assert_eq!(report.open, 0, "each lost write was looked up");
}

/// A URL with both servers.
pub fn both(first: &Postgres, second: &Postgres) -> String {
    let port = |server: &Postgres| format!("127.0.0.1:{}", server.port());
    first
        .url()
        .replace(&port(first), &format!("{},{}", port(first), port(second)))
}

#[test]
fn nothing_is_lost_when_a_synchronous_standby_takes_over() {
    let mut primary = Postgres::start(&[]);
    let standby = primary.standby("second");
    primary.set("synchronous_standby_names", "second");
    let url = both(&primary, &standby);
    let db = Db::open(&url).unwrap();
    assert!(db.status().unwrap().server.unwrap().synchronous_standby);
    let mut watch = db.watch("watched".., WatchFrom::Now).unwrap();
    db.put("watched", "before").unwrap();
    let snapshot = db.snapshot().unwrap();
    let report = load::run(&vec![url; 5], |answered| {
        let_them_work(answered, 200);
        primary.kill();
        standby.promote();
        let_them_work(answered, 300);
    });
    said("standby promoted", &report);
    // The moment was before the fail-over, and so holds; a watch goes on without a gap.
    assert_eq!(
        snapshot.get("watched").unwrap().as_deref(),
        Some(&b"before"[..])
    );
    db.put("watched", "after").unwrap();
    for value in [b"before".as_slice(), b"after"] {
        let item = watch.next_timeout(Duration::from_secs(60)).unwrap();
        assert!(
            matches!(&item, Some(WatchItem::Change(change)) if change.value.as_deref() == Some(value)),
            "{item:?}"
        );
    }
}

#[test]
fn what_a_fail_over_loses_is_told() {
    let mut primary = Postgres::start(&[]);
    let standby = primary.standby("second");
    let db = Db::open(both(&primary, &standby)).unwrap();
    db.put("kept", "1").unwrap();
    let caught_up = || {
        let lag =
            "select count(*) from pg_stat_replication where replay_lsn = pg_current_wal_lsn()";
        primary.sql(lag).trim() == "1"
    };
    let patience = Instant::now() + Duration::from_secs(60);
    while !caught_up() {
        assert!(Instant::now() < patience, "the standby does not follow");
    }
    let (kept, before) = (
        db.snapshot().unwrap(),
        db.watch(.., WatchFrom::Now).unwrap(),
    );
    // It hears no more of the primary, not even what lies in a socket.
    standby.stop();
    primary.sql("select pg_terminate_backend(pid, 60000) from pg_stat_replication");
    db.put("lost", "2").unwrap();
    let lost = db.snapshot().unwrap();
    let mut watch = db.watch(.., WatchFrom::Beginning).unwrap();
    for _ in 0..2 {
        assert!(
            watch
                .next_timeout(Duration::from_secs(60))
                .unwrap()
                .is_some()
        );
    }
    let position = watch.position();
    drop((watch, before));
    primary.kill();
    standby.resume();
    standby.promote();
    assert_eq!(db.get("lost").unwrap(), None, "no server has it");
    db.put("new", "3").unwrap();
    assert_eq!(kept.get("kept").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(
        lost.get("kept").unwrap_err().kind(),
        ErrorKind::SnapshotLost
    );
    for from in [position, position.sequence().into()] {
        let mut watch = db.watch(.., from).unwrap();
        let item = watch.next_timeout(Duration::from_secs(60)).unwrap();
        assert!(matches!(item, Some(WatchItem::Gap { .. })), "{item:?}");
    }
}

#[test]
fn a_moment_that_is_pruned_is_lost_and_a_watch_gets_a_gap() {
    let server = Postgres::start(&[]);
    let db = Db::open(server.url()).unwrap();
    for n in 0..200 {
        db.put(format!("{n:03}"), "x".repeat(1000)).unwrap();
    }
    let snapshot = db.snapshot().unwrap();
    let mut range = db.iter();
    assert!(range.next().unwrap().is_ok());
    let mut watch = db.watch(.., WatchFrom::Now).unwrap();
    let position = watch.position();
    db.put("000", "new").unwrap();
    assert!(
        watch
            .next_timeout(Duration::from_secs(60))
            .unwrap()
            .is_some()
    );
    assert_eq!(
        snapshot.get("000").unwrap().map(|value| value.len()),
        Some(1000)
    );
    // As if an hour had passed, and hardly any history were to be kept: everything is pruned.
    server.sql(
        "update level_party.meta set history_bytes = 1; \
         insert into level_party.mark select now() - interval '1 hour', max(seq) from level_party.commits; \
         select level_party.prune(100000)",
    );
    assert_eq!(
        snapshot.get("000").unwrap_err().kind(),
        ErrorKind::SnapshotLost
    );
    let lost = range.find_map(Result::err).expect("it cannot go on");
    assert_eq!(lost.kind(), ErrorKind::SnapshotLost);
    let mut late = db.watch(.., position).unwrap();
    let item = late.next_timeout(Duration::from_secs(60)).unwrap();
    assert!(matches!(item, Some(WatchItem::Gap { .. })), "{item:?}");
    db.put("001", "after").unwrap();
    let item = late.next_timeout(Duration::from_secs(60)).unwrap();
    assert!(
        matches!(&item, Some(WatchItem::Change(change)) if change.key == b"001"),
        "{item:?}"
    );
    assert_eq!(db.iter().count(), 200);
}

#[test]
fn a_server_that_is_stopped_gives_timeouts_and_goes_on() {
    let server = Postgres::start(&[]);
    let db = Db::options()
        .timeout(Duration::from_millis(500))
        .open(server.url())
        .unwrap();
    db.put("a", "1").unwrap();
    server.stop();
    let read = db.get("a").unwrap_err();
    assert_eq!(read.kind(), ErrorKind::Timeout, "{read}");
    let write = db.put("a", "2").unwrap_err();
    assert!(
        [ErrorKind::OutcomeUnknown, ErrorKind::Timeout].contains(&write.kind()),
        "{write}"
    );
    server.resume();
    let patience = Instant::now() + Duration::from_secs(60);
    while db.put("a", "3").is_err() {
        assert!(Instant::now() < patience, "it does not go on");
    }
    assert_eq!(
        db.get("a").unwrap().as_deref(),
        Some(&b"3"[..]),
        "the later write decided the one before"
    );
}
