//! Watches.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use level_party::{
    Change, Db, ErrorKind, Lead, Position, Prefix, Readable, Watch, WatchFrom, WatchItem,
    WriteBatch,
};
use level_party_testkit::PATIENCE;

use crate::child::Process;

fn follower(dir: &Path) -> Db {
    Db::options().lead(Lead::Never).open(dir).expect("opened")
}

fn next(watch: &mut Watch) -> WatchItem {
    watch
        .next_timeout(PATIENCE)
        .expect("no error")
        .expect("an item comes")
}

fn change(watch: &mut Watch) -> Change {
    match next(watch) {
        WatchItem::Change(change) => change,
        gap => panic!("{gap:?}"),
    }
}

fn text(change: &Change) -> (u64, &str, &str, &str) {
    let text = |bytes| std::str::from_utf8(bytes).expect("text");
    let (kind, value) = match &change.value {
        Some(value) => ("put", text(value)),
        None => ("delete", ""),
    };
    (change.sequence, kind, text(&change.key), value)
}

#[test]
fn watch_gives_changes_in_order_of_their_sequences() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    db.put("before", "x").unwrap();
    let mut watch = db.watch(.., WatchFrom::Now).unwrap();
    assert_eq!(watch.try_next().unwrap(), None);
    db.write(WriteBatch::new().put("a", "1").delete("b").put("", ""))
        .unwrap();
    assert_eq!(text(&change(&mut watch)), (2, "put", "a", "1"));
    let inside = watch.position();
    assert_eq!(inside.sequence(), 2);
    assert_eq!(text(&change(&mut watch)), (3, "delete", "b", ""));
    assert_eq!(text(&change(&mut watch)), (4, "put", "", ""));
    assert_eq!(watch.try_next().unwrap(), None);

    let mut resumed = db.watch(.., inside).unwrap();
    assert_eq!(change(&mut resumed).value, None);
    let mut plain = db.watch(.., Position::from(3)).unwrap();
    assert_eq!(change(&mut plain).sequence, 4);
    let mut all = db.watch(.., WatchFrom::Beginning).unwrap();
    assert_eq!(text(&change(&mut all)), (1, "put", "before", "x"));
}

#[test]
fn watch_of_a_range_moves_on_with_all_changes() {
    let dir = tempfile::tempdir().unwrap();
    let mut leader = Process::start(dir.path());
    let db = follower(dir.path());
    let mut watch = db.watch("b".."c", WatchFrom::Now).unwrap();
    for key in ["a", "b1", "c", "bb", "ba"] {
        assert_eq!(leader.ask(&format!("put {key} x")), "ok");
    }
    let keys: Vec<_> = (0..3).map(|_| change(&mut watch).key).collect();
    assert_eq!(keys, [b"b1", b"bb", b"ba"]);
    for _ in 0..3 {
        assert_eq!(leader.ask("batch x y z"), "ok");
    }
    let deadline = Instant::now() + PATIENCE;
    while watch.position().sequence() < 14 {
        let quiet = watch.next_timeout(Duration::from_millis(100)).unwrap();
        assert_eq!(quiet, None);
        assert!(Instant::now() < deadline, "the position stands still");
    }
    let mut again = db.watch("b".."c", Position::from(0)).unwrap();
    assert_eq!(change(&mut again).key, b"b1");
}

#[test]
fn watch_sees_own_and_others_changes_alike() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let mut own = db.watch(.., WatchFrom::Now).unwrap();
    let mut other = Process::start(dir.path());
    assert_eq!(other.ask("role"), "follower");
    assert_eq!(other.ask("put a 1"), "ok");
    db.put("b", "2").unwrap();
    assert_eq!(text(&change(&mut own)), (1, "put", "a", "1"));
    assert_eq!(text(&change(&mut own)), (2, "put", "b", "2"));
}

/// Found by review: each look took one batch outside the range and said that nothing had come.
#[test]
fn try_next_passes_changes_outside_the_range() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let mut watch = db.watch("b".."c", WatchFrom::Now).unwrap();
    for _ in 0..10 {
        db.put("a", "x").unwrap();
    }
    db.put("b", "1").unwrap();
    let item = watch.try_next().unwrap();
    assert!(
        matches!(&item, Some(WatchItem::Change(change)) if change.key == b"b"),
        "{item:?}"
    );
    db.put("a", "x").unwrap();
    assert_eq!(watch.try_next().unwrap(), None);
    assert_eq!(watch.position().sequence(), 12);
}

/// Follows all changes and checks that none is missing, doubled or out of order, but for what a gap names.
struct Follower {
    watch: Watch,
    last: u64,
    gaps: Vec<(u64, u64)>,
    /// For each writer the last number seen.
    seen: BTreeMap<String, u64>,
}

impl Follower {
    fn new(db: &Db) -> Self {
        let watch = db.watch(.., WatchFrom::Now).unwrap();
        Follower {
            last: watch.position().sequence(),
            watch,
            gaps: Vec::new(),
            seen: BTreeMap::new(),
        }
    }

