//! What is recorded with a write, and what becomes of it: lost records, cancelled commits, several founders, a database that was put
//! back.

use std::time::{Duration, Instant};

use level_party::{Db, ErrorKind, Readable, WatchFrom, WatchItem};
use level_party_testkit::{Postgres, Proxy, Wire};

#[test]
fn one_of_many_founders_makes_the_tables() {
    let server = Postgres::start(&[]);
    let url = format!("{}?schema=we all", server.url());
    let dbs: Vec<Db> = std::thread::scope(|threads| {
        let open = |_| threads.spawn(|| Db::open(&url).expect("opened"));
        let opening: Vec<_> = (0..8).map(open).collect();
        opening
            .into_iter()
            .map(|db| db.join().expect("a thread"))
            .collect()
    });
    for (n, db) in dbs.iter().enumerate() {
        db.put("n", n.to_string()).unwrap();
        assert_eq!(
            dbs[7 - n].get("n").unwrap(),
            Some(n.to_string().into_bytes())
        );
    }
    let theirs = Db::open(server.url()).unwrap();
    assert_eq!(
        theirs.get("n").unwrap(),
        None,
        "another schema is another database"
    );
}

#[test]
fn schema_of_a_stranger_is_refused() {
    let server = Postgres::start(&[]);
    Db::open(server.url()).unwrap().put("a", "1").unwrap();
    server.sql("create role mallory; alter schema level_party owner to mallory; create role alice login password 'a'");
    let theirs = server.url().replace("party:pass%20word%2F%25", "alice:a");
    let error = Db::open(theirs).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
}

#[test]
fn commit_whose_wait_is_cancelled_is_not_acknowledged() {
    let server = Postgres::start(&[]);
    let db = Db::options()
        .timeout(Duration::from_secs(3))
        .open(server.url())
        .unwrap();
    db.put("a", "1").unwrap();
    // Nobody of this name ever comes.
    server.set("synchronous_standby_names", "nobody");
    let written = std::thread::scope(|threads| {
        let put = threads.spawn(|| db.put("a", "2"));
        while !put.is_finished() {
            server.sql(
                "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'",
            );
        }
        put.join().expect("a thread")
    });
    let error = written.expect_err("no standby has it");
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    server.set("synchronous_standby_names", "");
    let patience = Instant::now() + Duration::from_secs(60);
    while db.put("b", "3").is_err() {
        assert!(Instant::now() < patience, "it does not go on");
    }
    assert_eq!(
        db.get("a").unwrap().as_deref(),
        Some(&b"2"[..]),
        "it was committed once"
    );
    let count = server.sql("select count(*) from level_party.log where k = 'a'");
    assert_eq!(count.trim(), "2");
}

#[test]
fn write_under_way_when_its_answer_is_lost_is_made_once() {
    let server = Postgres::start(&[]);
    let proxy = Proxy::start(([127, 0, 0, 1], server.port()).into(), Wire::Postgres);
    let through = server.url().replace(
        &server.port().to_string(),
        &proxy.address().port().to_string(),
    );
    let db = Db::open(through).unwrap();
    db.put("n", "0").unwrap();
    for n in 1..20 {
        proxy.drop_next_answer();
        db.put("n", n.to_string()).unwrap();
        proxy.wait_for_dropped(n);
    }
    let log = server.sql("select string_agg(convert_from(v, 'UTF8'), ' ' order by seq) from level_party.log where k = 'n'");
    let each: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!(log.trim(), each.join(" "));
}

/// The first call of a write waits for the lock when its connection is lost, and the next ones are cancelled: none of that says that
/// the first was rolled back.
#[test]
fn write_whose_first_call_still_waits_is_made_once() {
    let server = Postgres::start(&[]);
    let proxy = Proxy::start(([127, 0, 0, 1], server.port()).into(), Wire::Postgres);
    let through = server.url().replace(
        &server.port().to_string(),
        &proxy.address().port().to_string(),
    );
    let db = Db::open(through).unwrap();
    db.put("before", "").unwrap();
    let waiting = "from pg_stat_activity where wait_event_type = 'Lock' and query like '%write%'";
    std::thread::scope(|threads| {
        let holder = threads.spawn(|| {
            server
                .sql("begin; select from level_party.meta for update; select pg_sleep(3); commit");
        });
        let put = threads.spawn(|| {
            while server.sql("select count(*) from pg_locks where mode = 'RowShareLock' and relation = 'level_party.meta'::regclass").trim() == "0" {}
            db.put("once", "")
        });
        while server.sql(&format!("select count(*) {waiting}")).trim() == "0" {}
        proxy.cut();
        while !holder.is_finished() {
            // Only the calls behind the first.
            server.sql(&format!("select pg_cancel_backend(pid) {waiting} and query_start > (select min(query_start) {waiting})"));
        }
        put.join().expect("a thread").unwrap();
        holder.join().expect("a thread");
    });
    let count = server.sql("select count(*) from level_party.log where k = 'once'");
    assert_eq!(count.trim(), "1");
}

#[test]
fn session_that_the_server_forgot_is_begun_anew() {
    let server = Postgres::start(&[]);
    let db = Db::open(server.url()).unwrap();
    db.put("a", "1").unwrap();
    server.sql("delete from level_party.session");
    db.put("a", "2").unwrap();
    assert_eq!(db.get("a").unwrap().as_deref(), Some(&b"2"[..]));
}

#[test]
fn database_that_was_put_back_begins_another_history() {
    let server = Postgres::start(&[]);
    let db = Db::open(server.url()).unwrap();
    for n in 0..10 {
        db.put(format!("{n}"), "").unwrap();
    }
    let early = db.snapshot().unwrap();
    for n in 10..20 {
        db.put(format!("{n}"), "").unwrap();
    }
    let late = db.snapshot().unwrap();
    let mut watch = db.watch(.., WatchFrom::Now).unwrap();
    let position = watch.position();
    // As a copy of the disk from the time of `early`.
    server.sql(
        "delete from level_party.kv where seq > 10; delete from level_party.log where seq > 10; \
         delete from level_party.commits where seq > 10",
    );
    db.put("after", "").unwrap();
    assert_eq!(db.iter().count(), 11);
    assert_eq!(early.iter().count(), 10);
    assert_eq!(late.get("1").unwrap_err().kind(), ErrorKind::SnapshotLost);
    let item = watch.next_timeout(Duration::from_secs(60)).unwrap();
    assert!(matches!(item, Some(WatchItem::Gap { .. })), "{item:?}");
    let mut watch = db
        .watch(.., level_party::Position::from(position.sequence()))
        .unwrap();
    let item = watch.next_timeout(Duration::from_secs(60)).unwrap();
    assert!(
        matches!(item, Some(WatchItem::Gap { .. })),
        "a bare sequence is not taken for another one: {item:?}"
    );
}

#[test]
fn calls_in_the_thread_of_a_runtime_are_made() {
    let server = Postgres::start(&[]);
    let db = Db::open(server.url()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        db.put("a", "1").unwrap();
        assert_eq!(db.get("a").unwrap().as_deref(), Some(&b"1"[..]));
        assert_eq!(db.iter().count(), 1);
        let other = Db::open(server.url()).unwrap();
        other.put("a", "2").unwrap();
        other.close().unwrap();
        db.close().unwrap();
    });
}
