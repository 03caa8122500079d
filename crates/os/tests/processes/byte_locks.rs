//! Byte locks beside other descriptions of the same file.

use std::fs::File;
use std::sync::Arc;

use level_party_os::{ByteLock, GuardedFile};

use crate::Outcome::{self, Passed};
use crate::{Test, tests};

pub const TESTS: &[Test] = tests![a_byte_lock_is_seen_by_other_descriptions_and_by_offset];

fn a_byte_lock_is_seen_by_other_descriptions_and_by_offset() -> Outcome {
    let file = tempfile::NamedTempFile::new().expect("a file for tests");
    let open = || {
        let mut options = File::options();
        let options = options.read(true).write(true);
        GuardedFile::open(options, file.path()).expect("it is there")
    };
    let (one, two) = (Arc::new(open()), Arc::new(open()));
    let lock = ByteLock::try_lock(&one, 5)
        .expect("locks work")
        .expect("it is free");
    assert_eq!(lock.offset(), 5);
    assert!(ByteLock::try_lock(&two, 5).expect("locks work").is_none());
    let beside = ByteLock::try_lock(&two, 6)
        .expect("locks work")
        .expect("it is free");
    drop(open());
    assert!(ByteLock::is_locked(&two, 5).expect("locks work"));
    assert!(
        !ByteLock::is_locked(&one, 5).expect("locks work"),
        "one's own doesn't count"
    );
    drop(lock);
    assert!(!ByteLock::is_locked(&two, 5).expect("locks work"));
    assert!(ByteLock::is_locked(&one, 6).expect("locks work"));
    drop(beside);
    assert!(ByteLock::try_lock(&one, u64::MAX).is_err());
    Passed
}