    fn step(&mut self, limit: Duration) -> bool {
        match self.watch.next_timeout(limit).expect("no error") {
            None => return false,
            Some(WatchItem::Gap { from, resume }) => {
                assert_eq!(from, self.last + 1, "a gap begins after what was told");
                assert!(resume > from);
                self.last = resume - 1;
                self.gaps.push((from, resume));
            }
            Some(WatchItem::Change(change)) => {
                assert_eq!(change.sequence, self.last + 1, "each change once, in order");
                self.last = change.sequence;
                let key = String::from_utf8(change.key).unwrap();
                let (writer, number) = key.split_once('/').expect("WRITER/NUMBER");
                let number: u64 = number.parse().unwrap();
                let before = self.seen.insert(writer.to_owned(), number);
                if self.gaps.is_empty() {
                    let after = before.map_or(0, |before| before + 1);
                    assert_eq!(number, after, "of writer {writer}");
                }
            }
            Some(other) => panic!("{other:?}"),
        }
        assert_eq!(self.watch.position().sequence(), self.last);
        true
    }
}

#[test]
fn watch_over_killed_leaders_tells_each_change_or_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let mut writers: Vec<Process> = Vec::new();
    let mut names = 0;
    let start = |writers: &mut Vec<Process>, names: &mut u32| {
        let mut writer = Process::start(dir.path());
        writer.send(&format!("write-on w{names}"));
        *names += 1;
        writers.push(writer);
    };
    writers.push(Process::start(dir.path()));
    let db = follower(dir.path());
    let mut followers: Vec<Follower> = (0..3).map(|_| Follower::new(&db)).collect();
    for _ in 0..3 {
        start(&mut writers, &mut names);
    }
    let goal = AtomicU64::new(u64::MAX);
    let mut last = None;
    std::thread::scope(|threads| {
        let following: Vec<_> = followers
            .iter_mut()
            .map(|follower| {
                threads.spawn(|| {
                    while follower.last < goal.load(Ordering::SeqCst) {
                        follower.step(Duration::from_millis(50));
                    }
                })
            })
            .collect();
        for _ in 0..6 {
            let before = db.status().unwrap().leader;
            let at = before.last_sequence;
            while db.status().unwrap().leader.last_sequence < at + 200 {}
            let leader = db.status().unwrap().leader.leader_pid;
            let place = writers.iter().position(|writer| writer.pid() == leader);
            let place = place.expect("the leader is one of the writers");
            writers.swap_remove(place).kill();
            start(&mut writers, &mut names);
        }
        drop(writers);
        // Somebody must lead to tell the rest.
        last = Some(Process::start(dir.path()));
        let end = db.status().unwrap().leader.last_sequence;
        goal.store(end, Ordering::SeqCst);
        for thread in following {
            thread.join().unwrap();
        }
    });
    for follower in &followers {
        println!("through {}, gaps: {:?}", follower.last, follower.gaps);
        if !follower.gaps.is_empty() {
            continue;
        }
        for (writer, last) in &follower.seen {
            let entries = db.range(Prefix(format!("{writer}/")));
            let keys = entries.collect::<Result<Vec<_>, _>>().unwrap().len();
            assert_eq!(keys as u64, last + 1, "all of writer {writer} was told");
        }
    }
}

#[test]
fn a_position_survives_the_watch_its_process_and_its_leader() {
    let dir = tempfile::tempdir().unwrap();
    let position = {
        let db = Db::open(dir.path()).unwrap();
        let mut watch = db.watch(.., WatchFrom::Now).unwrap();
        db.put("a", "1").unwrap();
        change(&mut watch);
        watch.position()
    };
    let stored: Position = position.to_string().parse().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let mut watch = db.watch(.., stored).unwrap();
    assert_eq!(watch.try_next().unwrap(), None);
    assert_eq!(watch.position().sequence(), 1);
    db.put("b", "2").unwrap();
    assert_eq!(text(&change(&mut watch)), (2, "put", "b", "2"));
}

#[test]
fn position_gives_one_gap_after_another_program() {
    let dir = tempfile::tempdir().unwrap();
    let position = {
        let db = Db::open(dir.path()).unwrap();
        let mut watch = db.watch(.., WatchFrom::Now).unwrap();
        db.put("a", "1").unwrap();
        change(&mut watch);
        watch.position()
    };
    // What C++ LevelDB does with it whenever it opens a directory.
    std::fs::remove_file(dir.path().join("000001.dbtmp")).unwrap();
    let db = Db::open(dir.path()).unwrap();
    let mut watch = db.watch(.., position).unwrap();
    let gap = WatchItem::Gap { from: 2, resume: 2 };
    assert_eq!(next(&mut watch), gap);
    db.put("b", "2").unwrap();
    assert_eq!(text(&change(&mut watch)), (2, "put", "b", "2"));
    let mut again = db.watch(.., watch.position()).unwrap();
    assert_eq!(again.try_next().unwrap(), None, "the gap was given once");
    let mut unknown = db.watch(.., Position::from(77)).unwrap();
    let gap = WatchItem::Gap {
        from: 78,
        resume: 3,
    };
    assert_eq!(next(&mut unknown), gap);
}

