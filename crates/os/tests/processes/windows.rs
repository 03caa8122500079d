//! Locks, connections and handles between processes, on Windows.

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use level_party_os::process::{self, ProcessState};
use level_party_os::{
    ByteLock, DataDir, DirIdentity, DirLock, GuardedFile, Hangup, Listener, LockError,
    SharedSegment, Stream, Waker,
};

use crate::Outcome::{self, Passed};
use crate::peer::{Peer, hear, say};
use crate::{Test, tests};

const LEN: usize = 1 << 20;

pub const TESTS: &[Test] = tests![
    a_lock_refuses_other_processes_and_comes_free_when_its_holder_is_terminated,
    of_many_processes_that_try_at_once_exactly_one_gets_the_lock,
    a_byte_is_free_when_its_holder_is_terminated,
    directory_and_segment_handed_over_outlive_their_maker,
    the_end_of_a_terminated_server_is_seen_and_what_it_sent_is_still_read,
    after_a_terminated_server_nobody_serves_and_another_one_can,
    a_process_is_described_as_it_runs_and_is_gone,
];

pub fn play(role: &str, args: Vec<OsString>) {
    let path = Path::new(&args[0]);
    match role {
        "lock" => match DirLock::try_acquire(&open(path)) {
            Ok(_lock) => {
                say("held");
                hear();
            }
            Err(LockError::Held(_)) => say("refused"),
            Err(LockError::Io(error)) => say(&format!("error {error}")),
        },
        "join" => crate::members::join(path),
        "found" => crate::members::found(path),
        "found-or-join" => crate::members::found_or_join(path),
        "segment" => crate::segments::maker(path),
        "bell" => crate::bells::other_side(path),
        "race" => {
            say("ready");
            hear();
            let lock = DirLock::try_acquire(&open(path));
            say(if lock.is_ok() { "held" } else { "refused" });
            hear();
        }
        "byte" => {
            let lock = ByteLock::try_lock(&Arc::new(state(path)), 100).expect("no error");
            say(if lock.is_some() { "held" } else { "refused" });
            hear();
        }
        "hand-over" => {
            let dir = open(path);
            let segment = SharedSegment::create(LEN).expect("a segment");
            segment.reserve(0, 64).expect("memory");
            segment.words()[3].store(7, Ordering::Release);
            let stream = Stream::connect(&dir).expect("it is served");
            stream
                .send_handles(b"both", &[dir.as_handle(), segment.as_handle()])
                .expect("the server listens");
            (&stream).read_exact(&mut [0]).expect("an answer");
            say(&segment.words()[4].load(Ordering::Acquire).to_string());
            hear();
        }
        "serve" => {
            let dir = open(path);
            let lock = DirLock::try_acquire(&dir).expect("nobody has it");
            let listener = Listener::bind(&dir, &lock).expect("it can be served");
            say("serving");
            let stream = listener.accept().expect("somebody comes");
            (&stream).write_all(b"last words").expect("somebody hears");
            say("accepted");
            hear();
        }
        other => panic!("no such role: {other}"),
    }
}

pub fn open(path: &Path) -> DataDir {
    DataDir::open(path).expect("the test made the directory")
}

fn state(dir: &Path) -> GuardedFile {
    let mut options = File::options();
    let options = options.read(true).write(true).create(true).truncate(false);
    GuardedFile::open(options, &dir.join("state")).expect("it opens")
}

fn temp() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory for tests")
}

fn is_held(path: &Path) -> bool {
    matches!(DirLock::try_acquire(&open(path)), Err(LockError::Held(_)))
}

fn a_lock_refuses_other_processes_and_comes_free_when_its_holder_is_terminated() -> Outcome {
    let tmp = temp();
    let lock = DirLock::try_acquire(&open(tmp.path())).expect("nobody has it");
    assert_eq!(Peer::start("lock", [tmp.path()]).line(), "refused");
    drop(lock);
    let mut peer = Peer::start("lock", [tmp.path()]);
    assert_eq!(peer.line(), "held");
    assert!(is_held(tmp.path()));
    peer.kill();
    assert!(!is_held(tmp.path()));
    Passed
}

fn of_many_processes_that_try_at_once_exactly_one_gets_the_lock() -> Outcome {
    let tmp = temp();
    let mut peers: Vec<Peer> = (0..6).map(|_| Peer::start("race", [tmp.path()])).collect();
    for peer in &mut peers {
        assert_eq!(peer.line(), "ready");
    }
    for peer in &mut peers {
        peer.tell("go");
    }
    let held = peers
        .iter_mut()
        .filter_map(|peer| (peer.line() == "held").then_some(()));
    assert_eq!(held.count(), 1);
    Passed
}

