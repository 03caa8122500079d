//! One suite over the trait `Remote`, for every server: what `docs/REMOTE.md` promises of all of them.

use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use level_party_remote::{
    Call, Chunk, Conditions, ErrorKind, Feed, KeyRange, Moment, Op, Remote, Result, Scan,
    ServiceState, Settings, Start, Told, Wait, Write,
};

/// Far beyond what a call takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A call of this thread.
pub fn call() -> Call {
    Call {
        wait: Wait::Thread,
        deadline: Instant::now() + PATIENCE,
        retry: true,
    }
}

/// How the tests open a database.
pub fn settings() -> Settings {
    Settings {
        open_timeout: Duration::from_secs(30),
        create_if_missing: true,
        error_if_exists: false,
        fills: false,
    }
}

/// A put, or with `None` a delete.
pub fn op(key: &str, value: Option<&str>) -> Op {
    (key.into(), value.map(Into::into))
}

/// A batch without conditions.
pub fn batch(ops: &[Op]) -> Write {
    Write {
        ops: ops.to_vec(),
        ..Write::default()
    }
}

/// Waits for an answer.
pub fn now<T>(answer: level_party_remote::Answer<'_, T>) -> Result<T> {
    pollster::block_on(answer)
}

/// Writes, and gives the sequence.
pub fn write(remote: &dyn Remote, ops: &[Op]) -> u64 {
    now(remote.write(&call(), batch(ops)))
        .expect("written")
        .expect("no conditions")
}

/// What a key holds, as text.
pub fn get(remote: &dyn Remote, key: &str, at: Option<Moment>) -> Option<String> {
    let entry = now(remote.get(&call(), key.as_bytes(), at)).expect("read");
    entry.map(|entry| String::from_utf8(entry.value).expect("text"))
}

/// From the first of these keys to before the second.
pub fn range(from: &str, to: &str) -> KeyRange {
    KeyRange {
        lower: Bound::Included(from.into()),
        upper: Bound::Excluded(to.into()),
    }
}

/// All keys.
pub fn everything() -> KeyRange {
    KeyRange {
        lower: Bound::Unbounded,
        upper: Bound::Unbounded,
    }
}

/// A scan of a range in chunks of so many entries.
pub fn scan_of(range: KeyRange, entries: usize) -> Scan {
    Scan {
        range,
        reverse: false,
        keys_only: false,
        limit_bytes: 1 << 20,
        limit_entries: entries,
        hold: false,
    }
}

/// All entries of a range at one moment, chunk by chunk, as texts.
pub fn walk(remote: &dyn Remote, mut scan: Scan, at: Option<Moment>) -> Vec<(String, String)> {
    let (mut all, mut moment) = (Vec::new(), at);
    loop {
        let Chunk {
            items,
            more,
            reached,
            pinned,
        } = now(remote.scan(&call(), scan.clone(), moment)).expect("a chunk");
        assert!(items.len() <= scan.limit_entries);
        if let Some(pinned) = pinned {
            assert!(moment.is_none(), "pinned although a moment was given");
            moment = Some(pinned);
        }
        let bound = match (items.last(), reached) {
            (_, Some(key)) => Some(Bound::Included(key)),
            (Some(item), None) => Some(Bound::Excluded(item.key.clone())),
            (None, None) => None,
        };
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        all.extend(
            items
                .into_iter()
                .map(|item| (text(item.key), text(item.value))),
        );
        let Some(bound) = bound.filter(|_| more) else {
            if let (Some(moment), None) = (moment, at) {
                remote.unpin(moment);
            }
            return all;
        };
        match scan.reverse {
            true => scan.range.upper = bound,
            false => scan.range.lower = bound,
        }
    }
}

