//! A leader that can write no more, but lives. The system refuses each append beyond a file's largest size
//! (`RLIMIT_FSIZE`), and leaves the log with half a record.

use std::path::{Path, PathBuf};
use std::time::Instant;

use level_party_testkit::{ExecChild, PATIENCE, script};
use serde_json::json;

use crate::PROGRAM;

/// Our program where no file may become larger than 1 MiB.
fn limited(dir: &Path) -> PathBuf {
    let limited = dir.join("limited");
    // In blocks of 512 bytes, POSIX.1-2017, `ulimit`. Refused with EFBIG as long as the signal is ignored.
    let text =
        format!("#!/bin/sh\ntrap '' XFSZ\nulimit -f 2048 || exit\nexec '{PROGRAM}' \"$@\"\n");
    script(&limited, &text);
    limited
}

/// 100 kB that take next to nothing in a table.
fn value(n: usize) -> String {
    format!("{n:05}").repeat(20_000)
}

#[test]
fn a_leader_that_cannot_append_says_so_of_what_was_under_way_and_leads_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let mut child = ExecChild::spawn(limited(dir.path()), &data);
    let mut unknown = Vec::new();
    for n in 0..25 {
        let put = json!({"op": "put", "key": n.to_string(), "value": value(n)});
        let answer = child.ask(&put);
        match answer["error"]["kind"].as_str() {
            None => assert_eq!(answer["ok"], true, "{answer}"),
            Some("OutcomeUnknown") => unknown.push(n),
            Some(_) => panic!("neither done nor unknown: {answer}"),
        }
    }
    assert!(!unknown.is_empty(), "no log came to the limit");
    for n in (0..25).filter(|n| !unknown.contains(n)) {
        assert_eq!(child.get(&n.to_string()), Some(value(n)), "{n}");
    }
    // Each that met the limit ended one leadership.
    assert_eq!(child.status()["epoch"], json!(unknown.len() + 1));
}

#[test]
fn followers_of_a_leader_that_cannot_append_go_on_under_another() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let mut leader = ExecChild::spawn(limited(dir.path()), &data);
    leader.put("k", "v");
    let mut follower = ExecChild::spawn(PROGRAM, &data);
    assert_eq!(follower.leader_pid(), leader.pid());
    let (begun, mut count) = (Instant::now(), 0);
    // The one with the limit rests before it leads again, and ends anew at each limit: at one of them the other is first.
    while count < 25 || follower.leader_pid() != follower.pid() {
        assert!(begun.elapsed() < PATIENCE, "the follower never leads");
        // Page and recovery tell what became of the one that was under way: it is made again, once.
        follower.put(&count.to_string(), &value(count));
        count += 1;
    }
    for n in 0..count {
        assert_eq!(leader.get(&n.to_string()), Some(value(n)), "{n}");
    }
    assert_eq!(leader.leader_pid(), follower.pid());
}
