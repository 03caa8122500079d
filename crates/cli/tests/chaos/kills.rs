//! The leader is killed under load, fifty times.

use std::path::Path;

use level_party_testkit::{ExecChild, check, kill_under_load};

use crate::PROGRAM;

#[test]
fn fifty_killed_leaders_lose_and_double_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let written = kill_under_load(Path::new(PROGRAM), dir.path(), 4, 50);
    let mut observer = ExecChild::spawn(PROGRAM, dir.path());
    for (writer, written) in written.iter().enumerate() {
        assert!(
            !written.acknowledged.is_empty(),
            "writer {writer} wrote nothing"
        );
        check(writer, written, &observer.scan(&format!("{writer}/")));
    }
}
