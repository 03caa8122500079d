//! Members beside programs that lock `LOCK` in their own ways, and across forks.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use level_party_os::{LockError, MemberLock};
use rustix::fs::FlockOperation::{NonBlockingLockExclusive, Unlock};

use crate::Outcome::{self, Passed};
use crate::members::{is_held, member, temp};
use crate::peer::Peer;
use crate::roles::{hear, lock_file, open, say};
use crate::{Test, tests};

pub const TESTS: &[Test] = tests![
    fcntl_and_flock_programs_never_get_in_between_members,
    member_is_refused_by_fcntl_and_flock_holders_and_told_who,
    forked_child_of_a_member_neither_frees_nor_keeps_its_share,
];

/// Members come and go, each before the one before it dies, while two programs try again and again.
fn fcntl_and_flock_programs_never_get_in_between_members() -> Outcome {
    let tmp = temp();
    let mut last = member(tmp.path());
    let start = |role| Peer::start(role, [tmp.path()]);
    let mut strangers = [start("fcntl-storm"), start("flock-storm")];
    for stranger in &mut strangers {
        assert_eq!(stranger.line(), "trying");
    }
    for _ in 0..20 {
        let next = member(tmp.path());
        std::mem::replace(&mut last, next).kill();
        // For a moment the only member is the one that tests.
        let ours = MemberLock::try_join(&open(tmp.path())).expect("no founder");
        last.kill();
        last = member(tmp.path());
        drop(ours);
    }
    for stranger in &mut strangers {
        stranger.tell("stop");
        assert_eq!(stranger.line(), "0 times let in, tried often");
    }
    last.kill();
    for role in ["fcntl", "flock"] {
        assert_eq!(Peer::start(role, [tmp.path()]).line(), "held");
    }
    Passed
}

/// Role: tries to lock all of `LOCK` until it hears a word, as C++ LevelDB does or by `flock`.
pub fn stranger(path: &Path, by_fcntl: bool) {
    let file = lock_file(path);
    let lock = |operation| match by_fcntl {
        true => rustix::fs::fcntl_lock(file, operation),
        false => rustix::fs::flock(file, operation),
    };
    let stop = AtomicBool::new(false);
    let (mut tries, mut let_in) = (0_u64, 0_u64);
    say("trying");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            hear();
            stop.store(true, Ordering::Relaxed);
        });
        while !stop.load(Ordering::Relaxed) || tries < 1000 {
            tries += 1;
            if lock(NonBlockingLockExclusive).is_ok() {
                let_in += 1;
                lock(Unlock).expect("it was ours");
            }
        }
    });
    say(&format!("{let_in} times let in, tried often"));
    hear();
}

fn member_is_refused_by_fcntl_and_flock_holders_and_told_who() -> Outcome {
    let tmp = temp();
    for (role, is_named) in [("fcntl", true), ("flock", cfg!(target_os = "linux"))] {
        let mut peer = Peer::start(role, [tmp.path()]);
        assert_eq!(peer.line(), "held");
        for _ in 0..2 {
            match MemberLock::try_join(&open(tmp.path())) {
                Err(LockError::Held(held)) if is_named => {
                    assert_eq!(held.holder().pid, Some(peer.pid()));
                }
                Err(LockError::Held(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        peer.kill();
        drop(MemberLock::try_join(&open(tmp.path())).expect("it is gone"));
    }
    Passed
}

fn forked_child_of_a_member_neither_frees_nor_keeps_its_share() -> Outcome {
    let tmp = temp();
    let mut parent = Peer::start("fork-member", [tmp.path()]);
    assert_eq!(parent.line(), "forked");
    assert!(is_held(tmp.path()), "by the parent");
    parent.tell("drop"); // heard by the child
    assert_eq!(parent.line(), "dropped");
    assert!(is_held(tmp.path()), "by the parent still");
    parent.kill();
    assert!(!is_held(tmp.path()), "the child has nothing");
    parent.release();
    Passed
}

/// Role: forks as a member; the child drops its copy when it is told, and lives on.
pub fn member_that_forks(path: &Path) {
    let lock = MemberLock::try_join(&open(path)).expect("no founder");
    // SAFETY: this process has one thread.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child != 0 {
        let mut status = 0;
        // SAFETY: waits for our child; the status is a local. The test kills us before.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        std::process::exit(1);
    }
    say("forked");
    hear();
    drop(lock);
    say("dropped");
    hear();
}