/// What a feed tells until it has told so many changes; gaps are given too.
pub fn told(feed: &mut dyn Feed, changes: usize) -> Vec<Told> {
    let (until, mut all, mut count) = (Instant::now() + PATIENCE, Vec::new(), 0);
    while count < changes {
        assert!(
            Instant::now() < until,
            "told {count} of {changes} changes: {all:?}"
        );
        if let Some(told) = feed.next(until).expect("the feed goes on") {
            count += told.changes.len();
            all.push(told);
        }
    }
    assert_eq!(count, changes, "{all:?}");
    all
}

/// The changes of a feed as texts.
pub fn changes(feed: &mut dyn Feed, count: usize) -> Vec<(u64, String, Option<String>)> {
    let all = told(feed, count);
    assert!(all.iter().all(|told| told.gap.is_none()), "{all:?}");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let changes = all.into_iter().flat_map(|told| told.changes);
    changes
        .map(|change| (change.sequence, text(change.key), change.value.map(text)))
        .collect()
}

/// Runs the suite. The database is empty, and nobody else writes to it.
pub fn run(remote: &Arc<dyn Remote>) {
    let remote = &**remote;
    points(remote);
    chunks(remote);
    moments(remote);
    conditions(remote);
    feeds(remote);
    tasks(remote);
    deadlines(remote);
    limits(remote);
}

fn points(remote: &dyn Remote) {
    assert_eq!(get(remote, "a", None), None);
    let first = write(remote, &[op("a", Some("1"))]);
    let second = write(
        remote,
        &[
            op("", Some("empty")),
            op("a", Some("2")),
            op("b", Some("")),
            op("a", Some("3")),
        ],
    );
    assert!(first < second);
    assert_eq!(get(remote, "a", None).as_deref(), Some("3"));
    assert_eq!(get(remote, "", None).as_deref(), Some("empty"));
    assert_eq!(get(remote, "b", None).as_deref(), Some(""));
    assert!(now(remote.contains(&call(), b"b", None)).expect("read"));
    assert!(!now(remote.contains(&call(), b"c", None)).expect("read"));
    write(remote, &[op("a", None), op("none", None)]);
    assert_eq!(get(remote, "a", None), None);
    let bytes: Vec<u8> = (0..=255).collect();
    let put = vec![(bytes.clone(), Some(bytes.clone()))];
    now(remote.write(&call(), batch(&put))).expect("written");
    let keys = vec![b"b".to_vec(), bytes.clone(), b"a".to_vec(), b"b".to_vec()];
    let found = now(remote.get_many(&call(), keys, None)).expect("read");
    let values: Vec<Option<Vec<u8>>> = found
        .into_iter()
        .map(|entry| entry.map(|entry| entry.value))
        .collect();
    assert_eq!(
        values,
        [Some(vec![]), Some(bytes.clone()), None, Some(vec![])]
    );
    write(remote, &[op("", None), op("b", None)]);
    now(remote.write(&call(), batch(&[(bytes, None)]))).expect("written");
    assert!(walk(remote, scan_of(everything(), 10), None).is_empty());
}

