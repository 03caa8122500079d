//! Shared pages and byte locks between processes.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use level_party_os::{ByteLock, DirLock, Listener, SharedPage};

use crate::Outcome::{self, Passed};
use crate::peer::Peer;
use crate::roles::{PAGE_LEN, open};
use crate::{Test, tests};

pub const TESTS: &[Test] = tests![
    a_page_is_visible_both_ways_and_outlives_a_killed_peer,
    a_byte_lock_is_seen_by_other_descriptions_and_by_offset,
];

fn a_page_is_visible_both_ways_and_outlives_a_killed_peer() -> Outcome {
    let tmp = tempfile::tempdir().expect("a directory for tests");
    let dir = open(tmp.path());
    let lock = DirLock::try_acquire(&dir).expect("nobody has it");
    let listener = Listener::bind(&dir, &lock).expect("it can be served");
    let mut peer = Peer::start("page", [tmp.path()]);
    let stream = listener.accept().expect("it comes");
    let page = SharedPage::create(PAGE_LEN).expect("memory");
    page.words()[0].store(41, Ordering::Release);
    stream
        .send_handles(b"page", &[page.as_handle().as_fd()])
        .expect("it listens");
    assert_eq!(peer.line(), "answered");
    assert_eq!(page.words()[1].load(Ordering::Acquire), 42);
    peer.kill();
    assert_eq!(page.words()[1].load(Ordering::Acquire), 42);
    Passed
}

fn a_byte_lock_is_seen_by_other_descriptions_and_by_offset() -> Outcome {
    let file = tempfile::NamedTempFile::new().expect("a file for tests");
    let open = || {
        File::options()
            .read(true)
            .write(true)
            .open(file.path())
            .expect("it is there")
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
