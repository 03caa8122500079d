//! Members of a directory, founders, and programs that would have it alone, on every system.

use std::path::Path;

use level_party_os::{DirLock, LockError, MemberLock};

use crate::Outcome::{self, Passed};
use crate::peer::{Peer, hear, say};
use crate::roles::open;
use crate::{Test, tests};

pub const TESTS: &[Test] = tests![
    founders_wait_until_the_last_member_is_killed,
    lowered_lock_lets_members_in_and_its_death_no_founder,
    of_many_that_found_or_join_at_once_one_founds,
];

pub fn temp() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory for tests")
}

pub fn member(path: &Path) -> Peer {
    let mut peer = Peer::start("join", [path]);
    assert_eq!(peer.line(), "held");
    peer
}

pub fn is_held(path: &Path) -> bool {
    match DirLock::try_acquire(&open(path)) {
        Ok(_) => false,
        Err(LockError::Held(_)) => true,
        Err(LockError::Io(error)) => panic!("{error}"),
    }
}

fn founders_wait_until_the_last_member_is_killed() -> Outcome {
    let tmp = temp();
    let mut peers = [member(tmp.path()), member(tmp.path())];
    let ours = MemberLock::try_join(&open(tmp.path())).expect("no founder");
    assert!(is_held(tmp.path()));
    drop(ours);
    for peer in &mut peers {
        assert!(is_held(tmp.path()));
        peer.kill();
    }
    assert!(!is_held(tmp.path()));
    Passed
}

fn lowered_lock_lets_members_in_and_its_death_no_founder() -> Outcome {
    let tmp = temp();
    let mut founder = Peer::start("found", [tmp.path()]);
    assert_eq!(founder.line(), "held");
    assert!(
        Peer::start("join", [tmp.path()])
            .line()
            .starts_with("refused")
    );
    founder.tell("lower");
    assert_eq!(founder.line(), "lowered");
    let mut peer = member(tmp.path());
    founder.kill();
    assert!(is_held(tmp.path()));
    peer.kill();
    assert!(!is_held(tmp.path()));
    Passed
}

fn of_many_that_found_or_join_at_once_one_founds() -> Outcome {
    for _ in 0..5 {
        let tmp = temp();
        let start = |_| Peer::start("found-or-join", [tmp.path()]);
        let mut peers: Vec<Peer> = (0..8).map(start).collect();
        for peer in &mut peers {
            assert_eq!(peer.line(), "ready");
        }
        for peer in &mut peers {
            peer.tell("go");
        }
        let lines: Vec<String> = peers.iter_mut().map(Peer::line).collect();
        let founders = lines.iter().filter(|line| *line == "founded").count();
        let members = lines.iter().filter(|line| *line == "joined").count();
        assert_eq!((founders, members), (1, 7), "{lines:?}");
    }
    Passed
}

/// Role: takes a share and keeps it.
pub fn join(path: &Path) {
    match MemberLock::try_join(&open(path)) {
        Ok(_lock) => {
            say("held");
            hear();
        }
        Err(LockError::Held(held)) => say(&format!("refused by {:?}", held.holder().pid)),
        Err(LockError::Io(error)) => say(&format!("error {error}")),
    }
}

/// Role: has the directory alone until it is told to let members in.
pub fn found(path: &Path) {
    let lock = DirLock::try_acquire(&open(path)).expect("nobody has it");
    say("held");
    hear();
    let _member = lock.lower().expect("nobody waits for a flock");
    say("lowered");
    hear();
}

/// Role: founds, or joins after another has founded, which the file `founded` tells. Keeps no share before that.
pub fn found_or_join(path: &Path) {
    let dir = open(path);
    let founded = path.join("founded");
    say("ready");
    hear();
    loop {
        if let Ok(member) = MemberLock::try_join(&dir) {
            if founded.exists() {
                say("joined");
                hear();
                return drop(member);
            }
            drop(member); // two shares can't both rise
        }
        if let Ok(founder) = DirLock::try_acquire(&dir) {
            if founded.exists() {
                continue;
            }
            std::fs::write(&founded, "").expect("the directory is ours");
            let member = founder.lower().expect("nobody waits for a flock");
            say("founded");
            hear();
            return drop(member);
        }
        std::thread::yield_now();
    }
}
