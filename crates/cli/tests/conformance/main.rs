//! One suite, run on a leader's handle, on a follower's, and on a follower's whose leader is killed again and again.

mod suite;
mod walks;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use level_party::{Db, ErrorKind, Lead, Role};
use level_party_testkit::ExecChild;

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");

/// How many questions of its own each leader lives to answer at least.
const FEWEST_ANSWERS: usize = 200;
/// And at most, while the suite writes nothing: either it reads, or its write is a large one, which no leader would
/// ever finish that died sooner.
const MOST_ANSWERS: usize = 5000;

/// A leader's life: it begins when it answers, and there is some work to do.
fn live(leader: &mut ExecChild) {
    let mut written = || {
        leader.status()["last_sequence"]
            .as_u64()
            .expect("a sequence")
    };
    let before = written();
    for answers in 1..MOST_ANSWERS {
        if written() > before && answers >= FEWEST_ANSWERS {
            return;
        }
    }
}

/// A handle that only ever follows, so that all its leaders can be killed.
fn follower(dir: &Path) -> Db {
    Db::options()
        .lead(Lead::Never)
        .timeout(Duration::from_secs(60))
        .open(dir)
        .expect("attached")
}

#[test]
fn the_suite_holds_for_a_leader() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path()).expect("opened");
    assert_eq!(db.role(), Role::Leader);
    suite::run(&db);
    assert_eq!(db.role(), Role::Leader);
}

#[test]
fn the_suite_holds_for_a_follower() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut leader = ExecChild::spawn(PROGRAM, dir.path());
    leader.status();
    let db = follower(dir.path());
    suite::run(&db);
    assert_eq!(db.role(), Role::Follower);
    assert_eq!(
        db.status().expect("a status").leader.leader_pid,
        leader.pid()
    );
}

#[test]
fn the_suite_holds_while_leader_after_leader_is_killed() {
    // A leader lives longer where it answers slowly, as under Wine, and the suite is over sooner where it does not.
    let fewest = if cfg!(windows) { 3 } else { 10 };
    let mut kills = 0;
    while kills <= fewest {
        kills += run_while_leaders_are_killed();
    }
}

/// Runs the suite, and says how many leaders were killed under it.
fn run_while_leaders_are_killed() -> usize {
    let dir = tempfile::tempdir().expect("a directory");
    let mut leader = ExecChild::spawn(PROGRAM, dir.path());
    leader.status();
    let db = follower(dir.path());
    let (done, kills) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let next = ExecChild::spawn(PROGRAM, dir.path());
                std::mem::replace(&mut leader, next).kill();
                kills.fetch_add(1, Ordering::Relaxed);
                live(&mut leader);
            }
        });
        let end = SetAtEnd(&done);
        suite::run(&db);
        drop(end);
    });
    kills.into_inner()
}

struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn who_never_leads_waits_for_a_leader_until_the_deadline() {
    let dir = tempfile::tempdir().expect("a directory");
    let lone = Db::options()
        .lead(Lead::Never)
        .open_timeout(Duration::from_secs(2)); // for one attempt, on a busy machine
    let error = lone.open(dir.path()).expect_err("nobody leads");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.message().contains("never"), "{error}");
}
