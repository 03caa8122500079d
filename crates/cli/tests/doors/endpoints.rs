//! The endpoint: what else may be in its place, when it comes and when it goes.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use level_party_testkit::{ExecChild, ForeignLock, LockKind, run};
use rustix::fs::{FileType, Mode, mknodat};

use crate::{PROGRAM, command, get, impossible, is_root, leader, names, put, refused, temp};

const SOCKET: &str = "level-party.endpoint";

fn fifo(path: &Path) {
    mknodat(
        rustix::fs::CWD,
        path,
        FileType::Fifo,
        Mode::RUSR | Mode::WUSR,
        0,
    )
    .expect("made");
}

#[test]
fn other_file_in_place_of_the_endpoint_is_left_alone() {
    let dir = temp();
    let socket = dir.path().join(SOCKET);
    let elsewhere = temp();
    let file = elsewhere.path().join("precious");
    std::fs::write(&file, "bytes").expect("written");
    let mut other = leader(&elsewhere.path().join("db"));
    let live = elsewhere.path().join("db").join(SOCKET);
    let said = [
        socket.to_str().expect("plain"),
        "is in the way: it is not a socket",
        "move it",
    ];
    let places: [(&str, &dyn Fn()); 6] = [
        ("a file", &|| {
            std::fs::write(&socket, "bytes").expect("written");
        }),
        ("a link to a file", &|| {
            symlink(&file, &socket).expect("made");
        }),
        ("a link to nothing", &|| {
            symlink("nothing", &socket).expect("made");
        }),
        ("a link to a live endpoint", &|| {
            symlink(&live, &socket).expect("made");
        }),
        ("a fifo", &|| fifo(&socket)),
        ("a directory", &|| {
            std::fs::create_dir(&socket).expect("made");
        }),
    ];
    for (what, place) in places {
        place();
        let before = std::fs::symlink_metadata(&socket).expect("it is there");
        refused(&command("put", dir.path(), &["a", what]), &said);
        refused(&command("status", dir.path(), &[]), &[]);
        let after = std::fs::symlink_metadata(&socket).expect("it is still there");
        assert_eq!(
            (after.ino(), after.mtime()),
            (before.ino(), before.mtime()),
            "{what}"
        );
        assert!(
            ForeignLock::try_take(dir.path(), LockKind::Fcntl).is_some(),
            "LOCK is free again"
        );
        if after.is_dir() {
            std::fs::remove_dir(&socket).expect("empty");
        } else {
            std::fs::remove_file(&socket).expect("removed");
        }
    }
    assert_eq!(std::fs::read(&file).expect("still there"), b"bytes");
    assert!(!dir.path().join("nothing").exists());
    assert_eq!(other.scan("").len(), 0, "nobody came through the link");
    put(dir.path(), "a", "now");
    assert_eq!(get(dir.path(), "a"), "now");
}

#[test]
fn socket_of_another_user_is_refused_and_left_alone() {
    if !is_root() {
        return impossible("only root can give a socket to another user");
    }
    let dir = temp();
    let socket = dir.path().join(SOCKET);
    let listener = UnixListener::bind(&socket).expect("bound");
    listener.set_nonblocking(true).expect("set");
    chown(&socket, Some(12_345), Some(12_345)).expect("root may");
    refused(
        &command("put", dir.path(), &["a", "1"]),
        &["belongs to user 12345", "run as that user"],
    );
    assert!(listener.accept().is_err(), "nobody came");
    assert!(socket.exists());
}

#[test]
fn links_in_the_place_of_our_other_files_lead_nowhere() {
    let dir = temp();
    put(dir.path(), "a", "1");
    let elsewhere = temp();
    let file = elsewhere.path().join("precious");
    std::fs::write(&file, "bytes").expect("written");
    let state = dir.path().join("level-party.state");
    std::fs::rename(&state, elsewhere.path().join("state")).expect("moved");
    symlink(&file, &state).expect("made");
    let path = dir.path().to_str().expect("plain");
    refused(
        &command("get", dir.path(), &["a"]),
        &[path, "level-party.state", "not a regular file", "remove it"],
    );
    std::fs::remove_file(&state).expect("removed");
    let tripwire = dir.path().join("000001.dbtmp");
    std::fs::remove_file(&tripwire).expect("it is set");
    symlink(&file, &tripwire).expect("made");
    assert_eq!(get(dir.path(), "a"), "1");
    let lock = dir.path().join("LOCK");
    std::fs::remove_file(&lock).expect("it is there");
    fifo(&lock);
    refused(
        &command("get", dir.path(), &["a"]),
        &[path, "LOCK is not a regular file"],
    );
    assert_eq!(std::fs::read(&file).expect("still there"), b"bytes");
}

/// The moment `LOCK` comes free, by asking again and again.
fn when_lock_is_free(dir: &Path) -> ForeignLock {
    loop {
        if let Some(lock) = ForeignLock::try_take(dir, LockKind::Fcntl) {
            return lock;
        }
    }
}

#[test]
fn a_leader_removes_its_endpoint_before_its_lock_is_free() {
    let dir = temp();
    for _ in 0..20 {
        let mut leader = leader(dir.path());
        leader.put("a", "1");
        let closing = std::thread::spawn(|| leader.close());
        let lock = when_lock_is_free(dir.path());
        assert!(!dir.path().join(SOCKET).exists());
        drop(lock);
        assert!(closing.join().expect("no panic").success());
    }
}

