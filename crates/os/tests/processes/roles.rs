//! What the other processes do. Each says one line for each thing a test waits for.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::Path;

use level_party_os::{DataDir, DirLock, Listener, LockError, Stream};
use rustix::fs::FlockOperation::NonBlockingLockExclusive;

pub use crate::peer::{hear, say};

pub fn play(role: &str, args: Vec<OsString>) {
    let path = Path::new(&args[0]);
    match role {
        "fcntl" => {
            try_and_hold(|| rustix::fs::fcntl_lock(lock_file(path), NonBlockingLockExclusive));
        }
        "flock" => try_and_hold(|| rustix::fs::flock(lock_file(path), NonBlockingLockExclusive)),
        "lock" => lock(path),
        "race" => race(path),
        "serve" => serve(path),
        "connect" => connect(path),
        "connect-each" => connect_each(&args),
        "unmapped" => unmapped(path),
        "foreign" => foreign(path),
        "join" => crate::members::join(path),
        "found" => crate::members::found(path),
        "found-or-join" => crate::members::found_or_join(path),
        "fcntl-storm" => crate::strangers::stranger(path, true),
        "flock-storm" => crate::strangers::stranger(path, false),
        "fork-member" => crate::strangers::member_that_forks(path),
        "bell" => crate::bells::other_side(path),
        "segment" => crate::segments::maker(path),
        "segment-fsize" => crate::segment_limits::with_a_file_size_limit(),
        "segment-as" => crate::segment_limits::with_an_address_space_limit(),
        "segment-mlockall" => crate::segment_limits::that_locks_its_memory(),
        "segment-memlock" => crate::segment_limits::with_a_locked_memory_limit(),
        "segment-timer" => crate::segment_limits::with_a_timer(),
        "segment-fork-data" => crate::segment_limits::that_forks_under_a_data_limit(),
        "fork" => crate::forks::holder_that_forks(path),
        "clone" => crate::forks::holder_that_clones(path),
        "fork-database" => crate::databases::leader_that_forks(path),
        "limits" => crate::databases::with_a_low_limit(path),
        "fork-storm" => crate::forks::storm(path),
        other => panic!("no such role: {other}"),
    }
}

pub fn open(path: &Path) -> DataDir {
    DataDir::open(path).expect("the test made the directory")
}

/// Left open for good: closing would free a classic lock.
pub fn lock_file(dir: &Path) -> &'static File {
    let mut options = File::options();
    let options = options.read(true).write(true).create(true).truncate(false);
    Box::leak(Box::new(
        options.open(dir.join("LOCK")).expect("LOCK opens"),
    ))
}

fn try_and_hold(attempt: impl FnOnce() -> rustix::io::Result<()>) {
    say(if attempt().is_ok() { "held" } else { "refused" });
    hear();
}

fn lock(path: &Path) {
    match DirLock::try_acquire(&open(path)) {
        Ok(_lock) => {
            say("held");
            hear();
        }
        Err(LockError::Held(held)) => say(&format!("refused by {:?}", held.holder().pid)),
        Err(LockError::Io(error)) => say(&format!("error {error}")),
    }
}

fn race(path: &Path) {
    let dir = open(path);
    say("ready");
    hear();
    let lock = DirLock::try_acquire(&dir);
    say(if lock.is_ok() { "held" } else { "refused" });
    hear();
}

fn serve(path: &Path) {
    let dir = open(path);
    let lock = DirLock::try_acquire(&dir).expect("nobody else has it");
    let listener = Listener::bind(&dir, &lock).expect("it can be served");
    say("serving");
    let _stream = listener.accept().expect("somebody comes");
    say("accepted");
    hear();
}

fn connect(path: &Path) {
    match Stream::connect(&open(path)) {
        Ok(_stream) => {
            say("connected");
            hear();
        }
        Err(error) => say(&format!("{:?}", error.kind())),
    }
}

/// Says what the server of each directory sends.
fn connect_each(paths: &[OsString]) {
    for path in paths {
        let stream = Stream::connect(&open(Path::new(path))).expect("it is served");
        let mut token = [0; 8];
        (&stream)
            .read_exact(&mut token)
            .expect("the server says its number");
        say(&u64::from_le_bytes(token).to_string());
    }
}

/// Connects from a user namespace in which nobody has a name.
#[cfg(target_os = "linux")]
fn unmapped(path: &Path) {
    // SAFETY: a plain system call.
    if unsafe { libc::unshare(libc::CLONE_NEWUSER) } != 0 {
        return say("impossible");
    }
    match Stream::connect(&open(path)) {
        Ok(_) => say("connected"),
        Err(error) => say(&format!("{:?}", error.kind())),
    }
}

#[cfg(not(target_os = "linux"))]
fn unmapped(_path: &Path) {
    say("impossible");
}

/// Another user's program, which doesn't use this crate.
fn foreign(path: &Path) {
    let dir = open(path);
    // SAFETY: a plain system call; this process has one thread.
    let changed = unsafe { libc::setuid(12_345) };
    assert_eq!(changed, 0, "root may become anybody");
    match Stream::connect(&dir) {
        Ok(_) => say("our side let it connect"),
        Err(error) => say(&format!("{:?}", error.kind())),
    }
    let mut stream = UnixStream::connect(path.join("level-party.endpoint")).expect("mode 0666");
    say("connected");
    let read = stream.read(&mut [0; 8]);
    say(if matches!(read, Ok(0) | Err(_)) {
        "dropped"
    } else {
        "served"
    });
}
