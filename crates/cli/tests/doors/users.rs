//! Other users: nothing of ours is served to them, and nothing of theirs is taken.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use level_party_testkit::Finished;

use crate::{
    PROGRAM, REFUSED_WITHIN, SERVED_WITHIN, command, impossible, is_root, leader, names, put,
    refused, temp,
};

/// Nobody here.
const OTHER: u32 = 12_345;

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

/// The program where every user may run it. Another process copies it: a descriptor of this one that may write it could be
/// inherited by a child that another test is about to start, and until then nobody may run it.
fn for_all(base: &Path) -> PathBuf {
    mode(base, 0o755);
    let program = base.join("level-party");
    let copied = Command::new("cp").arg(PROGRAM).arg(&program).status();
    assert!(copied.expect("cp runs").success());
    mode(&program, 0o755);
    program
}

fn as_other(program: &Path, args: &[&str], dir: &Path, seconds: &str) -> Command {
    let mut command = Command::new(program);
    command.arg(args[0]).arg(dir).args(&args[1..]);
    command.args(["--open-timeout", seconds]);
    command.uid(OTHER).gid(OTHER);
    command
}

fn finished(mut command: Command) -> Finished {
    let done = command.output().expect("it starts");
    Finished {
        status: done.status,
        stdout: done.stdout,
        stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
    }
}

/// Ended with the value.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn another_user_is_served_nothing_and_told_whose_it_is() {
    if !is_root() {
        return impossible("only root can become another user");
    }
    let tmp = temp();
    let program = for_all(tmp.path());
    let dir = tmp.path().join("db");
    let mut leader = leader(&dir);
    leader.put("a", "secret");
    // As careless as an owner can be.
    mode(&dir, 0o777);
    for name in names(&dir) {
        mode(&dir.join(name), 0o666);
    }
    for args in [
        &["get", "a"][..],
        &["put", "a", "mine"],
        &["scan"],
        &["status"],
    ] {
        let done = finished(as_other(&program, args, &dir, REFUSED_WITHIN));
        refused(
            &done,
            &[
                "belongs to user 0",
                &format!("user {OTHER}"),
                "run as that user",
            ],
        );
        assert!(done.stdout.is_empty());
    }
    assert_eq!(leader.get("a").as_deref(), Some("secret"));
    assert_eq!(leader.status()["followers"], serde_json::json!([]));
}

#[test]
fn root_is_not_served_by_another_users_leader() {
    if !is_root() {
        return impossible("only root can become another user");
    }
    let tmp = temp();
    let program = for_all(tmp.path());
    let dir = tmp.path().join("db");
    std::fs::create_dir(&dir).expect("made");
    chown(&dir, Some(OTHER), Some(OTHER)).expect("root may");
    let mut leader = as_other(&program, &["exec"], &dir, SERVED_WITHIN);
    leader.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut leader = Ended(leader.spawn().expect("it starts"));
    let mut says = BufReader::new(leader.0.stdout.take().expect("piped"));
    let mut asks = leader.0.stdin.take().expect("piped");
    let mut ask = |request: &str| {
        writeln!(asks, "{request}").expect("it listens");
        let mut line = String::new();
        says.read_line(&mut line).expect("it answers");
        line
    };
    assert!(ask(r#"{"op":"put","key":"a","value":"theirs"}"#).contains("true"));
    let before = names(&dir);
    for args in [&["get", "a"][..], &["put", "a", "mine"]] {
        let done = command(args[0], &dir, &args[1..]);
        refused(
            &done,
            &[
                &format!("belongs to user {OTHER}"),
                "user 0",
                "run as that user",
            ],
        );
    }
    assert_eq!(names(&dir), before);
    assert!(ask(r#"{"op":"get","key":"a"}"#).contains("theirs"));
}

#[test]
fn a_user_without_a_name_is_not_taken_for_another_without_one() {
    let tmp = temp();
    let mut leader = leader(tmp.path());
    leader.put("a", "secret");
    // In a user namespace without a map every user reads as 65534, we too.
    let mut unshared = Command::new("unshare");
    unshared.args(["--user", PROGRAM, "get"]).arg(tmp.path());
    unshared.args(["a", "--open-timeout", REFUSED_WITHIN]);
    let done = finished(unshared);
    if done.stderr.contains("unshare") {
        return impossible("user namespaces are not allowed");
    }
    assert!(done.stdout.is_empty());
    refused(&done, &["without a name in this user namespace", "65534"]);
}

#[test]
fn forbidden_directory_is_refused_with_what_to_do() {
    if !is_root() {
        return impossible("only root can become another user");
    }
    let tmp = temp();
    let program = for_all(tmp.path());
    let dir = tmp.path().join("db");
    put(&dir, "a", "1");
    let before = names(&dir);
    let user = format!("as user {OTHER}");
    let words = [
        dir.to_str().expect("plain"),
        &user,
        "run as the user who owns it",
        "Permission denied",
    ];
    for closed in [0o755, 0o700] {
        mode(&dir, closed);
        for args in [&["get", "a"][..], &["put", "a", "2"]] {
            let done = finished(as_other(&program, args, &dir, REFUSED_WITHIN));
            refused(&done, &words);
        }
    }
    let below = tmp.path().join("new");
    let words = [below.to_str().expect("plain"), &user];
    let put = as_other(&program, &["put", "a", "2"], &below, REFUSED_WITHIN);
    refused(&finished(put), &words);
    assert_eq!(names(&dir), before);
}
