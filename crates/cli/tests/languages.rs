//! `exec` spoken from other languages, by the programs `exec.*` beside this file. Where a language is not installed its
//! test says that it did nothing.
#![cfg(unix)]

use std::process::Command;

/// Runs the program `file` with `interpreter`: it shares a database with a second process of its own, kills the leader,
/// and says that it has come to its end.
fn speaks(interpreter: &str, file: &str) {
    if Command::new(interpreter)
        .arg("-c")
        .arg("")
        .output()
        .is_err()
    {
        eprintln!("skipped: {interpreter} is not installed");
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let done = Command::new(interpreter)
        .arg(format!("{}/tests/{file}", env!("CARGO_MANIFEST_DIR")))
        .arg(env!("CARGO_BIN_EXE_level-party"))
        .arg(dir.path().join("db"))
        .output()
        .expect("it runs");
    let words = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{}: {words}", done.status);
    assert_eq!(done.stdout, b"spoken\n", "{words}");
}

#[test]
fn a_python_program_shares_a_database() {
    speaks("python3", "exec.py");
}

#[test]
fn a_node_program_shares_a_database() {
    speaks("node", "exec.mjs");
}

#[test]
fn a_shell_script_shares_a_database() {
    speaks("sh", "exec.sh");
}