#[test]
fn a_successors_endpoint_is_never_removed_by_the_one_before() {
    let dir = temp();
    let mut party: Vec<ExecChild> = (0..3)
        .map(|_| ExecChild::spawn(PROGRAM, dir.path()))
        .collect();
    for round in 0..25 {
        let at = level_party_testkit::find_leader(&mut party);
        let leaving = party.remove(at);
        let closing = std::thread::spawn(|| leaving.close());
        // Writes go on while one leaves and another comes.
        for child in &mut party {
            child.put("round", &round.to_string());
        }
        assert!(closing.join().expect("no panic").success());
        // A new process finds the successor, which is not left with an endpoint that nobody can reach.
        let mut new = ExecChild::spawn(PROGRAM, dir.path());
        assert_eq!(new.get("round"), Some(round.to_string()));
        assert!(dir.path().join(SOCKET).exists());
        party.push(new);
    }
    for child in party {
        assert!(child.close().success());
    }
    assert!(!dir.path().join(SOCKET).exists());
}

#[test]
fn a_copy_of_a_live_directory_opens_as_a_database_of_its_own() {
    let tmp = temp();
    let (live, copy) = (tmp.path().join("live"), tmp.path().join("copy"));
    let mut leader = leader(&live);
    leader.put("a", "1");
    let done = Command::new("cp")
        .arg("-r")
        .arg(&live)
        .arg(&copy)
        .output()
        .expect("cp runs");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let state = std::fs::read(live.join("level-party.state")).expect("there");
    assert!(std::fs::read(copy.join("level-party.state")).expect("copied") == state);
    assert!(
        std::fs::symlink_metadata(copy.join(SOCKET)).is_ok(),
        "the socket was copied too"
    );

    put(&copy, "a", "the copy's");
    let mut second = crate::leader(&copy);
    assert_eq!(second.get("a").as_deref(), Some("the copy's"));
    assert_eq!(leader.get("a").as_deref(), Some("1"));
    leader.put("b", "2");
    assert_eq!(second.get("b"), None);
    assert_eq!(get(&live, "b"), "2");
    assert_eq!(get(&copy, "a"), "the copy's");
}

#[test]
fn foreign_endpoint_is_replaced_and_its_leader_unharmed() {
    let tmp = temp();
    let (live, other) = (tmp.path().join("live"), tmp.path().join("other"));
    let mut leader = leader(&live);
    leader.put("a", "1");
    put(&other, "a", "the other's");
    std::fs::hard_link(live.join(SOCKET), other.join(SOCKET)).expect("linked");
    let mut second = crate::leader(&other);
    assert_eq!(second.get("a").as_deref(), Some("the other's"));
    assert_eq!(get(&other, "a"), "the other's");
    assert_eq!(get(&live, "a"), "1");
    // With LOCK linked too there is one lock for both, and the files may be the same: nobody gets in.
    assert!(second.close().success());
    std::fs::remove_file(other.join("LOCK")).expect("there");
    std::fs::hard_link(live.join("LOCK"), other.join("LOCK")).expect("linked");
    std::fs::hard_link(live.join(SOCKET), other.join(SOCKET)).expect("linked");
    let pid = leader.pid().to_string();
    refused(&command("put", &other, &["a", "2"]), &[&pid]);
    assert_eq!(get(&live, "a"), "1");
}

/// To open a pipe would wait for ever.
#[test]
fn repair_refuses_a_pipe_in_the_place_of_a_file() {
    for name in ["CURRENT", "000099.ldb"] {
        let dir = temp();
        put(dir.path(), "a", "1");
        let _ = std::fs::remove_file(dir.path().join(name));
        fifo(&dir.path().join(name));
        let path = dir.path().to_str().expect("plain");
        for rest in [&[][..], &["--yes"]] {
            let done = run(PROGRAM, [&["repair", path], rest].concat());
            refused(&done, &[&format!("{name} is not a file")]);
        }
    }
}

#[test]
fn founder_that_recovers_is_named_to_whoever_comes() {
    let dir = temp();
    put(dir.path(), "a", "1");
    // A recovery that lasts until the test lets it go on.
    let current = dir.path().join("CURRENT");
    let content = std::fs::read(&current).expect("there");
    std::fs::remove_file(&current).expect("removed");
    fifo(&current);
    let mut founder = ExecChild::spawn(PROGRAM, dir.path());
    while ForeignLock::try_take(dir.path(), LockKind::Fcntl).is_some() {
        assert!(founder.is_running(), "{}", founder.stderr());
    }
    let path = dir.path().to_str().expect("plain");
    let late = run(PROGRAM, ["put", path, "a", "2", "--open-timeout", "3"]);
    let pid = format!("{}", founder.pid());
    refused(&late, &[&pid, "--open-timeout"]);
    let mut waiting = ExecChild::spawn(PROGRAM, dir.path());

    let mut gate = OpenOptions::new()
        .write(true)
        .open(&current)
        .expect("the founder reads it");
    // Whoever reads it again finds a file.
    let whole = dir.path().join("whole");
    std::fs::write(&whole, &content).expect("written");
    std::fs::rename(&whole, &current).expect("replaced");
    gate.write_all(&content).expect("the founder reads it");
    drop(gate);
    assert_eq!(waiting.get("a").as_deref(), Some("1"));
    assert_eq!(waiting.leader_pid(), founder.pid());
    assert_eq!(founder.get("a").as_deref(), Some("1"));
    assert!(names(dir.path()).contains(&SOCKET.to_owned()));
    drop(File::open(&current).expect("a file again"));
}
