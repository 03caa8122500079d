//! Processes that stand still at a point until the test lets them go on.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use level_party_testkit::PATIENCE;

/// A pipe at which a process can be told to stand still.
pub fn pipe(dir: &Path) -> PathBuf {
    let pipe = dir.join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo").success());
    pipe
}

/// Waits until somebody stands still at the pipe; it goes on when what is returned goes.
pub fn hold_at(pipe: &Path) -> File {
    // Without a reader such an opening is refused (ENXIO).
    let mut writing = File::options();
    writing
        .write(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    let mut held = None;
    wait("somebody stands still", || {
        held = writing.open(pipe).ok();
        held.is_some()
    });
    held.expect("it was waited for")
}

/// Waits until something is so.
pub fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::yield_now();
    }
}
