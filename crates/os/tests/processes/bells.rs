//! Bells between processes, on every system.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use level_party_os::{Bells, DirLock, Listener, SharedSegment, Stream};

use crate::Outcome::{self, Passed};
use crate::peer::{Peer, hear, say};
use crate::roles::open;
use crate::{Test, tests};

pub const TESTS: &[Test] = tests![
    two_processes_wake_each_other_by_turns,
    sleep_ends_by_its_timeout_when_the_ringer_is_killed,
];

const LEN: usize = 1 << 20;
const COUNT: usize = 5;
const BELL: usize = 3;
const TURNS: u64 = 1000;
const SLEEPS: u64 = 1 << 63;

/// A segment with its bells, and the process that shares it.
struct Shared {
    segment: SharedSegment,
    bells: Bells,
    peer: Peer,
    _tmp: tempfile::TempDir,
}

fn shared() -> Shared {
    let tmp = tempfile::tempdir().expect("a directory for tests");
    let dir = open(tmp.path());
    let lock = DirLock::try_acquire(&dir).expect("nobody has it");
    let listener = Listener::bind(&dir, &lock).expect("it can be served");
    let mut peer = Peer::start("bell", [tmp.path()]);
    let stream = listener.accept().expect("it comes");
    let segment = SharedSegment::create(LEN).expect("memory");
    segment.reserve(0, 4096).expect("memory");
    let bells = Bells::create(COUNT).expect("handles");
    let mut handles = vec![segment.as_handle()];
    handles.extend(bells.handles());
    stream.send_handles(b"all", &handles).expect("it listens");
    assert_eq!(peer.line(), "mapped");
    Shared {
        segment,
        bells,
        peer,
        _tmp: tmp,
    }
}

fn received(path: &Path) -> (SharedSegment, Bells) {
    let stream = Stream::connect(&open(path)).expect("it is served");
    let (_, mut handles) = stream.recv_handles(&mut [0; 16]).expect("they come");
    let events = handles.split_off(1);
    let segment = SharedSegment::from_handle(handles.remove(0), LEN).expect("in order");
    segment.accept(0, 4096).expect("it was reserved");
    let bells = Bells::from_handles(events, COUNT).expect("in order");
    (segment, bells)
}

/// Every other turn is ours: we change the word and ring, and sleep until the other side has.
fn play(word: &AtomicU64, bells: &Bells, ours: u64) {
    loop {
        let seen = word.fetch_or(SLEEPS, SeqCst) & !SLEEPS;
        if seen == TURNS {
            return;
        }
        if seen % 2 != ours {
            bells.wait(BELL, word, seen as u32, Duration::from_secs(1));
            continue;
        }
        word.store(seen + 1, SeqCst);
        bells.wake_all(BELL, word);
    }
}

fn two_processes_wake_each_other_by_turns() -> Outcome {
    let mut shared = shared();
    let word = &shared.segment.words()[41];
    shared.peer.tell("play");
    play(word, &shared.bells, 0);
    assert_eq!(shared.peer.line(), "played");
    assert_eq!(word.load(SeqCst) & !SLEEPS, TURNS);
    Passed
}

fn sleep_ends_by_its_timeout_when_the_ringer_is_killed() -> Outcome {
    let mut shared = shared();
    shared.peer.kill();
    let word = &shared.segment.words()[41];
    let timeout = Duration::from_millis(5);
    // What was rung before may end a sleep early, but not for ever.
    while shared.bells.wait(BELL, word, 0, timeout) {}
    Passed
}

/// Role: maps what it is handed, and takes every other turn.
pub fn other_side(path: &Path) {
    let (segment, bells) = received(path);
    say("mapped");
    hear();
    play(&segment.words()[41], &bells, 1);
    say("played");
    hear();
}
