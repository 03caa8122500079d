//! Who holds `LOCK`: we, C++ LevelDB (`fcntl`), or a program that uses `flock`.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use level_party::{Db, ErrorKind};
use level_party_testkit::{ForeignLock, LockKind, example, run};

use crate::{command, get, leader, put, refused, temp};

const KINDS: [LockKind; 2] = [LockKind::Fcntl, LockKind::Flock];

/// What another process gets that tries `LOCK` in that way: `held` or `refused`.
fn outsider_tries(kind: &str, dir: &Path) -> String {
    let dir = dir.to_str().expect("a plain name");
    let done = run(example("outsider"), ["try", kind, dir]).success();
    done.text().trim_end().to_owned()
}

#[test]
fn lock_of_another_program_is_refused_by_name() {
    for kind in KINDS {
        let dir = temp();
        put(dir.path(), "a", "1");
        let held = ForeignLock::try_take(dir.path(), kind).expect("nobody has it");
        let program = std::env::current_exe().expect("a test knows its own path");
        let words = [
            dir.path().to_str().expect("a plain name"),
            &format!("process {}", std::process::id()),
            program.to_str().expect("a plain name"),
            "does not answer as a party member",
            "close that program",
        ];
        refused(&command("get", dir.path(), &["a"]), &words);
        refused(&command("put", dir.path(), &["a", "2"]), &words);
        drop(held);
        assert_eq!(get(dir.path(), "a"), "1");
    }
}

#[test]
fn a_library_for_node_that_may_have_the_lock_is_named() {
    let libraries = [
        ("level-party.sock", "Node's level-party 5 or older"),
        ("rave-level.sock", "Node's rave-level"),
    ];
    for (name, library) in libraries {
        let dir = temp();
        put(dir.path(), "a", "1");
        // Left over it says nothing, and is left alone.
        File::create(dir.path().join(name)).expect("a file");
        assert_eq!(get(dir.path(), "a"), "1");
        let held = ForeignLock::try_take(dir.path(), LockKind::Fcntl).expect("nobody has it");
        refused(&command("get", dir.path(), &["a"]), &[name, library]);
        drop(held);
        assert!(dir.path().join(name).exists());
    }
}

#[test]
fn while_we_lead_no_other_program_gets_lock() {
    let dir = temp();
    let mut leader = leader(dir.path());
    for kind in KINDS {
        assert!(
            ForeignLock::try_take(dir.path(), kind).is_none(),
            "{kind:?}"
        );
    }
    leader.put("a", "1");
    leader.kill();
    for kind in KINDS {
        assert!(
            ForeignLock::try_take(dir.path(), kind).is_some(),
            "{kind:?}"
        );
    }
}

#[test]
fn failed_second_open_keeps_others_out() {
    let dir = temp();
    let db = Db::open(dir.path()).expect("nobody else has it");
    let again = Db::options().error_if_exists(true).open(dir.path());
    assert_eq!(
        again.expect_err("there is one").kind(),
        ErrorKind::AlreadyExists
    );
    drop(Db::open(dir.path()).expect("the same one"));
    drop(File::open(dir.path().join("LOCK")).expect("it is there"));
    for kind in ["fcntl", "flock"] {
        assert_eq!(outsider_tries(kind, dir.path()), "refused", "{kind}");
    }
    db.put("a", "1").expect("it leads");
    db.close().expect("closed");
    for kind in ["fcntl", "flock"] {
        assert_eq!(outsider_tries(kind, dir.path()), "held", "{kind}");
    }
}

#[test]
fn failed_open_keeps_our_own_classic_lock() {
    let dir = temp();
    let held = ForeignLock::take(dir.path());
    for _ in 0..3 {
        // Time enough for one attempt on a busy machine: before it nobody can tell who has the lock.
        let options = Db::options().open_timeout(Duration::from_secs(3));
        let error = options.open(dir.path()).expect_err("this process has it");
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert_eq!(outsider_tries("fcntl", dir.path()), "refused");
    }
    drop(held);
    Db::open(dir.path()).expect("nobody has it");
}

#[test]
fn removed_lock_and_endpoint_make_no_second_leader() {
    let dir = temp();
    let mut leader = leader(dir.path());
    leader.put("a", "1");
    std::fs::remove_file(dir.path().join("LOCK")).expect("it is there");
    assert_eq!(get(dir.path(), "a"), "1", "the endpoint is there");
    std::fs::remove_file(dir.path().join("level-party.endpoint")).expect("it is there");
    let pid = format!("pid {}", leader.pid());
    refused(&command("put", dir.path(), &["a", "2"]), &[&pid]);
    assert_eq!(leader.get("a").as_deref(), Some("1"));
    leader.kill();
    put(dir.path(), "a", "3");
    assert_eq!(get(dir.path(), "a"), "3");
}
