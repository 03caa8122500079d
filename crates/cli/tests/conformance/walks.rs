//! Ranges walked at random from both ends against a model, clears beside writers, and ranges inside transactions.

use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};

use level_party::{Db, Prefix, Range, Readable, WriteBatch};

use crate::suite::{Entry, collect, fill};

/// What a [`Range`] must do: all entries, the bounds of the whole, and where the two ends stand.
struct Model {
    entries: Vec<Entry>,
    whole: (Bound<Vec<u8>>, Bound<Vec<u8>>),
    low: Bound<Vec<u8>>,
    high: Bound<Vec<u8>>,
    remaining: u64,
}

impl Model {
    fn left(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        let within = |key: &Vec<u8>| {
            let above = match &self.low {
                Bound::Included(low) => key >= low,
                Bound::Excluded(low) => key > low,
                Bound::Unbounded => true,
            };
            above
                && match &self.high {
                    Bound::Included(high) => key <= high,
                    Bound::Excluded(high) => key < high,
                    Bound::Unbounded => true,
                }
        };
        let remaining = self.remaining;
        let entries = self.entries.iter();
        entries.filter(move |(key, _)| remaining > 0 && within(key))
    }

    fn next(&mut self) -> Option<Entry> {
        let entry = self.left().next()?.clone();
        self.low = Bound::Excluded(entry.0.clone());
        self.remaining -= 1;
        Some(entry)
    }

    fn next_back(&mut self) -> Option<Entry> {
        let entry = self.left().next_back()?.clone();
        self.high = Bound::Excluded(entry.0.clone());
        self.remaining -= 1;
        Some(entry)
    }

    fn seek(&mut self, target: &[u8]) {
        self.low = match &self.whole.0 {
            Bound::Included(low) | Bound::Excluded(low) if target <= &low[..] => {
                self.whole.0.clone()
            }
            _ => Bound::Included(target.to_vec()),
        };
    }

    fn seek_back(&mut self, target: &[u8]) {
        self.high = match &self.whole.1 {
            Bound::Included(high) | Bound::Excluded(high) if target >= &high[..] => {
                self.whole.1.clone()
            }
            _ => Bound::Included(target.to_vec()),
        };
    }
}

pub fn walks(db: &Db, name: &str) {
    let mut random = fastrand::Rng::with_seed(1);
    let level = db.sublevel(&name.replace(' ', "-")).expect("a name");
    // Beside its neighbours: a range that leaves its bounds is seen.
    db.put(format!("!{}\"", name.replace(' ', "-")), "a neighbour")
        .unwrap();
    // Few entries make one chunk; of many large ones each chunk holds some.
    for (count, size) in [(0, 0), (1, 0), (12, 5), (300, 400)] {
        level.clear(..).unwrap();
        let key = |n: usize| format!("{:04}", n * 2).into_bytes();
        let entries: Vec<Entry> = (0..count)
            .map(|n| (key(n), vec![n as u8; size + n % 7]))
            .collect();
        for part in entries.chunks(db.limits().batch_len.min(100)) {
            let mut batch = WriteBatch::new();
            for (key, value) in part {
                batch.put(key, value);
            }
            level.write(&batch).unwrap();
        }
        for round in 0..60 {
            let mut target = || format!("{:04}", random.usize(0..count * 2 + 2)).into_bytes();
            let whole = match round % 4 {
                0 => (Bound::Unbounded, Bound::Unbounded),
                1 => (Bound::Included(target()), Bound::Unbounded),
                2 => (Bound::Excluded(target()), Bound::Included(target())),
                _ => (Bound::Unbounded, Bound::Excluded(target())),
            };
            let range = level.range(whole.clone());
            let limit = match round % 3 {
                0 => Some(random.u64(0..20)),
                _ => None,
            };
            let model = Model {
                entries: entries.clone(),
                low: whole.0.clone(),
                high: whole.1.clone(),
                whole,
                remaining: limit.unwrap_or(u64::MAX),
            };
            let range = limit.into_iter().fold(range, Range::limit);
            walk(range, model, count, &mut random);
        }
    }
}