fn chunks(remote: &dyn Remote) {
    let key = |n: usize| format!("c/{n:04}");
    for part in (0..300).collect::<Vec<usize>>().chunks(100) {
        let ops: Vec<Op> = part
            .iter()
            .map(|n| op(&key(*n), Some(&n.to_string())))
            .collect();
        write(remote, &ops);
    }
    let all: Vec<(String, String)> = (0..300).map(|n| (key(n), n.to_string())).collect();
    let mut reversed = all.clone();
    reversed.reverse();
    for entries in [1000, 7] {
        assert_eq!(walk(remote, scan_of(range("c/", "c0"), entries), None), all);
        let scan = Scan {
            reverse: true,
            ..scan_of(range("c/", "c0"), entries)
        };
        assert_eq!(walk(remote, scan, None), reversed);
    }
    let part = KeyRange {
        lower: Bound::Excluded(key(10).into()),
        upper: Bound::Included(key(12).into()),
    };
    assert_eq!(walk(remote, scan_of(part, 9), None), all[11..13]);
    let by_bytes = Scan {
        limit_bytes: 40,
        ..scan_of(everything(), 1000)
    };
    let chunk = now(remote.scan(&call(), by_bytes, None)).expect("a chunk");
    assert!(
        chunk.more && (1..20).contains(&chunk.items.len()),
        "{}",
        chunk.items.len()
    );
    remote.unpin(chunk.pinned.expect("more is left"));
    let keys = Scan {
        keys_only: true,
        ..scan_of(range("c/0007", "c/0008"), 3)
    };
    assert_eq!(walk(remote, keys, None), [(key(7), String::new())]);
    assert!(walk(remote, scan_of(range("d", "c"), 3), None).is_empty());
    let size = now(remote.approximate_size(&call(), range("c/", "c0"))).expect("a size");
    assert!((1000..30000).contains(&size), "{size}");
    assert_eq!(
        now(remote.approximate_size(&call(), range("x", "y"))).expect("a size"),
        0
    );
}

fn moments(remote: &dyn Remote) {
    write(remote, &[op("m/1", Some("old")), op("m/2", Some("old"))]);
    let moment = now(remote.pin(&call())).expect("pinned");
    let held = now(remote.status(&call())).expect("a status");
    assert!(held.pins >= 1 && held.oldest_pin.is_some());
    let later = write(
        remote,
        &[
            op("m/1", Some("new")),
            op("m/2", None),
            op("m/3", Some("new")),
        ],
    );
    assert!(later > moment.sequence);
    assert!(now(remote.newest(&call())).expect("a moment").sequence >= later);
    assert_eq!(get(remote, "m/1", Some(moment)).as_deref(), Some("old"));
    assert_eq!(get(remote, "m/3", Some(moment)), None);
    let old = [("m/1".into(), "old".into()), ("m/2".into(), "old".into())];
    for reverse in [false, true] {
        let scan = Scan {
            reverse,
            ..scan_of(range("m/", "m0"), 1)
        };
        let mut found = walk(remote, scan, Some(moment));
        found.sort();
        assert_eq!(found, old);
    }
    let keys = vec![b"m/1".to_vec(), b"m/2".to_vec()];
    let found = now(remote.get_many(&call(), keys, Some(moment))).expect("read");
    assert!(
        found
            .iter()
            .flatten()
            .all(|entry| entry.sequence <= moment.sequence && entry.value == b"old")
    );
    // A walk that began before a write goes on at its moment.
    let first = now(remote.scan(&call(), scan_of(range("m/", "m0"), 1), None)).expect("a chunk");
    write(remote, &[op("m/4", Some("newer"))]);
    let moment_of_walk = first.pinned.expect("more is left");
    let rest = walk(remote, scan_of(range("m/2", "m0"), 1), Some(moment_of_walk));
    assert_eq!(rest, [("m/3".to_owned(), "new".to_owned())]);
    let whole = Scan {
        hold: true,
        ..scan_of(range("m/1", "m/2"), 9)
    };
    let chunk = now(remote.scan(&call(), whole, None)).expect("a chunk");
    assert!(!chunk.more);
    for pinned in [
        moment,
        moment_of_walk,
        chunk.pinned.expect("it was to be held"),
    ] {
        remote.unpin(pinned);
    }
}

