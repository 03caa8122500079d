use std::fs::File;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rustix::fs::FlockOperation;

use super::*;
use crate::holder::Holder;

fn fixture() -> (tempfile::TempDir, DataDir) {
    let tmp = tempfile::tempdir().unwrap();
    let dir = DataDir::open(tmp.path()).unwrap();
    (tmp, dir)
}

fn is_held(dir: &DataDir) -> bool {
    matches!(DirLock::try_acquire(dir), Err(LockError::Held(_)))
}

#[test]
fn lock_excludes_its_own_process_until_dropped() {
    let (tmp, dir) = fixture();
    let lock = DirLock::try_acquire(&dir).unwrap();
    assert!(is_held(&dir));
    assert!(is_held(&DataDir::open(tmp.path()).unwrap()));
    assert!(is_held(&dir), "a failed attempt must not free it");
    assert!(lock.is_intact().unwrap());
    drop(lock);
    assert!(!is_held(&dir));
}

#[test]
fn lock_file_has_mode_0644_and_is_never_removed() {
    let (tmp, dir) = fixture();
    drop(DirLock::try_acquire(&dir).unwrap());
    let path = tmp.path().join(LOCK_NAME);
    let made = std::fs::metadata(&path).unwrap();
    assert_eq!(made.permissions().mode() & 0o777 & !0o022, 0o644);
    std::fs::write(&path, b"somebody's bytes").unwrap();
    drop(DirLock::try_acquire(&dir).unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), made.ino());
    assert_eq!(std::fs::read(&path).unwrap(), b"somebody's bytes");
}

#[test]
fn opening_and_closing_the_lock_file_does_not_free_it() {
    let (tmp, dir) = fixture();
    let _lock = DirLock::try_acquire(&dir).unwrap();
    drop(File::open(tmp.path().join(LOCK_NAME)).unwrap());
    drop(
        File::options()
            .write(true)
            .open(tmp.path().join(LOCK_NAME))
            .unwrap(),
    );
    assert!(is_held(&dir));
}

#[test]
fn removed_lock_file_lets_no_second_holder_in() {
    let (tmp, dir) = fixture();
    let lock = DirLock::try_acquire(&dir).unwrap();
    std::fs::remove_file(tmp.path().join(LOCK_NAME)).unwrap();
    assert!(!lock.is_intact().unwrap());
    assert!(is_held(&dir));
    assert!(
        tmp.path().join(LOCK_NAME).exists(),
        "the attempt made a new one"
    );
    assert!(!lock.is_intact().unwrap());
    drop(lock);
    assert!(!is_held(&dir));
}

#[test]
fn a_lock_that_is_no_regular_file_is_refused_without_hanging() {
    let (tmp, dir) = fixture();
    let path = tmp.path().join(LOCK_NAME);
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(DirLock::try_acquire(&dir), Err(LockError::Io(_))));
    std::fs::remove_dir(&path).unwrap();
    let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
    // SAFETY: a system call with a string that lives on.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let refused = DirLock::try_acquire(&dir).unwrap_err();
    assert!(
        refused.to_string().contains("not a regular file"),
        "{refused}"
    );
}

#[test]
fn failed_attempt_keeps_our_own_classic_lock() {
    let (tmp, dir) = fixture();
    let file = File::create(tmp.path().join(LOCK_NAME)).unwrap();
    let operation = FlockOperation::NonBlockingLockExclusive;
    rustix::fs::fcntl_lock(&file, operation).unwrap();
    for _ in 0..3 {
        let Err(LockError::Held(held)) = DirLock::try_acquire(&dir) else {
            panic!("not refused")
        };
        assert_eq!(held.holder().pid, Some(std::process::id()));
    }
    drop(file);
    assert!(!is_held(&dir));
    assert!(
        !is_held(&dir),
        "the descriptor that was kept is usable and then let go"
    );
}

#[test]
fn every_name_of_a_directory_leads_to_the_same_lock() {
    let (tmp, dir) = fixture();
    let links = tempfile::tempdir().unwrap();
    let link = links.path().join("link");
    std::os::unix::fs::symlink(tmp.path(), &link).unwrap();
    let _lock = DirLock::try_acquire(&dir).unwrap();
    assert!(is_held(&DataDir::open(&link).unwrap()));
    assert!(is_held(&DataDir::open(&link.join("./.")).unwrap()));
}

#[test]
fn a_refusal_says_who_has_the_lock_when_it_is_asked_later() {
    let (_tmp, dir) = fixture();
    let lock = DirLock::try_acquire(&dir).unwrap();
    let Err(LockError::Held(held)) = DirLock::try_acquire(&dir) else {
        panic!("not refused")
    };
    if cfg!(target_os = "linux") {
        assert_eq!(held.holder().pid, Some(std::process::id()));
    }
    drop(lock);
    assert_eq!(held.holder(), Holder::default(), "nobody has it any more");
}
