//! Random bytes in the memory that two processes share.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use level_party_testkit::{ExecChild, PATIENCE};
use serde_json::json;

use crate::wire::{PAGE_BYTES, SEALS, Said, Wire, batch, frame, page, varint, write};
use crate::{PROGRAM, leader, temp};

/// Writes random words, many of them such as a page may hold, all over a page until it is told to stop, and not while it
/// may not.
fn scribble(page: &File, numbers: &AtomicU64, stop: &AtomicBool, may: &RwLock<()>, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    while !stop.load(Ordering::Relaxed) {
        let _may = may.read().expect("nobody fails with it");
        let number = numbers.load(Ordering::Relaxed) + random.u64(..4);
        let word = match random.u32(..4) {
            0 => random.u64(..),
            // As if the write of that number was pending, claimed, cancelled, or assigned.
            1 => turn(number, random.u64(..8)),
            2 => number,
            _ => random.u64(..3),
        };
        let at = random.u64(..PAGE_BYTES - 7);
        page.write_all_at(&word.to_ne_bytes(), at)
            .expect("it is writable");
    }
}

/// The word that says a write's state under the first epoch.
fn turn(number: u64, state: u64) -> u64 {
    ((((number / 256) << 24) | 1) << 3) | state
}

#[test]
fn random_bytes_in_a_session_page_harm_neither_the_leader_nor_others() {
    let dir = temp();
    let mut leader = leader(dir.path());
    let mut witness = ExecChild::spawn(PROGRAM, dir.path());
    witness.put("kept", "0");
    let memory = page(PAGE_BYTES, SEALS);
    let mut wire = Wire::attach_with(dir.path(), 9, &memory).expect("it is served");
    assert_eq!(wire.next(), Said::Welcome);
    let file = File::from(memory);
    let (stop, number, may) = (AtomicBool::new(false), AtomicU64::new(1), RwLock::new(()));
    let mut applied = 0;
    std::thread::scope(|threads| {
        for seed in 0..2 {
            let (file, number, stop, may) = (&file, &number, &stop, &may);
            threads.spawn(move || scribble(file, number, stop, may, seed));
        }
        let end = StopAtEnd(&stop);
        for n in 1..3000_u64 {
            number.store(n, Ordering::Relaxed);
            // Whether a write comes through while others scribble is for the scheduler to say: these do.
            let alone = (n % 100 == 0).then(|| may.write().expect("nobody fails with it"));
            // What an honest follower does first; the scribblers may be quicker.
            let entry = n % 256 * 64;
            let pending = turn(n, 1);
            file.write_all_at(&pending.to_ne_bytes(), entry)
                .expect("it is writable");
            let value = n.to_string();
            wire.send(&frame(&write(n, n, &batch(b"theirs", value.as_bytes()))))
                .expect("sent");
            assert_eq!(wire.next(), Said::Reply(n));
            if alone.is_some() {
                applied += u64::from(leader.get("theirs").as_ref() == Some(&value));
                drop(alone);
                witness.put("kept", &value);
                assert_eq!(leader.get("kept"), Some(value));
            }
        }
        drop(end);
    });
    assert!(applied > 0, "some of its writes came through");
    assert!(!leader.stderr().contains("panicked"), "{}", leader.stderr());
    assert_eq!(witness.status()["epoch"], 1);
    drop(wire);
    leader.kill();
    assert_eq!(witness.get("kept").as_deref(), Some("2900"));
}

struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A welcome from a leader of some epoch that knows nothing of any other.
fn welcome(epoch: u64) -> Vec<u8> {
    let mut bytes = vec![1];
    for number in [
        epoch,
        0,
        0,
        u64::from(std::process::id()),
        4 << 20,
        4096,
        2 << 20,
    ] {
        bytes.extend(varint(number));
    }
    bytes.extend([1, 0, 0]); // compression, no filter, no history for watches
    bytes.extend([0, 1, 0]); // no epochs, unbroken, no moments
    bytes
}

/// A leader that scribbles over the page it was handed and then goes, again and again.
fn bad_leader(listener: &UnixListener, connections: u64) {
    for epoch in 1..=connections {
        let stream = accept(listener);
        let Some((preamble, page)) = handed_page(&stream) else {
            continue;
        };
        // It speaks whatever version the follower does.
        let greeting = [preamble.to_vec(), frame(&welcome(epoch))].concat();
        if std::io::Write::write_all(&mut &stream, &greeting).is_err() {
            continue;
        }
        let mut random = fastrand::Rng::with_seed(epoch);
        for _ in 0..2000 {
            let at = random.u64(..PAGE_BYTES - 7);
            let word = if random.bool() {
                random.u64(..)
            } else {
                random.u64(..300)
            };
            page.write_all_at(&word.to_ne_bytes(), at)
                .expect("it is writable");
        }
        // What was sent meanwhile is never answered.
    }
}

/// The next connection, if one comes at all.
fn accept(listener: &UnixListener) -> UnixStream {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let limit = Timespec::try_from(PATIENCE).expect("a short time");
    let ready = poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&limit));
    assert_eq!(ready, Ok(1), "the follower comes no more");
    listener.accept().expect("it came").0
}

/// A follower's preamble, and the second handle that comes with its first byte.
fn handed_page(stream: &UnixStream) -> Option<([u8; 16], File)> {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
    let mut space = vec![std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; 16];
    let mut slices = [std::io::IoSliceMut::new(&mut bytes)];
    rustix::net::recvmsg(stream, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC).ok()?;
    let handles = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(handles) => Some(handles),
        _ => None,
    });
    let page = handles.flatten().nth(1)?;
    Some((bytes, File::from(page)))
}

#[test]
fn random_bytes_in_its_session_page_do_not_end_a_follower() {
    let dir = temp();
    crate::put(dir.path(), "kept", "1");
    let socket = dir.path().join("level-party.sock");
    let listener = UnixListener::bind(&socket).expect("bound");
    let flags = ["--timeout", "30", "--open-timeout", "30"];
    let mut follower = ExecChild::spawn_with(PROGRAM, dir.path(), flags);
    for n in 0..20 {
        follower.send(&json!({"op": "put", "key": format!("{n}"), "value": "x"}));
    }
    bad_leader(&listener, 60);
    drop(listener);
    std::fs::remove_file(&socket).expect("it is ours");
    for _ in 0..20 {
        // Nobody can say what became of them but that they ended.
        let answer = follower.answer();
        let kind = answer["error"]["kind"].as_str();
        let known = ["OutcomeUnknown", "Protocol", "Timeout", "ConnectionLost"];
        assert!(
            answer["ok"] == true || kind.is_some_and(|kind| known.contains(&kind)),
            "{answer}"
        );
    }
    assert_eq!(follower.get("kept").as_deref(), Some("1"));
    follower.put("after", "it all");
    assert_eq!(follower.status()["role"], "leader");
    assert!(
        !follower.stderr().contains("panicked"),
        "{}",
        follower.stderr()
    );
}
