//! The lock against other programs, and what is said about its holder.

use std::fs::File;
use std::path::Path;

use level_party_os::process::{self, ProcessState};
use level_party_os::{DirLock, Holder, LockError};
use rustix::process::{Signal, WaitId, WaitIdOptions, WaitOptions};

use crate::Outcome::{self, Passed};
use crate::peer::Peer;
use crate::roles::open;
use crate::{Test, tests};

pub const TESTS: &[Test] = tests![
    our_lock_refuses_classic_locks_flocks_and_ours_in_other_processes,
    our_lock_is_refused_while_another_process_holds_a_classic_lock,
    our_lock_is_refused_while_another_process_holds_a_flock,
    our_lock_is_refused_while_another_process_holds_it,
    a_failed_second_attempt_and_a_look_at_the_file_leave_others_refused,
    a_lock_comes_free_when_its_holder_is_killed,
    of_many_processes_that_try_at_once_exactly_one_gets_the_lock,
    a_process_is_described_as_it_runs_stops_dies_and_is_gone,
];

fn temp() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory for tests")
}

fn attempt(path: &Path) -> Option<Holder> {
    match DirLock::try_acquire(&open(path)) {
        Ok(_) => None,
        Err(LockError::Held(held)) => Some(held.holder()),
        Err(LockError::Io(error)) => panic!("{error}"),
    }
}

fn our_lock_refuses_classic_locks_flocks_and_ours_in_other_processes() -> Outcome {
    let tmp = temp();
    let _lock = DirLock::try_acquire(&open(tmp.path())).expect("nobody has it");
    assert_eq!(Peer::start("fcntl", [tmp.path()]).line(), "refused");
    assert_eq!(Peer::start("flock", [tmp.path()]).line(), "refused");
    let line = Peer::start("lock", [tmp.path()]).line();
    if cfg!(target_os = "linux") {
        assert_eq!(line, format!("refused by Some({})", std::process::id()));
    } else {
        assert!(line.starts_with("refused"), "{line}");
    }
    Passed
}

/// Another process takes the lock in its way: we are refused, told who it is, and get it afterwards.
fn refused_by(role: &str, named: bool) -> Outcome {
    let tmp = temp();
    let mut peer = Peer::start(role, [tmp.path()]);
    assert_eq!(peer.line(), "held");
    for _ in 0..2 {
        let holder = attempt(tmp.path()).expect("we are refused");
        if named {
            assert_eq!(holder.pid, Some(peer.pid()));
            let program = holder.program.expect("its program is known");
            let ours = std::env::current_exe().expect("our own path");
            assert_eq!(Path::new(&program), ours.canonicalize().expect("it exists"));
            assert!(holder.since.expect("its start is known") <= std::time::SystemTime::now());
        }
    }
    peer.kill();
    assert_eq!(attempt(tmp.path()), None);
    Passed
}

fn our_lock_is_refused_while_another_process_holds_a_classic_lock() -> Outcome {
    refused_by("fcntl", true)
}

fn our_lock_is_refused_while_another_process_holds_a_flock() -> Outcome {
    refused_by("flock", cfg!(target_os = "linux"))
}

fn our_lock_is_refused_while_another_process_holds_it() -> Outcome {
    refused_by("lock", cfg!(target_os = "linux"))
}

fn a_failed_second_attempt_and_a_look_at_the_file_leave_others_refused() -> Outcome {
    let tmp = temp();
    let lock = DirLock::try_acquire(&open(tmp.path())).expect("nobody has it");
    assert!(attempt(tmp.path()).is_some());
    drop(File::open(tmp.path().join("LOCK")).expect("it is there"));
    for role in ["fcntl", "flock"] {
        assert_eq!(Peer::start(role, [tmp.path()]).line(), "refused");
    }
    drop(lock);
    for role in ["fcntl", "flock", "lock"] {
        assert_eq!(Peer::start(role, [tmp.path()]).line(), "held");
    }
    Passed
}

fn a_lock_comes_free_when_its_holder_is_killed() -> Outcome {
    let tmp = temp();
    for _ in 0..10 {
        let mut peer = Peer::start("lock", [tmp.path()]);
        assert_eq!(peer.line(), "held");
        peer.kill();
        assert_eq!(attempt(tmp.path()), None);
    }
    Passed
}

fn of_many_processes_that_try_at_once_exactly_one_gets_the_lock() -> Outcome {
    for _ in 0..10 {
        let tmp = temp();
        let mut peers: Vec<_> = (0..8).map(|_| Peer::start("race", [tmp.path()])).collect();
        peers
            .iter_mut()
            .for_each(|peer| assert_eq!(peer.line(), "ready"));
        peers.iter_mut().for_each(|peer| peer.tell("go"));
        let held = peers
            .iter_mut()
            .filter_map(|peer| (peer.line() == "held").then_some(()));
        assert_eq!(held.count(), 1);
    }
    Passed
}

fn a_process_is_described_as_it_runs_stops_dies_and_is_gone() -> Outcome {
    let tmp = temp();
    let mut peer = Peer::start("lock", [tmp.path()]);
    assert_eq!(peer.line(), "held");
    let pid = rustix::process::Pid::from_raw(peer.pid() as i32).expect("a child's pid");
    let running = process::describe(peer.pid());
    assert_eq!(running.state, ProcessState::Running);
    peer.signal(Signal::STOP);
    rustix::process::waitpid(Some(pid), WaitOptions::UNTRACED).expect("it stops");
    let stopped = process::describe(peer.pid());
    assert_eq!(stopped.state, ProcessState::Stopped);
    assert_eq!(
        (stopped.program, stopped.started),
        (running.program, running.started)
    );
    assert!(
        attempt(tmp.path()).is_some(),
        "a stopped holder keeps its lock"
    );
    peer.signal(Signal::KILL);
    let dead_but_not_reaped = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    rustix::process::waitid(WaitId::Pid(pid), dead_but_not_reaped).expect("it dies");
    assert_eq!(process::describe(peer.pid()).state, ProcessState::Zombie);
    peer.kill();
    assert_eq!(process::describe(peer.pid()).state, ProcessState::Gone);
    Passed
}