fn a_byte_is_free_when_its_holder_is_terminated() -> Outcome {
    let tmp = temp();
    let file = state(tmp.path());
    let mut peer = Peer::start("byte", [tmp.path()]);
    assert_eq!(peer.line(), "held");
    assert!(ByteLock::is_locked(&file, 100).expect("it can be asked"));
    assert_eq!(Peer::start("byte", [tmp.path()]).line(), "refused");
    peer.kill();
    assert!(!ByteLock::is_locked(&file, 100).expect("it can be asked"));
    Passed
}

fn directory_and_segment_handed_over_outlive_their_maker() -> Outcome {
    let tmp = temp();
    let dir = open(tmp.path());
    let lock = DirLock::try_acquire(&dir).expect("nobody has it");
    let listener = Listener::bind(&dir, &lock).expect("it can be served");
    let mut peer = Peer::start("hand-over", [tmp.path()]);
    let stream = listener.accept().expect("it comes");
    assert_eq!(stream.peer().expect("it is known").pid, Some(peer.pid()));
    let mut heard = [0; 8];
    let (read, handles) = stream.recv_handles(&mut heard).expect("both come");
    assert_eq!(&heard[..read], b"both");
    let mut handles = handles.into_iter();
    let theirs = handles.next().expect("the directory");
    assert_eq!(
        DirIdentity::of(&theirs).expect("a directory"),
        dir.identity()
    );
    let segment = handles.next().expect("the segment");
    let segment = SharedSegment::from_handle(segment, LEN).expect("in order");
    segment.accept(0, 64).expect("it was reserved");
    assert_eq!(segment.words()[3].load(Ordering::Acquire), 7);
    segment.words()[4].store(8, Ordering::Release);
    (&stream).write_all(b"!").expect("it listens");
    assert_eq!(peer.line(), "8");
    peer.kill();
    assert_eq!((&stream).read(&mut heard).expect("the end"), 0);
    assert_eq!(segment.words()[3].load(Ordering::Acquire), 7);
    Passed
}

fn the_end_of_a_terminated_server_is_seen_and_what_it_sent_is_still_read() -> Outcome {
    let tmp = temp();
    let mut peer = Peer::start("serve", [tmp.path()]);
    assert_eq!(peer.line(), "serving");
    let stream = Stream::connect(&open(tmp.path())).expect("it serves");
    assert_eq!(stream.peer().expect("it is known").pid, Some(peer.pid()));
    assert_eq!(peer.line(), "accepted");
    peer.kill();
    let waker = Waker::new().expect("a waker");
    let end = stream.wait_hangup(&waker).expect("it can be waited for");
    assert_eq!(end, Hangup::PeerGone);
    let mut words = Vec::new();
    (&stream).read_to_end(&mut words).expect("they were sent");
    assert_eq!(words, b"last words");
    Passed
}

fn after_a_terminated_server_nobody_serves_and_another_one_can() -> Outcome {
    let tmp = temp();
    let mut peer = Peer::start("serve", [tmp.path()]);
    assert_eq!(peer.line(), "serving");
    let dir = open(tmp.path());
    let _still_open = Stream::connect(&dir).expect("it serves");
    peer.kill();
    let refused = Stream::connect(&dir).expect_err("nobody serves");
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    let lock = DirLock::try_acquire(&dir).expect("it is free");
    let _listener = Listener::bind(&dir, &lock).expect("it can be served");
    Stream::connect(&dir).expect("it is served");
    Passed
}

fn a_process_is_described_as_it_runs_and_is_gone() -> Outcome {
    let tmp = temp();
    let mut peer = Peer::start("race", [tmp.path()]);
    assert_eq!(peer.line(), "ready");
    let info = process::describe(peer.pid());
    assert_eq!(info.state, ProcessState::Running);
    let ours = std::env::current_exe().expect("our own path");
    let name = |path: &Path| path.file_name().map(|name| name.to_owned());
    let program = info.program.expect("its program is known");
    assert_eq!(name(Path::new(&program)), name(&ours));
    assert!(info.started.expect("its start is known") <= std::time::SystemTime::now());
    peer.kill();
    assert_eq!(process::describe(peer.pid()).state, ProcessState::Gone);
    Passed
}
