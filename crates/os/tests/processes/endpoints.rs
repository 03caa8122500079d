//! Endpoints between processes: reaching the right one, noticing its end, keeping others out.

use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use level_party_os::{DirLock, ENDPOINT_NAME, Hangup, Listener, Stream, Waker, process};

use crate::Outcome::{self, Impossible, Passed};
use crate::peer::Peer;
use crate::roles::open;
use crate::{Test, tests};

pub const TESTS: &[Test] = tests![
    directories_with_long_odd_and_similar_paths_are_each_reached,
    a_killed_servers_socket_is_stale_and_is_replaced,
    the_hangup_is_seen_when_the_peer_is_killed,
    the_peers_pid_and_user_are_known,
    a_peer_whose_user_has_no_name_here_is_refused,
    another_user_is_refused_on_both_sides,
];

/// A directory whose name leaves room for those of the tests behind it, wherever temporary files are.
fn temp() -> tempfile::TempDir {
    let dir = match std::env::temp_dir().as_os_str().len() {
        ..25 => tempfile::tempdir(),
        _ => tempfile::tempdir_in("/tmp"),
    };
    dir.expect("a directory for tests")
}

fn serve(path: &Path) -> (DirLock, Listener) {
    let dir = open(path);
    let lock = DirLock::try_acquire(&dir).expect("nobody has it");
    let listener = Listener::bind(&dir, &lock).expect("it can be served");
    (lock, listener)
}

/// A directory whose path has exactly `len` bytes; all of them begin alike.
fn directory_of_length(base: &Path, len: usize) -> PathBuf {
    // Apple's filesystems take only UTF-8.
    let odd: &[u8] = if cfg!(target_os = "linux") {
        b"a b\xff\xfe"
    } else {
        "a b\u{fe}".as_bytes()
    };
    let first = [odd, &b"x".repeat(40)].concat();
    let outer = base.join(OsStr::from_bytes(&first));
    let rest = len - outer.as_os_str().len() - 1;
    let path = outer.join("y".repeat(rest));
    assert_eq!(path.as_os_str().len(), len);
    std::fs::create_dir_all(&path).expect("it can be made");
    path
}

fn directories_with_long_odd_and_similar_paths_are_each_reached() -> Outcome {
    let tmp = temp();
    let paths: Vec<_> = (90..=300)
        .map(|len| directory_of_length(tmp.path(), len))
        .collect();
    let served: Vec<_> = paths.iter().map(|path| serve(path)).collect();
    let mut peer = Peer::start("connect-each", &paths);
    for (number, (_, listener)) in served.iter().enumerate() {
        let stream = listener.accept().expect("it comes");
        (&stream)
            .write_all(&(number as u64).to_le_bytes())
            .expect("it listens");
        assert_eq!(peer.line(), number.to_string());
    }
    for (path, (_, listener)) in paths.iter().zip(&served) {
        assert_eq!(listener.path(), path.join(ENDPOINT_NAME));
        listener.unlink().expect("it is ours");
        assert!(!path.join(ENDPOINT_NAME).exists());
    }
    Passed
}

fn a_killed_servers_socket_is_stale_and_is_replaced() -> Outcome {
    let tmp = temp();
    let dir = open(tmp.path());
    let mut peer = Peer::start("serve", [tmp.path()]);
    assert_eq!(peer.line(), "serving");
    let stream = Stream::connect(&dir).expect("it is served");
    assert_eq!(peer.line(), "accepted");
    assert_eq!(stream.peer().expect("it is there").pid, Some(peer.pid()));
    peer.kill();
    assert_eq!((&stream).read(&mut [0; 8]).expect("the end"), 0);
    assert!(tmp.path().join(ENDPOINT_NAME).exists());
    let refused = Stream::connect(&dir).expect_err("nobody serves");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let (_lock, listener) = serve(tmp.path());
    let mut peer = Peer::start("connect", [tmp.path()]);
    listener.accept().expect("it comes");
    assert_eq!(peer.line(), "connected");
    Passed
}

fn the_hangup_is_seen_when_the_peer_is_killed() -> Outcome {
    let tmp = temp();
    let (_lock, listener) = serve(tmp.path());
    let mut peer = Peer::start("connect", [tmp.path()]);
    let stream = listener.accept().expect("it comes");
    assert_eq!(peer.line(), "connected");
    let waker = Waker::new().expect("descriptors");
    std::thread::scope(|scope| {
        let watches = scope.spawn(|| stream.wait_hangup(&waker).expect("it can be watched"));
        let reads = scope.spawn(|| (&stream).read(&mut [0; 8]).expect("it can be read"));
        peer.kill();
        assert_eq!(watches.join().expect("no panic"), Hangup::PeerGone);
        assert_eq!(reads.join().expect("no panic"), 0);
    });
    Passed
}

fn the_peers_pid_and_user_are_known() -> Outcome {
    let tmp = temp();
    let (_lock, listener) = serve(tmp.path());
    let mut peer = Peer::start("connect", [tmp.path()]);
    let stream = listener.accept().expect("it comes");
    assert_eq!(peer.line(), "connected");
    let found = stream.check_peer().expect("it is ours");
    assert_eq!(
        (found.pid, found.uid),
        (Some(peer.pid()), process::effective_uid())
    );
    Passed
}

fn a_peer_whose_user_has_no_name_here_is_refused() -> Outcome {
    let tmp = temp();
    let (_lock, _listener) = serve(tmp.path());
    match Peer::start("unmapped", [tmp.path()]).line().as_str() {
        "impossible" => return Impossible("user namespaces are not allowed"),
        line => assert_eq!(line, "PermissionDenied"),
    }
    Passed
}

fn another_user_is_refused_on_both_sides() -> Outcome {
    if process::effective_uid() != 0 {
        return Impossible("only root can become another user");
    }
    let tmp = temp();
    let open_to_all = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    let (_lock, listener) = serve(tmp.path());
    open_to_all(tmp.path(), 0o755);
    open_to_all(&tmp.path().join(ENDPOINT_NAME), 0o666);
    let mut foreign = Peer::start("foreign", [tmp.path()]);
    assert_eq!(foreign.line(), "PermissionDenied");
    assert_eq!(foreign.line(), "connected");
    let mut ours = Peer::start("connect", [tmp.path()]);
    let stream = listener.accept().expect("ours comes");
    assert_eq!(stream.peer().expect("it is there").pid, Some(ours.pid()));
    assert_eq!(ours.line(), "connected");
    assert_eq!(foreign.line(), "dropped");
    Passed
}
