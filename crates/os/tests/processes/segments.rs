//! The shared segment between processes, on every system.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use level_party_os::{DirLock, Listener, SharedSegment, Stream};

use crate::Outcome::{self, Passed};
use crate::peer::{Peer, hear, say};
use crate::roles::open;
use crate::{Test, tests};

pub const TESTS: &[Test] = tests![segment_is_seen_both_ways_and_outlives_a_killed_maker];

const LEN: usize = if cfg!(target_pointer_width = "64") {
    4 << 30
} else {
    256 << 20
};
const AT: usize = LEN - 4096;

fn word(segment: &SharedSegment, at: usize) -> &AtomicU64 {
    &segment.words()[at / 8]
}

fn segment_is_seen_both_ways_and_outlives_a_killed_maker() -> Outcome {
    let tmp = tempfile::tempdir().expect("a directory for tests");
    let dir = open(tmp.path());
    let lock = DirLock::try_acquire(&dir).expect("nobody has it");
    let listener = Listener::bind(&dir, &lock).expect("it can be served");
    let mut maker = Peer::start("segment", [tmp.path()]);
    let stream = listener.accept().expect("it comes");
    let (read, mut handles) = stream.recv_handles(&mut [0; 16]).expect("a segment comes");
    assert_eq!((read, handles.len()), (7, 1));
    let segment = SharedSegment::from_handle(handles.remove(0), LEN).expect("it is sealed");
    segment.accept(AT, 16).expect("it was reserved");
    assert_eq!(word(&segment, AT).load(Ordering::Acquire), 41);
    word(&segment, AT + 8).store(42, Ordering::Release);
    maker.tell("stored");
    assert_eq!(maker.line(), "42");
    maker.kill();
    assert_eq!(word(&segment, AT).load(Ordering::Acquire), 41);
    segment.reserve(0, 4096).expect("it can still be reserved");
    Passed
}

/// Role: makes a segment, stores into it and hands it over.
pub fn maker(path: &Path) {
    let stream = Stream::connect(&open(path)).expect("it is served");
    let segment = SharedSegment::create(LEN).expect("address space");
    segment.reserve(AT, 16).expect("memory");
    word(&segment, AT).store(41, Ordering::Release);
    let sent = stream.send_handles(b"segment", &[segment.as_handle()]);
    sent.expect("the test listens");
    hear();
    say(&word(&segment, AT + 8).load(Ordering::Acquire).to_string());
    hear();
}
