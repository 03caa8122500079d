//! `exec` spoken from another language, by the program `exec.py` beside this file. Without Python it says that it did nothing.

use std::process::Command;

#[test]
fn a_python_program_shares_a_database() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: python3 is not installed");
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let done = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/exec.py"))
        .arg(env!("CARGO_BIN_EXE_level-party"))
        .arg(dir.path().join("db"))
        .output()
        .expect("python3 runs");
    let words = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{}: {words}", done.status);
    assert_eq!(done.stdout, b"spoken\n");
}
