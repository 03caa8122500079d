use std::io::Read;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use super::*;
use crate::endpoint::ENDPOINT_NAME;

struct Fixture {
    tmp: tempfile::TempDir,
    dir: DataDir,
    lock: DirLock,
}

fn fixture() -> Fixture {
    let tmp = tempfile::tempdir().unwrap();
    let dir = DataDir::open(tmp.path()).unwrap();
    let lock = DirLock::try_acquire(&dir).unwrap();
    Fixture { tmp, dir, lock }
}

impl Fixture {
    fn socket(&self) -> PathBuf {
        self.tmp.path().join(ENDPOINT_NAME)
    }

    fn bind(&self) -> io::Result<Listener> {
        Listener::bind(&self.dir, &self.lock)
    }

    fn refused_connect(&self) -> io::ErrorKind {
        Stream::connect(&self.dir).unwrap_err().kind()
    }
}

#[test]
fn stale_or_missing_endpoint_is_served_by_nobody() {
    let fixture = fixture();
    assert_eq!(fixture.refused_connect(), io::ErrorKind::NotFound);
    drop(fixture.bind().unwrap());
    assert!(fixture.socket().exists());
    assert_eq!(fixture.refused_connect(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_stale_socket_is_replaced_and_the_new_one_is_private() {
    let fixture = fixture();
    drop(UnixListener::bind(fixture.socket()).unwrap());
    let listener = fixture.bind().unwrap();
    let made = std::fs::symlink_metadata(listener.path()).unwrap();
    assert!(made.file_type().is_socket());
    assert_eq!(made.permissions().mode() & 0o777 & !0o600, 0);
    assert_eq!(listener.path(), fixture.socket());
    Stream::connect(&fixture.dir).unwrap();
    listener.accept().unwrap();
}

#[test]
fn regular_file_in_place_of_the_socket_is_left_alone() {
    let fixture = fixture();
    std::fs::write(fixture.socket(), b"precious").unwrap();
    assert_eq!(
        fixture.bind().unwrap_err().kind(),
        io::ErrorKind::AlreadyExists
    );
    assert_eq!(fixture.refused_connect(), io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(fixture.socket()).unwrap(), b"precious");
}

#[test]
fn symlink_in_place_of_the_socket_is_refused() {
    let fixture = fixture();
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("target");
    let live = UnixListener::bind(&target).unwrap();
    live.set_nonblocking(true).unwrap();
    symlink(&target, fixture.socket()).unwrap();
    assert_eq!(
        fixture.bind().unwrap_err().kind(),
        io::ErrorKind::AlreadyExists
    );
    assert_eq!(fixture.refused_connect(), io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read_link(fixture.socket()).unwrap(), target);
    assert_eq!(
        live.accept().unwrap_err().kind(),
        io::ErrorKind::WouldBlock,
        "nobody came"
    );
}

#[test]
fn another_directorys_lock_gives_no_right_to_bind() {
    let (one, two) = (fixture(), fixture());
    let refused = Listener::bind(&one.dir, &two.lock).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    assert!(!one.socket().exists());
}

#[test]
fn close_ends_every_accept_and_everything_that_waits() {
    let fixture = fixture();
    let listener = fixture.bind().unwrap();
    std::thread::scope(|scope| {
        let blocked: Vec<_> = (0..3).map(|_| scope.spawn(|| listener.accept())).collect();
        listener.close();
        for thread in blocked {
            let ended = thread.join().unwrap().unwrap_err();
            assert_eq!(ended.kind(), io::ErrorKind::ConnectionAborted);
        }
    });
    listener.close();
    assert_eq!(
        listener.accept().unwrap_err().kind(),
        io::ErrorKind::ConnectionAborted
    );
    assert_eq!(fixture.refused_connect(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn unaccepted_connection_ends_with_the_listener() {
    let fixture = fixture();
    let listener = fixture.bind().unwrap();
    let waiting = Stream::connect(&fixture.dir).unwrap();
    listener.close();
    let ended = (&waiting).read(&mut [0; 8]);
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    assert_eq!(
        waiting.wait_hangup(&Waker::new().unwrap()).unwrap(),
        crate::Hangup::PeerGone
    );
}

#[test]
fn unlink_removes_only_the_listeners_own_file() {
    let fixture = fixture();
    let old = fixture.bind().unwrap();
    let new = fixture.bind().unwrap();
    old.unlink().unwrap();
    assert!(fixture.socket().exists(), "it is the new one's by now");
    new.unlink().unwrap();
    assert!(!fixture.socket().exists());
    new.unlink().unwrap();
    std::fs::write(fixture.socket(), b"precious").unwrap();
    new.unlink().unwrap();
    assert!(fixture.socket().exists());
}

#[test]
fn runtime_directory_holds_the_socket_if_needed() {
    let fixture = fixture();
    let spot = || Spot::in_runtime_dir(&fixture.dir).unwrap();
    let listener = Listener::bind_at(&fixture.dir, spot(), true).unwrap();
    assert!(!fixture.socket().exists());
    let client = Stream::connect(&fixture.dir).unwrap();
    let server = listener.accept().unwrap();
    drop(client);
    assert_eq!((&server).read(&mut [0; 8]).unwrap(), 0);
    listener.unlink().unwrap();
    assert!(!listener.path().exists());
    assert_eq!(fixture.refused_connect(), io::ErrorKind::NotFound);
    for errno in [Errno::PERM, Errno::OPNOTSUPP, Errno::NAMETOOLONG] {
        assert!(cannot_hold_sockets(&errno.into()));
    }
    assert!(!cannot_hold_sockets(&Errno::ACCESS.into()));
}

#[test]
#[cfg(target_os = "linux")]
fn connect_to_a_full_queue_fails_at_once() {
    let fixture = fixture();
    let server = UnixListener::bind(fixture.socket()).unwrap();
    rustix::net::listen(&server, 0).unwrap();
    let _first = Stream::connect(&fixture.dir).unwrap();
    assert_eq!(fixture.refused_connect(), io::ErrorKind::WouldBlock);
}

#[test]
fn renamed_directory_keeps_its_endpoint() {
    let outer = tempfile::tempdir().unwrap();
    let (path, moved) = (outer.path().join("db"), outer.path().join("moved"));
    std::fs::create_dir(&path).unwrap();
    let dir = DataDir::open(&path).unwrap();
    let lock = DirLock::try_acquire(&dir).unwrap();
    std::fs::rename(&path, &moved).unwrap();
    std::fs::create_dir(&path).unwrap();
    let listener = Listener::bind(&dir, &lock).unwrap();
    assert!(
        moved.join(ENDPOINT_NAME).exists(),
        "bound in the directory that is locked"
    );
    let successor = DataDir::open(&path).unwrap();
    assert_eq!(
        Stream::connect(&successor).unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
    Stream::connect(&dir).unwrap();
    listener.accept().unwrap();
}
