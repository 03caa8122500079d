//! One handle, or several in one process: what holds before any other process comes.

use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use level_party::{
    AsyncDb, AsyncReadable, Compression, Db, ErrorKind, Lead, Prefix, Readable, Role, WriteBatch,
};

#[cfg(unix)]
use level_party_testkit::ForeignLock;

fn keys(range: level_party::Range) -> Vec<String> {
    range
        .map(|entry| String::from_utf8(entry.expect("an entry").0).expect("text"))
        .collect()
}

fn filled(dir: &Path, count: usize) -> Db {
    let db = Db::open(dir).expect("opened");
    for n in 0..count {
        db.put(format!("{n:05}"), n.to_string()).expect("put");
    }
    db
}

#[test]
fn handles_of_one_process_close_each_for_itself() {
    let dir = tempfile::tempdir().unwrap();
    let first = Db::open(dir.path()).unwrap();
    let second = Db::open(dir.path().join(".")).unwrap();
    first.put("a", "1").unwrap();
    assert_eq!(second.get("a").unwrap().as_deref(), Some(&b"1"[..]));
    first.close().unwrap();
    assert_eq!(first.get("a").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(second.role(), Role::Leader);
    second.put("a", "2").unwrap();
    drop(second);
    let third = Db::open(dir.path()).unwrap();
    assert_eq!(third.get("a").unwrap().as_deref(), Some(&b"2"[..]));
    assert_eq!(
        third.status().unwrap().leader.epoch,
        2,
        "the node before has left"
    );
}

/// Found by the Node package: the state file names this process as the last leader, so that it seemed to be opening.
#[cfg(unix)]
#[test]
fn other_library_in_this_process_is_told_as_a_lock() {
    let dir = tempfile::tempdir().unwrap();
    Db::open(dir.path()).unwrap().close().unwrap();
    let held = ForeignLock::take(dir.path());
    let options = Db::options().open_timeout(Duration::from_millis(300));
    let error = options.clone().open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    drop(held);
    Db::open(dir.path()).unwrap();
}

#[test]
fn database_opens_and_closes_again_in_many_threads() {
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|threads| {
        for thread in 0..4 {
            let dir = dir.path();
            threads.spawn(move || {
                for round in 0..20 {
                    let db = Db::open(dir).expect("opened");
                    db.put(format!("{thread}/{round}"), "x").expect("put");
                }
            });
        }
    });
    assert_eq!(Db::open(dir.path()).unwrap().iter().count(), 80);
}

#[test]
fn a_range_runs_from_both_ends_and_meets_in_the_middle() {
    let dir = tempfile::tempdir().unwrap();
    // More than one chunk from each end.
    let db = filled(dir.path(), 3000);
    let mut range = db.range("00010".."02990");
    let (mut low, mut high) = (10, 2989);
    while low <= high {
        assert_eq!(
            range.next().unwrap().unwrap().0,
            format!("{low:05}").into_bytes()
        );
        low += 1;
        if low > high {
            break;
        }
        assert_eq!(
            range.next_back().unwrap().unwrap().0,
            format!("{high:05}").into_bytes()
        );
        high -= 1;
    }
    assert!(range.next().is_none() && range.next_back().is_none());
}

#[test]
fn an_iterator_and_a_snapshot_show_one_moment() {
    let dir = tempfile::tempdir().unwrap();
    let db = filled(dir.path(), 2000);
    let before = db.snapshot().unwrap();
    let mut stream = db.iter();
    stream.next().unwrap().unwrap();
    for n in 0..2000 {
        db.delete(format!("{n:05}")).unwrap();
    }
    assert_eq!(stream.count(), 1999);
    assert_eq!(db.iter().count(), 0);
    assert_eq!(before.iter().count(), 2000);
    assert_eq!(before.get("00007").unwrap().as_deref(), Some(&b"7"[..]));
    assert_eq!(keys(before.range(Prefix("0000"))).len(), 10);
    assert_eq!(
        db.status().unwrap().leader.pins,
        1,
        "the finished stream holds nothing"
    );
    drop(before);
    assert_eq!(db.status().unwrap().leader.pins, 0);
}

