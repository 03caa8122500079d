//! What a lock on a byte is on every system.

use std::fs::File;
use std::io::ErrorKind;
use std::sync::Arc;

use crate::{ByteLock, GuardedFile};

/// The highest number of a member: both halves at their limits.
const HIGHEST: u64 = (((1 << 30) - 1) << 32) | u32::MAX as u64;

fn opener() -> (tempfile::NamedTempFile, impl Fn() -> Arc<GuardedFile>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_owned();
    let open = move || {
        let mut options = File::options();
        Arc::new(GuardedFile::open(options.read(true).write(true), &path).unwrap())
    };
    (file, open)
}

#[test]
fn each_number_of_a_member_has_a_byte_of_its_own() {
    let (_file, open) = opener();
    let (mine, other) = (open(), open());
    let numbers = [
        0,
        1,
        u64::from(u32::MAX),
        1 << 32,
        (1 << 32) + 1,
        HIGHEST - 1,
        HIGHEST,
    ];
    for number in numbers {
        let lock = ByteLock::try_lock(&mine, number).unwrap().unwrap();
        assert_eq!(lock.offset(), number);
        for asked in numbers {
            assert_eq!(ByteLock::is_locked(&other, asked).unwrap(), asked == number);
        }
        assert!(ByteLock::try_lock(&other, number).unwrap().is_none());
        drop(lock);
        assert!(!ByteLock::is_locked(&other, number).unwrap());
    }
}

#[test]
fn question_does_not_see_locks_of_its_own_file() {
    let (_file, open) = opener();
    let (mine, other) = (open(), open());
    let _lock = ByteLock::try_lock(&mine, HIGHEST).unwrap().unwrap();
    assert!(ByteLock::is_locked(&other, HIGHEST).unwrap());
    assert!(!ByteLock::is_locked(&mine, HIGHEST).unwrap());
    // On Windows that question gave the lock back, so nothing more is asked here.
}

#[test]
fn asking_about_others_keeps_ones_own_lock() {
    let (_file, open) = opener();
    let (mine, other) = (open(), open());
    let _mine = ByteLock::try_lock(&mine, 7).unwrap().unwrap();
    let theirs = ByteLock::try_lock(&other, 8).unwrap().unwrap();
    assert!(ByteLock::is_locked(&mine, 8).unwrap());
    drop(theirs);
    assert!(!ByteLock::is_locked(&mine, 8).unwrap());
    drop(open());
    assert!(ByteLock::is_locked(&other, 7).unwrap());
}

#[test]
fn offsets_beyond_any_file_are_errors_not_answers() {
    let (_file, open) = opener();
    let file = open();
    let kind = ErrorKind::InvalidInput;
    assert_eq!(
        ByteLock::try_lock(&file, u64::MAX).unwrap_err().kind(),
        kind
    );
    assert_eq!(
        ByteLock::is_locked(&file, u64::MAX).unwrap_err().kind(),
        kind
    );
}
