use std::fs::File;

use rustix::fs::FlockOperation::{NonBlockingLockExclusive, NonBlockingLockShared, Unlock};

use super::*;
use crate::lock_error::{LOCK_NAME, LowerError};
use crate::ofd;
use crate::{DirLock, Listener, Stream};

fn fixture() -> (tempfile::TempDir, DataDir) {
    let tmp = tempfile::tempdir().unwrap();
    let dir = DataDir::open(tmp.path()).unwrap();
    (tmp, dir)
}

fn lock_file(tmp: &tempfile::TempDir) -> File {
    let path = tmp.path().join(LOCK_NAME);
    File::options().read(true).write(true).open(path).unwrap()
}

fn no_founder(dir: &DataDir) -> bool {
    matches!(DirLock::try_acquire(dir), Err(LockError::Held(_)))
}

fn no_member(dir: &DataDir) -> bool {
    matches!(MemberLock::try_join(dir), Err(LockError::Held(_)))
}

#[test]
fn members_share_and_founders_wait_for_the_last() {
    let (tmp, dir) = fixture();
    let one = MemberLock::try_join(&dir).unwrap();
    let two = MemberLock::try_join(&DataDir::open(tmp.path()).unwrap()).unwrap();
    assert_eq!(
        (one.identity(), two.identity()),
        (dir.identity(), dir.identity())
    );
    assert!(no_founder(&dir));
    drop(one);
    assert!(no_founder(&dir), "a failed attempt frees nothing");
    assert!(no_founder(&dir) && two.is_intact().unwrap());
    drop(MemberLock::try_join(&dir).unwrap());
    assert!(no_founder(&dir));
    drop(two);
    drop(DirLock::try_acquire(&dir).unwrap());
}

#[test]
fn founder_keeps_members_out_until_it_lowers_its_lock() {
    let (_tmp, dir) = fixture();
    let founder = DirLock::try_acquire(&dir).unwrap();
    assert!(no_member(&dir));
    let first = founder.lower().unwrap();
    assert!(first.is_intact().unwrap() && first.identity() == dir.identity());
    let second = MemberLock::try_join(&dir).unwrap();
    assert!(no_founder(&dir));
    drop(first);
    assert!(no_founder(&dir));
    drop(second);
    assert!(!no_founder(&dir));
}

#[test]
fn lowered_and_joined_locks_refuse_each_kind_of_foreign_lock() {
    let (tmp, dir) = fixture();
    let lowered = DirLock::try_acquire(&dir).unwrap().lower().unwrap();
    let file = lock_file(&tmp);
    let directory = File::open(tmp.path()).unwrap();
    let all_are_refused = || {
        let records = ofd::try_lock(std::os::fd::AsFd::as_fd(&file), ofd::WHOLE).unwrap();
        let flocks =
            [&file, &directory].map(|file| rustix::fs::flock(file, NonBlockingLockExclusive));
        !records && flocks.iter().all(Result::is_err)
    };
    assert!(all_are_refused());
    let joined = MemberLock::try_join(&dir).unwrap();
    drop(lowered);
    assert!(all_are_refused());
    drop(joined);
    assert!(!all_are_refused());
}

#[test]
fn flock_lost_while_lowering_gives_everything_back() {
    // What a waiter gets between the two halves of a conversion, here by hand, on either file.
    for on_directory in [false, true] {
        let (tmp, dir) = fixture();
        let founder = DirLock::try_acquire(&dir).unwrap();
        let (ours, theirs) = match on_directory {
            false => (founder.claim.lock_file(), lock_file(&tmp)),
            true => (founder.claim.directory(), File::open(tmp.path()).unwrap()),
        };
        rustix::fs::flock(ours, Unlock).unwrap();
        rustix::fs::flock(&theirs, NonBlockingLockExclusive).unwrap();
        let lost = founder.lower().unwrap_err();
        assert!(matches!(lost, LowerError::Lost), "{lost}");
        assert!(no_founder(&dir) && no_member(&dir), "theirs");
        rustix::fs::flock(&theirs, Unlock).unwrap();
        drop(DirLock::try_acquire(&dir).unwrap());
    }
}

#[test]
fn shared_flock_of_another_program_is_no_obstacle() {
    let (tmp, dir) = fixture();
    let first = MemberLock::try_join(&dir).unwrap();
    let theirs = lock_file(&tmp);
    rustix::fs::flock(&theirs, NonBlockingLockShared).unwrap();
    drop(MemberLock::try_join(&dir).unwrap());
    drop(first);
    assert!(no_founder(&dir), "but it refuses an exclusive one");
}

#[test]
fn member_is_not_intact_once_lock_was_removed() {
    let (tmp, dir) = fixture();
    let member = MemberLock::try_join(&dir).unwrap();
    std::fs::remove_file(tmp.path().join(LOCK_NAME)).unwrap();
    assert!(!member.is_intact().unwrap());
    assert!(no_founder(&dir), "the directory is still locked");
    let late = MemberLock::try_join(&dir).unwrap();
    assert!(late.is_intact().unwrap() && !member.is_intact().unwrap());
}

#[test]
fn members_are_named_as_holders() {
    let (_tmp, dir) = fixture();
    let _member = MemberLock::try_join(&dir).unwrap();
    let Err(LockError::Held(held)) = DirLock::try_acquire(&dir) else {
        panic!("not refused")
    };
    if cfg!(target_os = "linux") {
        let us = Some(std::process::id());
        assert_eq!(held.holder().pid, us);
    }
}

#[test]
fn one_member_serves_after_another_stopped() {
    let (_tmp, dir) = fixture();
    let founder = DirLock::try_acquire(&dir).unwrap();
    let first = Listener::bind(&dir, &founder).unwrap();
    let one = founder.lower().unwrap();
    let other = MemberLock::try_join(&dir).unwrap();
    Stream::connect(&dir).unwrap();
    drop((first, one));
    let _second = Listener::bind_as_member(&dir, &other).unwrap();
    Stream::connect(&dir).unwrap();
    let (_tmp, elsewhere) = fixture();
    assert!(Listener::bind_as_member(&elsewhere, &other).is_err());
}