fn conditions(remote: &dyn Remote) {
    write(remote, &[op("t/a", Some("1")), op("t/b", Some("1"))]);
    let moment = now(remote.newest(&call())).expect("a moment");
    let sequence = |key: &str| {
        let entry = now(remote.get(&call(), key.as_bytes(), None)).expect("read");
        entry.map(|entry| entry.sequence)
    };
    let try_write = |keys: &[(&str, Option<u64>)], ranges: &[(KeyRange, u64)], ops: &[Op]| {
        let conditions = Conditions {
            keys: keys
                .iter()
                .map(|(key, held)| ((*key).into(), *held))
                .collect(),
            ranges: ranges.to_vec(),
            history: Some(moment.history),
        };
        let write = Write {
            conditions,
            ..batch(ops)
        };
        now(remote.write(&call(), write))
            .expect("answered")
            .is_some()
    };
    let a = sequence("t/a");
    assert!(try_write(
        &[("t/a", a), ("t/none", None)],
        &[],
        &[op("t/a", Some("2"))]
    ));
    assert!(
        !try_write(&[("t/a", a)], &[], &[op("t/a", Some("3"))]),
        "changed since"
    );
    assert!(
        !try_write(&[("t/a", None)], &[], &[op("t/a", Some("3"))]),
        "it is there"
    );
    assert!(
        !try_write(&[("t/none", Some(1))], &[], &[op("t/a", Some("3"))]),
        "it is not there"
    );
    assert_eq!(get(remote, "t/a", None).as_deref(), Some("2"));
    let at = now(remote.newest(&call())).expect("a moment").sequence;
    let untouched = [(range("t/", "t0"), at)];
    assert!(try_write(&[], &untouched, &[op("u", Some("1"))]));
    write(remote, &[op("t/c", Some("phantom"))]);
    assert!(
        !try_write(&[], &untouched, &[op("u", Some("2"))]),
        "a phantom"
    );
    assert!(try_write(
        &[],
        &[(range("t/x", "t0"), at)],
        &[op("u", Some("3"))]
    ));
    assert!(
        try_write(&[], &[(range("z", "a"), 0)], &[op("u", Some("4"))]),
        "no key lies in it"
    );
    let empty = Write {
        conditions: Conditions {
            keys: vec![(b"t/a".to_vec(), sequence("t/a"))],
            ranges: vec![],
            history: Some(moment.history),
        },
        ..Write::default()
    };
    assert!(
        now(remote.write(&call(), empty))
            .expect("answered")
            .is_some()
    );
    let mut other = moment.history;
    other.random[0] ^= 1;
    let of_another_history = Write {
        conditions: Conditions {
            keys: vec![(b"t/none".to_vec(), None)],
            ranges: vec![],
            history: Some(other),
        },
        ..batch(&[op("u", Some("5"))])
    };
    assert_eq!(
        now(remote.write(&call(), of_another_history)).expect("answered"),
        None
    );
    assert_eq!(get(remote, "u", None).as_deref(), Some("4"));
}

