//! Disks that take no writes: mounted read-only, or full. The message names the cause and what to do, and once it is
//! done everything that was acknowledged is there.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use level_party_testkit::{ExecChild, Finished};
use serde_json::json;

use crate::mounts::Mount;
use crate::{
    PROGRAM, SERVED_WITHIN, command, get, impossible, leader, names, put, refused, temp, within,
};

/// 100 kB: ten and some of them fill a [`small`] disk, and one is an argument of a command.
fn value(n: usize) -> String {
    format!("{n:05}").repeat(20_000)
}

/// A filesystem of 1 MiB.
fn small(at: &Path) -> Option<Mount> {
    let mount = Mount::new(&["-t", "tmpfs", "-o", "size=1m"], Path::new("none"), at);
    if mount.is_none() {
        impossible("tmpfs cannot be mounted");
    }
    mount
}

/// Takes the last byte that is left.
fn fill(dir: &Path) -> PathBuf {
    let path = dir.join("filler");
    let mut file = File::create(&path).expect("a name takes no space");
    while file.write(&[0; 4096]).is_ok_and(|written| written > 0) {}
    path
}

fn is_full(done: &Finished) {
    refused(
        done,
        &["No space left on device", "\nhint: free some space there"],
    );
}

#[test]
fn read_only_directory_is_named_by_every_command() {
    let tmp = temp();
    let disk = tmp.path().join("disk");
    let Some(mount) = Mount::new(&["-t", "tmpfs"], Path::new("none"), &disk) else {
        return impossible("tmpfs cannot be mounted");
    };
    let db = disk.join("db");
    put(&db, "a", "1");
    let before = names(&db);
    if !mount.remount("ro") {
        return impossible("nothing can be remounted");
    }
    let elsewhere = tmp.path().join("copy");
    let commands: &[(&str, &[&str])] = &[
        ("get", &["a"]),
        ("put", &["a", "2"]),
        ("scan", &[]),
        ("status", &[]),
        ("serve", &[]),
        ("exec", &[]),
        ("yield", &[]),
        ("verify", &[]),
        ("checkpoint", &[elsewhere.to_str().expect("plain")]),
    ];
    for (name, rest) in commands {
        let done = command(name, &db, rest);
        let words = [
            db.to_str().expect("plain"),
            "Read-only file system",
            "\nhint:",
            "copy it to such a place",
        ];
        refused(&done, &words);
    }
    let new = command("put", &disk.join("new"), &["a", "1"]);
    refused(&new, &["Read-only file system", "\nhint:"]);
    assert_eq!(names(&db), before);
    assert!(!elsewhere.exists());
    // As the hint says.
    std::fs::create_dir(&elsewhere).expect("made");
    for name in &before {
        std::fs::copy(db.join(name), elsewhere.join(name)).expect("copied");
    }
    assert_eq!(get(&elsewhere, "a"), "1");
    assert!(mount.remount("rw"));
    assert_eq!(get(&db, "a"), "1");
}

#[test]
fn full_disk_is_named_and_nothing_is_lost_by_it() {
    let tmp = temp();
    let disk = tmp.path().join("disk");
    let Some(mount) = small(&disk) else { return };
    let db = disk.join("db");
    put(&db, "0", &value(0));
    let mut acknowledged = 1;
    let last = loop {
        let n = acknowledged;
        let done = within(SERVED_WITHIN, "put", &db, &[&n.to_string(), &value(n)]);
        if done.code() != 0 {
            break done;
        }
        assert!(n < 20, "the disk holds no more");
        acknowledged += 1;
    };
    is_full(&last);
    let filler = fill(&disk);
    // Whoever opens it with nobody there begins a log.
    is_full(&command("get", &db, &["0"]));
    is_full(&command("put", &db, &["a", "1"]));
    // Found by this test: a page of the state file that the disk has no place for was SIGBUS.
    let new = disk.join("new");
    is_full(&command("put", &new, &["a", "1"]));

    std::fs::remove_file(filler).expect("removed");
    assert!(mount.remount("size=64m"));
    for n in 0..acknowledged {
        assert_eq!(get(&db, &n.to_string()), value(n), "{n}");
    }
    put(&db, "a", "1");
    assert_eq!(get(&db, "a"), "1");
    within(SERVED_WITHIN, "verify", &db, &[]).success();
    put(&new, "a", "1");
    assert_eq!(get(&new, "a"), "1");
}

#[test]
fn leader_leads_on_when_a_full_disk_has_space_again() {
    let tmp = temp();
    let disk = tmp.path().join("disk");
    let Some(mount) = small(&disk) else { return };
    let db = disk.join("db");
    let mut leader = leader(&db);
    let mut follower = ExecChild::spawn(PROGRAM, &db);
    assert_eq!(follower.leader_pid(), leader.pid());
    let mut acknowledged = 0;
    let error = loop {
        let n = acknowledged;
        let answer = leader.ask(&json!({"op": "put", "key": n.to_string(), "value": value(n)}));
        if answer["ok"] != true {
            break answer["error"].clone();
        }
        assert!(n < 20, "the disk holds no more");
        acknowledged += 1;
    };
    let message = error["message"].as_str().expect("a sentence");
    assert!(message.contains("No space left on device"), "{error}");
    assert!(mount.remount("size=64m"));
    for child in [&mut leader, &mut follower] {
        child.put("after", "1");
        for n in 0..acknowledged {
            assert_eq!(child.get(&n.to_string()), Some(value(n)), "{n}");
        }
    }
}