#[test]
fn empty_keys_values_and_bounds_mean_what_they_say() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    db.put("", "empty key").unwrap();
    db.put("k", "").unwrap();
    assert_eq!(db.get("").unwrap().as_deref(), Some(&b"empty key"[..]));
    assert_eq!(db.get("k").unwrap().as_deref(), Some(&b""[..]));
    assert_eq!(keys(db.range(""..)), ["", "k"]);
    assert_eq!(keys(db.range(..="")), [""]);
    assert_eq!(keys(db.range(.."")), [] as [&str; 0]);
    assert_eq!(keys(db.range(Prefix(""))), ["", "k"]);
}

#[test]
fn what_can_never_be_written_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let long_key = vec![b'k'; WriteBatch::MAX_KEY_BYTES + 1];
    let refused = |result: level_party::Result<()>| {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidArgument);
    };
    refused(db.put(&long_key, ""));
    refused(db.delete(&long_key));
    refused(db.get(&long_key).map(drop));
    refused(db.put("a", vec![0; WriteBatch::MAX_BYTES]));
    refused(db.write(WriteBatch::new().put("a", "1").put(&long_key, "")));
    assert_eq!(db.iter().count(), 0);
}

#[test]
fn opening_says_what_is_in_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let kind = |options: level_party::Options, path: &Path| options.open(path).unwrap_err().kind();
    let existing = || Db::options().create_if_missing(false);
    assert_eq!(
        kind(existing(), &dir.path().join("none")),
        ErrorKind::NotFound
    );
    assert_eq!(kind(existing(), dir.path()), ErrorKind::NotFound);
    let following = existing().lead(Lead::Never);
    assert_eq!(kind(following, dir.path()), ErrorKind::NotFound);
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "nothing was made there"
    );
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert_eq!(kind(Db::options(), &file), ErrorKind::NotADirectory);
    let nested = dir.path().join("nested");
    let data = nested.join("data");
    assert_eq!(kind(Db::options(), &data), ErrorKind::NotFound);
    assert!(!nested.exists(), "no tree is made");
    std::fs::create_dir(&nested).unwrap();
    drop(Db::options().error_if_exists(true).open(&data).unwrap());
    assert_eq!(
        kind(Db::options().error_if_exists(true), &data),
        ErrorKind::AlreadyExists
    );
    std::fs::write(data.join("CURRENT"), "nonsense").unwrap();
    assert_eq!(kind(Db::options(), &data), ErrorKind::Corruption);
}

#[test]
fn a_directory_locked_by_another_program_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let lock = std::fs::File::create(dir.path().join("LOCK")).unwrap();
    lock.lock().unwrap();
    // Time enough for one attempt on a busy machine: before it nobody can tell who has the lock.
    let options = Db::options().open_timeout(Duration::from_secs(3));
    let error = options.open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    let pid = std::process::id().to_string();
    assert!(
        !cfg!(target_os = "linux") || error.message().contains(&pid),
        "{error}"
    );
    drop(lock);
    Db::open(dir.path()).unwrap();
}

#[test]
fn a_leader_that_cannot_serve_gives_the_lock_back() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("level-party.state")).unwrap();
    assert_eq!(
        Db::open(dir.path()).unwrap_err().kind(),
        ErrorKind::InvalidArgument
    );
    assert!(
        !dir.path().join("level-party.endpoint").exists(),
        "the endpoint was removed"
    );
    std::fs::remove_dir(dir.path().join("level-party.state")).unwrap();
    Db::open(dir.path()).unwrap();
}

/// A process whose lane for tasks is at work for as long as the test wants: in the waker of `first`, until `release` is
/// dropped. (Writes with sync go through the lane always.)
struct HeldUp {
    patient: AsyncDb,
    /// Its calls end after 30 ms.
    hasty: AsyncDb,
    /// `patient` puts "1" under "a".
    first: Pin<Box<dyn Future<Output = level_party::Result<()>>>>,
    release: mpsc::Sender<()>,
}

