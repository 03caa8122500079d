//! A process whose files may not become long (`RLIMIT_FSIZE`): it can't make the memory that members share, but joins. The system ends a process by `SIGXFSZ` that writes beyond.

use std::path::{Path, PathBuf};

use level_party_testkit::{ExecChild, script};
use serde_json::json;

use crate::PROGRAM;

/// Our program where no file may become larger than 1 MiB.
fn limited(dir: &Path) -> PathBuf {
    let limited = dir.join("limited");
    // In blocks of 512 bytes, POSIX.1-2017, `ulimit`.
    let text = format!("#!/bin/sh\nulimit -f 2048 || exit\nexec '{PROGRAM}' \"$@\"\n");
    script(&limited, &text);
    limited
}

/// 100 kB that take next to nothing in a table.
fn value(n: usize) -> String {
    format!("{n:05}").repeat(20_000)
}

#[test]
fn member_whose_files_may_not_become_long_goes_on_in_other_logs() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let mut leader = ExecChild::spawn(PROGRAM, &data);
    assert_eq!(leader.status()["role"], "leader");
    let mut follower = ExecChild::spawn(limited(dir.path()), &data);
    for n in 0..25 {
        leader.put(&format!("a{n}"), &value(n));
        follower.put(&format!("b{n}"), &value(n));
    }
    // No log of this one holds it.
    let long = json!({"op": "put", "key": "long", "value": value(0).repeat(20)});
    let answer = follower.ask(&long);
    assert_eq!(answer["error"]["kind"], "OutOfSpace", "{answer}");
    leader.put("last", "1");
    for n in 0..25 {
        assert_eq!(follower.get(&format!("a{n}")), Some(value(n)), "{n}");
        assert_eq!(leader.get(&format!("b{n}")), Some(value(n)), "{n}");
    }
    assert_eq!(leader.get("long"), None);
    assert_eq!(leader.status()["epoch"], 1, "one leadership");
}

/// It has the directory alone then, and says so to whoever comes.
#[test]
fn founder_whose_files_may_not_become_long_is_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let mut alone = ExecChild::spawn(limited(dir.path()), &data);
    alone.put("a", "1");
    let path = data.to_str().expect("a path in UTF-8");
    let late = level_party_testkit::run(PROGRAM, ["get", path, "a", "--open-timeout", "2"]);
    assert_eq!(late.code(), 3, "{}", late.stderr);
    for words in ["alone", &alone.pid().to_string()] {
        assert!(late.stderr.contains(words), "{}", late.stderr);
    }
    assert_eq!(alone.get("a").as_deref(), Some("1"));
}
