//! Directories and endpoints that are not what they must be.

use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::wire::preamble;
use crate::{command, get, put, refused, temp};

#[test]
fn unusable_paths_are_refused_at_once_with_what_to_do() {
    let tmp = temp();
    let file = tmp.path().join("file");
    std::fs::write(&file, "bytes").expect("written");
    let path = file.to_str().expect("plain");
    refused(
        &command("put", &file, &["a", "1"]),
        &[path, "is a file", "name the one that holds"],
    );
    let below = file.join("below");
    refused(
        &command("put", &below, &["a", "1"]),
        &[below.to_str().expect("plain"), "Not a directory"],
    );
    refused(
        &command("get", &tmp.path().join("none"), &["a"]),
        &["there is no directory", "check the path"],
    );
    assert_eq!(std::fs::read(&file).expect("still there"), b"bytes");

    let dir = tmp.path().join("db");
    put(&dir, "a", "1");
    let state = std::fs::File::options()
        .write(true)
        .open(dir.join("level-party.state"));
    let state = state.expect("there");
    let before: Vec<u8> = std::fs::read(dir.join("level-party.state")).expect("read");
    for slot in [0, 2000] {
        if before[slot] == b'l' {
            state.write_all_at(&[9], slot as u64 + 8).expect("written");
        }
    }
    let words = [
        dir.to_str().expect("plain"),
        "layout 9",
        "use the newer release",
    ];
    refused(&command("get", &dir, &["a"]), &words);
    refused(&command("put", &dir, &["a", "2"]), &words);
    state.write_all_at(&before, 0).expect("written");
    assert_eq!(get(&dir, "a"), "1");
}

/// Something else that serves a directory's endpoint: `serve` is given each connection, until the value goes.
struct Impostor {
    over: Arc<AtomicBool>,
    path: std::path::PathBuf,
    thread: Option<JoinHandle<()>>,
}

impl Impostor {
    fn serve(dir: &Path, serve: impl Fn(std::os::unix::net::UnixStream) + Send + 'static) -> Self {
        let path = dir.join("level-party.endpoint");
        let listener = UnixListener::bind(&path).expect("bound");
        let over = Arc::new(AtomicBool::new(false));
        let ended = over.clone();
        let thread = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if ended.load(Ordering::Acquire) {
                    return;
                }
                serve(stream);
            }
        });
        Impostor {
            over,
            path,
            thread: Some(thread),
        }
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        let _ = std::os::unix::net::UnixStream::connect(&self.path);
        let ended = self.thread.take().map(JoinHandle::join);
        let _ = std::fs::remove_file(&self.path);
        if !std::thread::panicking() {
            ended.expect("started").expect("no panic");
        }
    }
}

#[test]
fn endpoint_of_another_version_is_refused_with_what_to_do() {
    let dir = temp();
    put(dir.path(), "a", "1");
    let newer = Impostor::serve(dir.path(), |mut stream| {
        let _ = stream.write_all(&preamble(40, 50));
        let _ = stream.read_to_end(&mut Vec::new());
    });
    refused(
        &command("get", dir.path(), &["a"]),
        &[
            "protocol versions 40 to 50",
            "the same release of level-party in both",
        ],
    );
    drop(newer);
    let stranger = Impostor::serve(dir.path(), |mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    refused(
        &command("get", dir.path(), &["a"]),
        &["served by something that is not level-party"],
    );
    drop(stranger);
    let hangs_up = Impostor::serve(dir.path(), drop);
    refused(
        &command("get", dir.path(), &["a"]),
        &["joining the processes that have it open failed"],
    );
    drop(hangs_up);
    assert_eq!(get(dir.path(), "a"), "1");
}

/// A deadline in the middle of an attempt told of that attempt alone.
#[test]
fn cause_of_a_failed_attempt_is_told_during_the_next() {
    let dir = temp();
    put(dir.path(), "a", "1");
    let hung_up = AtomicBool::new(false);
    let silent = Impostor::serve(dir.path(), move |mut stream| {
        if hung_up.swap(true, Ordering::AcqRel) {
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    refused(
        &command("get", dir.path(), &["a"]),
        &[
            "has not greeted this process",
            "joining the processes that have it open failed",
        ],
    );
    drop(silent);
    assert_eq!(get(dir.path(), "a"), "1");
}

#[test]
fn silent_endpoint_times_out_and_its_process_is_named() {
    let dir = temp();
    put(dir.path(), "a", "1");
    let silent = Impostor::serve(dir.path(), |mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let pid = format!("pid {}", std::process::id());
    refused(
        &command("get", dir.path(), &["a"]),
        &["has not greeted this process", &pid, "--open-timeout"],
    );
    drop(silent);
    assert_eq!(get(dir.path(), "a"), "1");
}
