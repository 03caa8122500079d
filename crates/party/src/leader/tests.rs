//! Leaderships that follow each other in one process.

use std::path::Path;

use level_party_engine::{Engine, Options as EngineOptions, StdFs, WriteBatch};

use super::*;

fn lead(path: &Path) -> Arc<Leadership> {
    let dir = DataDir::open(path).unwrap();
    let lock = DirLock::try_acquire(&dir).unwrap();
    let alarm = Arc::new(Alarm::new().unwrap());
    Leadership::take_over(&dir, path, lock, &Options::default(), alarm).unwrap()
}

fn write(leadership: &Leadership, key: &[u8]) {
    let mut batch = WriteBatch::new();
    batch.put(key, b"value");
    let deadline = Instant::now() + Duration::from_secs(60);
    let request = Request::Write(crate::protocol::Write {
        number: 0,
        sync: false,
        batch: serde_bytes::Bytes::new(batch.as_bytes()),
        conditions: serde_bytes::Bytes::new(&[]),
    });
    leadership.execute(&request, deadline).unwrap();
}

#[test]
fn another_program_that_leaves_the_tripwire_is_known_by_current() {
    let tmp = tempfile::tempdir().unwrap();
    let first = lead(tmp.path());
    let epoch = first.epoch();
    write(&first, b"a");
    first.leave();
    let second = lead(tmp.path());
    assert_eq!(second.recovered(epoch), RecoveredThrough::Sequence(1));
    let epoch = second.epoch();
    second.leave();

    let fs = Arc::new(StdFs::new(tmp.path()));
    let other = Engine::open(fs, EngineOptions::default()).unwrap();
    other.close().unwrap();
    assert!(tripwire::is_set(tmp.path()).unwrap());
    let third = lead(tmp.path());
    assert_eq!(
        third.recovered(epoch),
        RecoveredThrough::SequenceBeforeForeign(1)
    );
    assert!(!third.follows_unbroken(epoch));
    let epoch = third.epoch();
    third.leave();
    let fourth = lead(tmp.path());
    assert!(fourth.follows_unbroken(epoch), "found once, told once");
    fourth.leave();
}