fn held_up_lane(dir: &Path) -> HeldUp {
    /// Holds up whoever wakes it.
    struct Busy(mpsc::Sender<()>, Mutex<mpsc::Receiver<()>>);
    impl Wake for Busy {
        fn wake(self: Arc<Self>) {
            // The test is over where nobody listens.
            let _ = self.0.send(());
            let _ = self.1.lock().unwrap().recv();
        }
    }
    let open = |timeout| Db::options().timeout(timeout).open(dir).unwrap().to_async();
    let patient = open(Duration::from_secs(3600));
    let hasty = open(Duration::from_millis(30));
    let (woken, is_busy) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let waker = Waker::from(Arc::new(Busy(woken, Mutex::new(released))));
    let db = patient.clone();
    let mut first: Pin<Box<dyn Future<Output = _>>> =
        Box::pin(async move { db.write(WriteBatch::new().put("a", "1").sync(true)).await });
    let polled = first.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(matches!(polled, Poll::Pending));
    is_busy.recv().unwrap();
    HeldUp {
        patient,
        hasty,
        first,
        release,
    }
}

/// Found by review: while the thread that made their writes was at work nobody looked at the deadlines of tasks.
#[test]
fn tasks_end_at_their_deadlines_while_the_lane_is_kept_busy() {
    let dir = tempfile::tempdir().unwrap();
    let HeldUp {
        patient,
        hasty,
        first,
        release,
    } = held_up_lane(dir.path());
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        done.send(pollster::block_on(
            hasty.write(WriteBatch::new().put("b", "2").sync(true)),
        ))
    });
    let error = ended
        .recv_timeout(level_party_testkit::PATIENCE)
        .expect("it ends at its deadline")
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    drop(release);
    pollster::block_on(first).unwrap();
    assert_eq!(pollster::block_on(patient.get("b")).unwrap(), None);
}

/// Found by review: a thread that wakes tasks waited for its own end where a waker dropped the last handle.
#[test]
fn waker_may_drop_the_last_handle_on_any_thread() {
    type Task = Pin<Box<dyn Future<Output = ()> + Send>>;
    /// A task that nobody else holds: waking it after its executor has gone drops it.
    struct Slot(Mutex<Option<Task>>, mpsc::Sender<()>);
    impl Wake for Slot {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().unwrap().take());
            // The test is over where nobody listens.
            let _ = self.1.send(());
        }
    }

    let dir = tempfile::tempdir().unwrap();
    let HeldUp {
        patient,
        hasty,
        first,
        release,
    } = held_up_lane(dir.path());
    drop(first);
    drop(patient);
    let (dropped, is_dropped) = mpsc::channel();
    let slot = Arc::new(Slot(Mutex::new(None), dropped));
    let waker = Waker::from(slot.clone());
    let mut last: Task = Box::pin(async move {
        let _ = hasty
            .write(WriteBatch::new().put("b", "2").sync(true))
            .await;
    });
    let polled = last.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(matches!(polled, Poll::Pending));
    *slot.0.lock().unwrap() = Some(last);
    is_dropped
        .recv_timeout(level_party_testkit::PATIENCE)
        .expect("it is dropped, and the dropping ends");
    drop(release);
    let again = Db::open(dir.path()).unwrap();
    assert_eq!(again.get("a").unwrap().as_deref(), Some(&b"1"[..]));
}

#[test]
fn a_leaders_write_that_has_no_time_at_all_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let hurried = Db::options().timeout(Duration::ZERO).open(dir.path());
    let hurried = hurried.expect("opened");
    for sync in [false, true] {
        let error = hurried.write(WriteBatch::new().put("a", "1").sync(sync));
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Timeout);
    }
    assert_eq!(hurried.role(), Role::Leader);
    assert_eq!(hurried.get("a").expect("a read does not wait"), None);
}

#[test]
fn writer_beside_reader_of_bedrock_world_needs_zlib_raw() {
    use level_party_testkit::damage::{Compression as Blocks, cases};
    let dir = tempfile::tempdir().unwrap();
    cases::compressed(Blocks::ZlibRaw).write_to(dir.path());
    let alone = Db::open(dir.path()).unwrap_err();
    let reader = Db::options().reject_writes(true).open(dir.path()).unwrap();
    let beside = Db::open(dir.path()).unwrap_err();
    for error in [alone, beside] {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.message().contains("Minecraft Bedrock"), "{error}");
    }
    assert_eq!(reader.get("new").unwrap().as_deref(), Some(&b"1"[..]));
    let writer = Db::options().compression(Compression::ZlibRaw);
    let writer = writer.open(dir.path()).unwrap();
    writer.put("new", "2").unwrap();
    assert_eq!(reader.get("new").unwrap().as_deref(), Some(&b"2"[..]));
}
