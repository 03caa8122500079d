//! Forks without exec: the child must keep neither the lock nor a connection alive.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use level_party_os::process::{self, ProcessState};
use level_party_os::{
    ByteLock, DirLock, FileWord, GuardedFile, Hangup, Listener, LockError, SharedSegment, Stream,
    Waker,
};

use crate::Outcome::{self, Passed};
use crate::peer::Peer;
use crate::roles::{hear, open, say};
use crate::{Test, tests};

pub const TESTS: &[Test] = tests![
    a_forked_child_keeps_neither_lock_nor_connection_of_its_killed_parent,
    a_child_without_fork_handlers_neither_frees_nor_keeps_the_lock,
    a_fork_amid_opening_and_closing_leaves_nothing_behind,
    what_a_forked_child_does_with_its_copies_does_not_reach_the_parent,
];

/// The byte that the forking process has locked in the file `state`.
const BYTE: u64 = 3;

fn state_file(dir: &Path) -> Arc<GuardedFile> {
    let mut options = File::options();
    let options = options.read(true).write(true).create(true).truncate(false);
    Arc::new(GuardedFile::open(options, &dir.join("state")).expect("it can be made"))
}

fn is_held(path: &Path) -> bool {
    matches!(DirLock::try_acquire(&open(path)), Err(LockError::Held(_)))
}

fn a_forked_child_keeps_neither_lock_nor_connection_of_its_killed_parent() -> Outcome {
    let tmp = tempfile::tempdir().expect("a directory for tests");
    let mut parent = Peer::start("fork", [tmp.path()]);
    assert_eq!(parent.line(), "serving");
    let stream = Stream::connect(&open(tmp.path())).expect("it is served");
    let child: u32 = parent.line().parse().expect("the child's pid");
    assert_eq!(parent.line(), "the child has nothing");
    assert!(is_held(tmp.path()), "the child's drops freed nothing");
    let file = state_file(tmp.path());
    assert!(ByteLock::is_locked(&file, BYTE).expect("locks work"));
    assert!(
        !stream
            .wait_readable(Some(Duration::ZERO))
            .expect("it is open")
    );

    parent.kill();
    let waker = Waker::new().expect("descriptors");
    assert_eq!(
        stream.wait_hangup(&waker).expect("it can be watched"),
        Hangup::PeerGone
    );
    assert!(!is_held(tmp.path()));
    assert!(!ByteLock::is_locked(&file, BYTE).expect("locks work"));
    assert_eq!(process::describe(child).state, ProcessState::Running);
    parent.release();
    Passed
}

/// Role: has everything, forks, and the child looks at what it got.
pub fn holder_that_forks(path: &Path) {
    let dir = open(path);
    let lock = DirLock::try_acquire(&dir).expect("nobody has it");
    let listener = Listener::bind(&dir, &lock).expect("it can be served");
    let state = state_file(path);
    state.set_len(4096).expect("it is open for writing");
    let word = FileWord::map(&state, 4088).expect("it is long enough");
    word.get().store(7, Ordering::SeqCst);
    let byte = ByteLock::try_lock(&state, BYTE).expect("locks work");
    let generation = process::fork_generation();
    say("serving");
    let stream = listener.accept().expect("the test comes");
    // SAFETY: this process has one thread.
    let child = unsafe { libc::fork() };
    if child != 0 {
        assert!(child > 0);
        assert_eq!(process::fork_generation(), generation);
        // The test kills us. Only if the child fails, it ends before.
        let mut status = 0;
        // SAFETY: waits for our child; the status is a local.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        std::process::exit(1);
    }
    say(&std::process::id().to_string());
    assert_eq!(process::fork_generation(), generation + 1);
    assert!(
        stream
            .wait_readable(Some(Duration::ZERO))
            .expect("it can be asked")
    );
    assert_eq!((&stream).read(&mut [0; 8]).expect("ended"), 0);
    assert_eq!(stream.recv_handles(&mut [0; 8]).expect("ended").0, 0);
    assert!((&stream).write(b"x").is_err());
    assert!(stream.send_handles(b"x", &[dir.as_handle()]).is_err());
    assert!(stream.peer().is_err());
    assert!(listener.accept().is_err());
    assert!(is_held(path), "by the parent");
    assert_eq!(word.get().load(Ordering::SeqCst), 0, "a word of its own");
    drop((lock, byte, stream, listener));
    say("the child has nothing");
    hear();
    // It has the file and the word until here, and nothing of the parent's in them.
    drop((state, word));
}