#[test]
fn who_falls_behind_the_history_is_told_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::options()
        .watch_history_bytes(8 << 10)
        .open(dir.path())
        .unwrap();
    let mut watch = db.watch(.., WatchFrom::Now).unwrap();
    for number in 0..100 {
        db.put(format!("k/{number}"), [b'x'; 1000]).unwrap();
        if number % 10 == 9 {
            // A log stays until its writes are in a table. The first one is open here, perhaps.
            db.compact_range(..).unwrap();
        }
    }
    let WatchItem::Gap { from: 1, resume } = next(&mut watch) else {
        panic!("a gap from the first change on")
    };
    for sequence in resume..=100 {
        assert_eq!(change(&mut watch).sequence, sequence);
    }
    assert_eq!(watch.try_next().unwrap(), None);
}

#[test]
fn without_history_nobody_can_watch_and_the_error_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let options = || Db::options().watch_history_bytes(0);
    let db = options().open(dir.path()).unwrap();
    let error = db.watch(.., WatchFrom::Now).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.message().contains("watch_history_bytes"), "{error}");
}

#[test]
fn closing_the_handle_or_the_watch_ends_a_wait_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let _leader = Process::start(dir.path());
    let ends = |watch: Watch, end: &dyn Fn()| {
        std::thread::scope(|threads| {
            let mut watch = watch;
            let waiting = threads.spawn(move || (watch.next().unwrap().unwrap_err(), watch));
            end();
            let (error, mut watch) = waiting.join().unwrap();
            assert_eq!(error.kind(), ErrorKind::Closed);
            assert!(watch.next().is_none());
            assert_eq!(watch.try_next().unwrap_err().kind(), ErrorKind::Closed);
        });
    };
    let db = follower(dir.path());
    let watch = db.watch(.., WatchFrom::Now).unwrap();
    let closer = watch.closer();
    ends(watch, &|| closer.close());
    let watch = db.watch(.., WatchFrom::Now).unwrap();
    ends(watch, &|| db.close().unwrap());
}

#[test]
fn closed_watch_says_what_was_closed() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let mut ended = db.watch(.., WatchFrom::Now).unwrap();
    ended.closer().close();
    let error = ended.try_next().unwrap_err();
    assert!(error.message().contains("watch was closed"), "{error}");
    let mut watch = db.watch(.., WatchFrom::Now).unwrap();
    db.close().unwrap();
    let error = watch.try_next().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert!(error.message().contains("database was closed"), "{error}");
}

#[test]
fn watch_range_and_snapshot_keep_the_database_open() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    db.put("a", "1").unwrap();
    let (snapshot, mut range) = (db.snapshot().unwrap(), db.iter());
    let mut watch = db.watch(.., WatchFrom::Now).unwrap();
    drop(db);
    assert_eq!(snapshot.get("a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(range.next().unwrap().unwrap().0, b"a");
    drop((snapshot, range));
    let mut other = Process::start(dir.path());
    assert_eq!(other.ask("role"), "follower", "this process still leads");
    assert_eq!(other.ask("put b 2"), "ok");
    assert_eq!(text(&change(&mut watch)), (2, "put", "b", "2"));
    drop(watch);
    let begun = Instant::now();
    while other.ask("role") != "leader" {
        assert!(begun.elapsed() < PATIENCE, "the last use has ended");
    }
}

/// Nobody is left who may lead: one keeps the door, and the next one who comes leads.
#[test]
fn watch_goes_on_while_nobody_leads() {
    let dir = tempfile::tempdir().unwrap();
    let leader = Process::start(dir.path());
    let db = Db::options()
        .lead(Lead::Never)
        .retry(false)
        .open(dir.path())
        .unwrap();
    let mut watch = db.watch(.., WatchFrom::Now).unwrap();
    leader.kill();
    db.put("k", "v").unwrap();
    assert_eq!(change(&mut watch).key, b"k");
    let mut next = Process::start(dir.path());
    assert_eq!(next.ask("put l v"), "ok");
    assert_eq!(change(&mut watch).key, b"l");
    let begun = Instant::now();
    while next.ask("role") != "leader" {
        assert!(begun.elapsed() < PATIENCE, "it may lead");
    }
}

#[test]
fn a_new_watch_stands_where_it_begins_before_anything_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let leader = Process::start(dir.path());
    let db = follower(dir.path());
    check_new_watch(&db);
    drop(leader);
    let own = tempfile::tempdir().expect("a directory");
    check_new_watch(&Db::open(own.path()).expect("opened"));
}

fn check_new_watch(db: &Db) {
    db.put("a", "1").expect("written");
    let before = db.status().expect("answered").leader.last_sequence;
    let position = db.watch(.., WatchFrom::Now).expect("a watch").position();
    assert_eq!(position.sequence(), before);
    db.put("b", "2").expect("written");
    let mut later = db.watch(.., position).expect("a watch");
    assert_eq!(text(&change(&mut later)), (before + 1, "put", "b", "2"));
}