fn feeds(remote: &dyn Remote) {
    let before = now(remote.newest(&call())).expect("a moment");
    let mut all = now(remote.feed(&call(), Start::Now, everything())).expect("a feed");
    let mut some = now(remote.feed(&call(), Start::Now, range("w/b", "w/c"))).expect("a feed");
    write(remote, &[op("w/a", Some("1"))]);
    write(remote, &[op("w/b", Some("2"))]);
    let last = write(remote, &[op("w/b", None)]);
    let expected = [("w/a", Some("1")), ("w/b", Some("2")), ("w/b", None)];
    let found = changes(&mut *all, 3);
    assert!(found.is_sorted_by(|one, next| one.0 < next.0), "{found:?}");
    assert_eq!(found[2].0, last, "a write's sequence is its change's");
    let named: Vec<(&str, Option<&str>)> = found
        .iter()
        .map(|(_, key, value)| (key.as_str(), value.as_deref()))
        .collect();
    assert_eq!(named, expected);
    assert!(all.through().sequence >= last);
    assert_eq!(changes(&mut *some, 2)[1].0, last);
    // From what was told on, and from before.
    let mut again =
        now(remote.feed(&call(), Start::Sequence(found[0].0), everything())).expect("a feed");
    assert_eq!(changes(&mut *again, 2), found[1..]);
    let mut again = now(remote.feed(&call(), Start::Moment(before), everything())).expect("a feed");
    assert_eq!(changes(&mut *again, 3), found);
    // A batch is told in one piece, and a position in its midst is one.
    write(
        remote,
        &[
            op("w/x", Some("1")),
            op("w/y", Some("2")),
            op("w/z", Some("3")),
        ],
    );
    let batch = told(&mut *all, 3);
    assert_eq!(batch.len(), 1);
    let middle = batch[0].changes[1].sequence;
    let mut rest =
        now(remote.feed(&call(), Start::Sequence(middle), everything())).expect("a feed");
    assert_eq!(changes(&mut *rest, 1)[0].1, "w/z");
    // Nothing more: it waits, and is woken.
    let wake = all.waker();
    std::thread::scope(|threads| {
        threads.spawn(|| wake());
        assert_eq!(all.next(Instant::now() + PATIENCE).expect("woken"), None);
    });
    assert_eq!(all.next(Instant::now()).expect("late"), None);
    // A position that no change has had yet.
    let newest = now(remote.newest(&call())).expect("a moment");
    let mut beyond = now(remote.feed(
        &call(),
        Start::Sequence(newest.sequence + 1_000_000),
        everything(),
    ))
    .expect("a feed");
    let gap = beyond
        .next(Instant::now() + PATIENCE)
        .expect("told")
        .expect("a gap");
    assert!(gap.gap.is_some() && gap.changes.is_empty(), "{gap:?}");
    let mut other = newest;
    other.history.random[1] ^= 1;
    let mut elsewhere =
        now(remote.feed(&call(), Start::Moment(other), everything())).expect("a feed");
    let gap = elsewhere
        .next(Instant::now() + PATIENCE)
        .expect("told")
        .expect("a gap");
    assert!(gap.gap.is_some(), "{gap:?}");
    write(remote, &[op("w/end", Some("1"))]);
    assert_eq!(changes(&mut *elsewhere, 1)[0].1, "w/end");
    assert_eq!(changes(&mut *beyond, 1)[0].1, "w/end");
}

fn tasks(remote: &dyn Remote) {
    let task = Call {
        wait: Wait::Task,
        ..call()
    };
    let written =
        pollster::block_on(remote.write(&task, batch(&[op("task", Some("1"))]))).expect("written");
    assert!(written.is_some());
    let found = pollster::block_on(remote.get(&task, b"task", None)).expect("read");
    assert_eq!(found.map(|entry| entry.value), Some(b"1".to_vec()));
    // Many at once, in the order of their first polls.
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut writes: Vec<_> = (0..200)
        .map(|n| remote.write(&task, batch(&[op("last", Some(&n.to_string()))])))
        .collect();
    let mut done: Vec<Option<u64>> = vec![None; writes.len()];
    for (write, done) in writes.iter_mut().zip(&mut done) {
        if let std::task::Poll::Ready(answer) = write.as_mut().poll(&mut context) {
            *done = answer.expect("written");
        }
    }
    for (write, done) in writes.into_iter().zip(&mut done) {
        if done.is_none() {
            *done = pollster::block_on(write).expect("written");
        }
    }
    let sequences: Vec<u64> = done
        .into_iter()
        .map(|done| done.expect("no conditions"))
        .collect();
    assert!(
        sequences.is_sorted_by(|one, next| one < next),
        "{sequences:?}"
    );
    assert_eq!(get(remote, "last", None).as_deref(), Some("199"));
    // One that is never polled is never made.
    drop(remote.write(&task, batch(&[op("unpolled", Some("1"))])));
    assert_eq!(get(remote, "unpolled", None), None);
}

fn deadlines(remote: &dyn Remote) {
    let late = Call {
        deadline: Instant::now(),
        ..call()
    };
    let error = now(remote.get(&late, b"a", None)).expect_err("no time");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let error = now(remote.write(&late, batch(&[op("late", Some("1"))]))).expect_err("no time");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(get(remote, "late", None), None);
}

