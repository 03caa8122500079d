//! Forks without exec with a whole database open (D3 of `docs/RELIABILITY.md`). They are here because a program that
//! forks needs `unsafe`.

use std::path::Path;

use level_party::{Db, ErrorKind, Readable, Result, Role};

use crate::Outcome::{self, Passed};
use crate::peer::Peer;
use crate::roles::{hear, say};
use crate::{Test, tests};

pub const TESTS: &[Test] = tests![
    a_forked_childs_copies_of_a_database_are_refused_and_dropping_them_takes_nothing_from_its_parent,
    a_leader_that_forked_is_followed_by_another_process_once_it_is_killed_while_its_child_lives,
    a_forked_child_that_opens_the_database_again_is_a_member_of_its_own,
    opening_raises_the_descriptor_limit_unless_told_not_to,
];

/// A leader with a child, and another process (this one) that follows.
fn family(dir: &Path) -> (Peer, Db) {
    let mut parent = Peer::start("fork-database", [dir]);
    assert_eq!(parent.line(), "leading");
    let db = Db::open(dir).expect("it is served");
    assert_eq!(db.role(), Role::Follower);
    parent.tell("fork");
    assert_eq!(parent.line(), "the child was refused and has let go");
    (parent, db)
}

fn a_forked_childs_copies_of_a_database_are_refused_and_dropping_them_takes_nothing_from_its_parent()
-> Outcome {
    let tmp = tempfile::tempdir().expect("a directory for tests");
    let (parent, db) = family(tmp.path());
    db.put("b", "2").expect("the parent serves");
    let leader = db.status().expect("the parent serves").leader;
    assert_eq!(leader.leader_pid, parent.pid());
    assert_eq!(leader.pins, 2, "what the parent pinned is still pinned");
    Passed
}

fn a_leader_that_forked_is_followed_by_another_process_once_it_is_killed_while_its_child_lives()
-> Outcome {
    let tmp = tempfile::tempdir().expect("a directory for tests");
    let (mut parent, db) = family(tmp.path());
    parent.kill();
    db.put("b", "2").expect("a write needs no leader");
    db.compact_range(..).expect("this process takes over");
    assert_eq!(db.role(), Role::Leader);
    assert_eq!(db.get("a").expect("it leads").as_deref(), Some(&b"1"[..]));
    parent.tell("end");
    assert_eq!(parent.line(), "the child ends", "it lived all the time");
    Passed
}

fn a_forked_child_that_opens_the_database_again_is_a_member_of_its_own() -> Outcome {
    let tmp = tempfile::tempdir().expect("a directory for tests");
    let (mut parent, db) = family(tmp.path());
    parent.tell("reopen");
    assert_eq!(parent.line(), "Follower");
    parent.kill();
    db.close().expect("it can be left");
    parent.tell("write");
    assert_eq!(parent.line(), "written as Leader");
    parent.release();
    Passed
}

fn opening_raises_the_descriptor_limit_unless_told_not_to() -> Outcome {
    let tmp = tempfile::tempdir().expect("a directory for tests");
    let mut peer = Peer::start("limits", [tmp.path()]);
    assert_eq!(peer.line(), "left alone, then raised, then left alone");
    Passed
}

/// Role: opens a database with a low soft limit, without and with leave to raise it, and once more after lowering it.
pub fn with_a_low_limit(path: &Path) {
    use level_party_os::descriptors::limit;
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let hard = getrlimit(Resource::Nofile).maximum;
    let lower = || {
        let (current, maximum) = (Some(64), hard);
        setrlimit(Resource::Nofile, Rlimit { current, maximum }).expect("it may be lowered");
    };
    let open = |raise| {
        let options = Db::options().raise_descriptor_limit(raise);
        options.open(path).expect("nobody else has it");
    };
    let said = |word: &'static str, other: &'static str| match limit() {
        Some(64) => word,
        _ => other,
    };
    lower();
    open(false);
    let first = said("left alone", "raised");
    open(true);
    let second = said("left alone", "raised");
    lower();
    open(true);
    let third = said("left alone", "raised");
    say(&format!("{first}, then {second}, then {third}"));
}

fn forked<T>(result: Result<T>) -> bool {
    result.is_err_and(|error| {
        error.kind() == ErrorKind::Forked && error.message().contains("open the database again")
    })
}

/// Role: leads, forks when it is told to, and its child tries what it got.
pub fn leader_that_forks(path: &Path) {
    let db = Db::open(path).expect("nobody else has it");
    db.put("a", "1").expect("it leads");
    db.put("c", vec![0; 2 << 20]).expect("it leads");
    let snapshot = db.snapshot().expect("it leads");
    db.put("z", "beyond the first chunk").expect("it leads");
    let mut range = db.iter();
    range.next().expect("an entry").expect("it leads");
    say("leading");
    hear();
    // SAFETY: the child uses what this library promises to work there, and allocates, which the C library allows.
    let child = unsafe { libc::fork() };
    if child != 0 {
        assert!(child > 0);
        // The test kills us. Only if the child fails, it ends before.
        let mut status = 0;
        // SAFETY: waits for our child; the status is a local.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        std::process::exit(1);
    }
    assert!(forked(db.get("a")));
    assert!(forked(db.put("a", "3")));
    assert!(forked(db.delete("a")));
    assert!(forked(db.snapshot()));
    assert!(forked(db.status()));
    assert!(forked(snapshot.get("a")));
    assert!(forked(
        range.by_ref().last().expect("the next chunk, refused")
    ));
    assert_eq!(db.role(), Role::Electing);
    drop((snapshot, range));
    db.close().expect("there is nothing to leave");
    drop(db);
    say("the child was refused and has let go");
    match hear().as_str() {
        "reopen" => {
            let db = Db::open(path).expect("it is served");
            assert_eq!(db.get("a").expect("served").as_deref(), Some(&b"1"[..]));
            say(&format!("{:?}", db.role()));
            hear();
            db.put("d", "4").expect("a write needs no leader");
            db.compact_range(..).expect("it comes to lead");
            say(&format!("written as {:?}", db.role()));
        }
        "end" => say("the child ends"),
        _ => {} // the test is over
    }
}