fn a_child_without_fork_handlers_neither_frees_nor_keeps_the_lock() -> Outcome {
    if cfg!(not(target_os = "linux")) {
        return Outcome::Impossible("every child has the handlers here");
    }
    let tmp = tempfile::tempdir().expect("a directory for tests");
    let mut parent = Peer::start("clone", [tmp.path()]);
    assert_eq!(parent.line(), "a child has dropped its copy");
    assert!(is_held(tmp.path()));
    parent.tell("drop yours");
    assert_eq!(parent.line(), "dropped, and a child still has a copy");
    assert!(!is_held(tmp.path()));
    parent.release();
    Passed
}

/// Role: children made by the bare system call, as some runtimes do.
#[cfg(target_os = "linux")]
pub fn holder_that_clones(path: &Path) {
    let clone = || {
        // SAFETY: as fork, without handlers; this process has one thread.
        unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) }
    };
    let exit = || -> ! {
        // SAFETY: ends the child without running what is the parent's to run.
        unsafe { libc::_exit(0) }
    };
    let lock = DirLock::try_acquire(&open(path)).expect("nobody has it");
    let mut status = 0;
    match clone() {
        0 => {
            drop(lock);
            exit();
        }
        // SAFETY: waits for our child; the status is a local.
        child => unsafe {
            assert_eq!(
                libc::waitpid(child as i32, &raw mut status, 0),
                child as i32
            );
        },
    }
    say("a child has dropped its copy");
    hear();
    if clone() == 0 {
        hear();
        exit();
    }
    drop(lock);
    say("dropped, and a child still has a copy");
    hear();
}

#[cfg(not(target_os = "linux"))]
pub fn holder_that_clones(_path: &Path) {}

fn what_a_forked_child_does_with_its_copies_does_not_reach_the_parent() -> Outcome {
    let now = Some(Duration::ZERO);
    let (one, two) = Stream::pair().expect("descriptors");
    let waker = Waker::new().expect("descriptors");
    // SAFETY: this process has one thread; the child ends without unwinding or running what is the parent's to run.
    let child = unsafe { libc::fork() };
    if child == 0 {
        waker.wake();
        let _ = (one.shutdown(), two.shutdown_read());
        // SAFETY: as above.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: waits for our child; the status is a local.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    assert!(!waker.wait(now).expect("it can be asked"), "not woken");
    for stream in [&one, &two] {
        assert!(!stream.wait_readable(now).expect("it is open"), "not ended");
    }
    Passed
}

fn a_fork_amid_opening_and_closing_leaves_nothing_behind() -> Outcome {
    let tmp = tempfile::tempdir().expect("a directory for tests");
    let mut storm = Peer::start("fork-storm", [tmp.path()]);
    assert_eq!(
        storm.line(),
        "300 children, 0 of them with a socket or segment"
    );
    Passed
}

/// Role: forks again and again while its threads open and close streams.
pub fn storm(path: &Path) {
    let stop = AtomicBool::new(false);
    let generation = process::fork_generation();
    let mut leaks = 0;
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    drop(Stream::pair().expect("descriptors"));
                }
            });
        }
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                drop(SharedSegment::create(1 << 20).expect("memory"));
            }
        });
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // Taken or not: in between its descriptors come and go.
                drop(DirLock::try_acquire(&open(path)));
            }
        });
        for _ in 0..300 {
            // SAFETY: the child looks at its descriptors, tries a lock and exits; the C library's allocator is
            // usable in a forked child.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: ends the child, should it hang.
                unsafe { libc::alarm(20) };
                let clean = process::fork_generation() == generation + 1
                    && !has_sockets()
                    && !has_shared_memory();
                drop(DirLock::try_acquire(&open(path)));
                // SAFETY: ends the child without running what is the parent's to run.
                unsafe { libc::_exit(i32::from(!clean)) };
            }
            let mut status = 0;
            // SAFETY: waits for our child; the status is a local.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            leaks += u32::from(status != 0);
        }
        stop.store(true, Ordering::Relaxed);
    });
    say(&format!(
        "300 children, {leaks} of them with a socket or segment"
    ));
}

/// Whether a socket is open behind any descriptor above the standard three.
fn has_sockets() -> bool {
    (3..64).any(|fd| {
        // SAFETY: `stat` is plain integers; fstat writes one, if the descriptor is open at all.
        unsafe {
            let mut stat: libc::stat = std::mem::zeroed();
            libc::fstat(fd, &raw mut stat) == 0 && stat.st_mode & libc::S_IFMT == libc::S_IFSOCK
        }
    })
}

/// Whether memory of this crate is mapped that others see. Not told but on Linux.
fn has_shared_memory() -> bool {
    let maps = std::fs::read_to_string("/proc/self/maps");
    maps.is_ok_and(|maps| maps.contains("memfd:level-party"))
}