fn limits(remote: &dyn Remote) {
    let limits = remote.limits();
    let key = vec![b'k'; limits.key_bytes];
    now(remote.write(&call(), batch(&[(key.clone(), Some(b"1".to_vec()))]))).expect("written");
    assert!(now(remote.contains(&call(), &key, None)).expect("read"));
    now(remote.write(&call(), batch(&[(key, None)]))).expect("written");
    let ops = limits.batch_ops.min(1000);
    let most: Vec<Op> = (0..ops)
        .map(|n| op(&format!("l/{n:04}"), Some("1")))
        .collect();
    write(remote, &most);
    let found = walk(remote, scan_of(range("l/", "l0"), 10_000), None);
    assert_eq!(found.len(), ops);
    let bytes = limits.batch_bytes.min(8 << 20);
    let share = bytes / limits.batch_ops.min(100);
    let value = vec![b'v'; share - 16];
    let large: Vec<Op> = (0..limits.batch_ops.min(100))
        .map(|n| (format!("large/{n:08}").into_bytes(), Some(value.clone())))
        .collect();
    write(remote, &large);
    let found = walk(remote, scan_of(range("large/", "large0"), 10_000), None);
    assert!(
        found.len() == large.len() && found.iter().all(|(_, found)| found.len() == value.len())
    );
}

/// Which handle may write in which service state; `open` opens the one database.
pub fn service_states(open: impl Fn(&Settings) -> Result<Arc<dyn Remote>>) {
    let state = |remote: &dyn Remote| now(remote.service_state(&call())).expect("a state");
    let set = |remote: &dyn Remote, expected: &ServiceState, new: &ServiceState| {
        now(remote.set_service_state(&call(), expected.clone(), new.clone())).expect("answered")
    };
    let kind = |remote: &dyn Remote| {
        let written = now(remote.write(&call(), batch(&[op("a", Some("2"))])));
        written.map_err(|error| error.kind())
    };
    let filling = |progress: &str| ServiceState::Filling {
        progress: progress.into(),
    };
    let (sealed, filling) = (filling("sealed\nx"), filling("{\"n\":1}"));
    let moved = ServiceState::Moved {
        to: "postgres://elsewhere".into(),
        by: "word".into(),
    };
    let live = ServiceState::Live;
    let users = || open(&settings()).expect("opened");
    let (user, other) = (users(), users());
    write(&*user, &[op("a", Some("1"))]);
    assert_eq!(state(&*user), live);
    assert!(!set(&*other, &moved, &filling), "it is another one");
    assert!(set(&*other, &live, &moved));
    assert_eq!(kind(&*user), Err(ErrorKind::Moved));
    assert_eq!(get(&*user, "a", None).as_deref(), Some("1"));
    assert_eq!(state(&*users()), moved, "it can be opened and read");
    assert!(set(&*other, &moved, &filling));
    assert_eq!(kind(&*user), Err(ErrorKind::Busy));
    let error = open(&settings()).err().expect("a copy is made");
    assert_eq!(error.kind(), ErrorKind::Busy);
    let fills = Settings {
        fills: true,
        ..settings()
    };
    let copier = open(&fills).expect("the copier's");
    assert!(kind(&*copier).is_ok());
    assert!(set(&*copier, &filling, &sealed));
    assert_eq!(kind(&*copier), Err(ErrorKind::Busy), "it is compared");
    assert!(set(&*copier, &sealed, &filling));
    assert!(kind(&*copier).is_ok(), "the comparison was given up");
    assert!(set(&*copier, &filling, &live));
    let next = open(&fills).expect("to be filled");
    assert_eq!(kind(&*next), Err(ErrorKind::Busy), "it is live yet");
    assert_eq!(kind(&*copier), Err(ErrorKind::Busy), "the copy has ended");
    assert!(kind(&*user).is_ok());
    assert_eq!(get(&*user, "a", None).as_deref(), Some("2"));
}