fn walk(mut range: Range, mut model: Model, count: usize, random: &mut fastrand::Rng) {
    let mut done = Vec::new();
    for _ in 0..random.usize(1..40) {
        let target = format!("{:04}", random.usize(0..count * 2 + 2));
        let steps = random.usize(1..12);
        let action = random.u8(0..6);
        done.push((action, target.clone(), steps));
        match action {
            0 => {
                range.seek(&target);
                model.seek(target.as_bytes());
            }
            1 => {
                range.seek_back(&target);
                model.seek_back(target.as_bytes());
            }
            2 | 3 => {
                for _ in 0..steps {
                    let seen = range.next().transpose().expect("an entry");
                    assert_eq!(seen, model.next(), "{done:?}");
                }
            }
            _ => {
                for _ in 0..steps {
                    let seen = range.next_back().transpose().expect("an entry");
                    assert_eq!(seen, model.next_back(), "{done:?}");
                }
            }
        }
    }
    // Then all that is left, in one of the forms of a range.
    let form = random.u8(0..4);
    let expected: Vec<Entry> = std::iter::from_fn(|| match form {
        0 => model.next_back(),
        _ => model.next(),
    })
    .collect();
    let keys = expected.iter().map(|(key, _)| key);
    let values = expected.iter().map(|(_, value)| value);
    match form {
        0 => assert!(range.rev().map(Result::unwrap).eq(expected), "{done:?}"),
        1 => assert!(
            range.keys().map(Result::unwrap).eq(keys.cloned()),
            "{done:?}"
        ),
        2 => assert!(
            range.values().map(Result::unwrap).eq(values.cloned()),
            "{done:?}"
        ),
        _ => assert_eq!(collect(range), expected, "{done:?}"),
    }
}

pub fn clears(db: &Db, name: &str) {
    let key = |n: u32| format!("{name}/{n:05}");
    // What one batch can hold.
    let count = db.limits().batch_len.min(3000);
    fill(
        db,
        (0..count as u32).map(|n| (key(n).into_bytes(), b"x".to_vec())),
    );
    assert_eq!(db.clear(key(10)..key(20)).unwrap(), 10);
    assert_eq!(db.clear(key(10)..key(20)).unwrap(), 0);
    let left = count - 10;
    assert_eq!(db.range(Prefix(format!("{name}/"))).count(), left);
    // One batch: whoever looks sees all of the range or nothing. A writer beside it loses nothing of its own.
    let range = key(0)..key(9000);
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let watcher = threads.spawn(|| {
            let mut looks = 0;
            while !done.load(Ordering::Relaxed) {
                let seen = db.range(key(0)..key(9000)).keys().count();
                assert!(seen == 0 || seen == left, "{seen} of {left} were seen");
                looks += 1;
            }
            looks
        });
        let writer = threads.spawn(|| {
            for n in 0..50 {
                db.put(format!("{name}/beside/{n}"), "y").unwrap();
            }
        });
        let cleared = db.clear(range);
        writer.join().expect("the writer");
        done.store(true, Ordering::Relaxed);
        watcher.join().expect("the watcher");
        assert_eq!(cleared.unwrap(), left as u64);
    });
    assert_eq!(db.range(Prefix(format!("{name}/"))).count(), 50);
    assert_eq!(db.clear(key(5)..key(1)).unwrap(), 0, "an empty range");
}

/// Two batches: nothing of the range stays whoever leads, what others hold stays, and the count is exact.
pub fn large_clears(db: &Db, name: &str) {
    // Most servers take no keys of this size; there it is one batch.
    let length = (1 << 20).min(db.limits().key_bytes - 64);
    let level = db.sublevel(&name.replace(' ', "-")).expect("a name");
    let long = |n: u8| [vec![n], vec![b'k'; length]].concat();
    for n in 0..18 {
        level.put(long(n), "x").unwrap();
    }
    level.put("stays", "y").unwrap();
    assert_eq!(level.clear(..=long(17)).unwrap(), 18);
    assert_eq!(level.clear(..=long(17)).unwrap(), 0);
    assert_eq!(
        level.iter().keys().map(Result::unwrap).next().as_deref(),
        Some(&b"stays"[..])
    );
}

pub fn transaction_ranges(db: &Db, name: &str) {
    let level = db.sublevel(&name.replace(' ', "-")).expect("a name");
    for n in 0..6 {
        level.put(format!("job/{n}"), "").unwrap();
    }
    let mut runs = 0;
    let taken = level
        .transaction(|tx| {
            runs += 1;
            tx.put("job/2+", "own")?;
            tx.delete("job/0")?;
            tx.put("job/4", "changed")?;
            let all: Vec<Entry> = tx
                .range(Prefix("job/"))
                .collect::<level_party::Result<_>>()?;
            let back: Vec<Entry> = tx
                .range(Prefix("job/"))
                .rev()
                .collect::<level_party::Result<_>>()?;
            assert!(all.iter().eq(back.iter().rev()));
            if runs == 1 {
                // Of a key that it was given: a conflict.
                level.delete("job/3")?;
            }
            Ok(all)
        })
        .unwrap();
    assert_eq!(runs, 2);
    let keys: Vec<String> = taken
        .into_iter()
        .map(|(key, _)| String::from_utf8(key).unwrap())
        .collect();
    assert_eq!(keys, ["job/1", "job/2", "job/2+", "job/4", "job/5"]);
    assert_eq!(level.iter().count(), 5);
}
