//! A read of a task that finds its block in the page cache is answered in its first poll.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use level_party::{AsyncReadable, Db};

#[test]
fn what_the_page_cache_has_is_answered_in_the_first_poll() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::options()
        .block_cache_bytes(0)
        .open(dir.path())
        .expect("it opens");
    db.put("key", "value").expect("put");
    db.compact_range(..).expect("compacted");
    let db = db.to_async();
    // The table is open from here on, and its pages, which were just written, are in memory.
    let found = pollster::block_on(db.get("key")).expect("get");
    assert_eq!(found.as_deref(), Some(&b"value"[..]));
    let mut read = pin!(db.get("key"));
    match read.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(found) => assert_eq!(found.expect("get").as_deref(), Some(&b"value"[..])),
        Poll::Pending => assert!(
            !can_tell(dir.path()),
            "the file system can tell what is in memory"
        ),
    }
}

/// Whether the file system under `dir` can tell what is in memory.
fn can_tell(dir: &Path) -> bool {
    let path = dir.join("probe");
    std::fs::write(&path, b"in memory").expect("written");
    let file = std::fs::File::open(&path).expect("opened");
    level_party_os::positioned::read_cached_at(&file, &mut [0; 4], 0).is_ok()
}
