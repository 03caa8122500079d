//! What any handle does, whoever leads. Each part works below a prefix of its own.

use std::collections::BTreeMap;

use level_party::{Db, ErrorKind, Prefix, Readable, WriteBatch};

pub type Entry = (Vec<u8>, Vec<u8>);

/// Runs every part.
pub fn run(db: &Db) {
    for (name, part) in PARTS {
        println!("{name}");
        part(db, name);
    }
}

type Part = fn(&Db, &str);

const PARTS: &[(&str, Part)] = &[
    ("single keys", single_keys),
    ("any bytes", any_bytes),
    ("batches", batches),
    ("ranges", ranges),
    ("both ends", both_ends),
    ("moments", moments),
    ("long streams", long_streams),
    ("large values", large_values),
    ("refusals", refusals),
    ("counters", counters),
    ("threads", threads),
    ("sync", sync),
    ("walks", crate::walks::walks),
    ("clears", crate::walks::clears),
    ("large clears", crate::walks::large_clears),
    ("transaction ranges", crate::walks::transaction_ranges),
];

pub fn collect(range: level_party::Range) -> Vec<Entry> {
    range.collect::<Result<_, _>>().expect("a whole range")
}

/// Writes entries in as few batches as the database's limits allow.
pub fn fill(db: &Db, entries: impl IntoIterator<Item = Entry>) {
    let most = db.limits();
    let (mut batch, mut bytes, mut ops) = (WriteBatch::new(), 0, 0);
    for (key, value) in entries {
        let size = key.len() + value.len();
        if ops == most.batch_len || bytes + size > most.batch_bytes / 2 {
            db.write(&batch).unwrap();
            (batch, bytes, ops) = (WriteBatch::new(), 0, 0);
        }
        batch.put(key, value);
        bytes += size;
        ops += 1;
    }
    db.write(&batch).unwrap();
}

fn single_keys(db: &Db, name: &str) {
    for n in 0..200 {
        let key = format!("{name}/{}", n % 20);
        assert_eq!(db.get(&key).unwrap().is_some(), n >= 20);
        db.put(&key, n.to_string()).unwrap();
        assert_eq!(db.get(&key).unwrap(), Some(n.to_string().into_bytes()));
    }
    for n in 0..20 {
        let key = format!("{name}/{n}");
        db.delete(&key).unwrap();
        assert_eq!(db.get(&key).unwrap(), None);
        db.delete(&key).unwrap();
    }
    assert_eq!(db.range(Prefix(format!("{name}/"))).count(), 0);
}

fn any_bytes(db: &Db, name: &str) {
    let with = |end: &[u8]| [name.as_bytes(), b"/", end].concat();
    let mut expected: Vec<Entry> = [
        &b""[..],
        b"\0",
        b"\0\0",
        b"a",
        b"a\0",
        b"\xff",
        b"\xff\xff",
        b"\xff\xff\xff",
    ]
    .into_iter()
    .map(|end| (with(end), end.repeat(3)))
    .collect();
    for (key, value) in &expected {
        db.put(key, value).unwrap();
    }
    expected.sort();
    assert_eq!(collect(db.range(Prefix(format!("{name}/")))), expected);
    expected.reverse();
    assert_eq!(
        db.range(Prefix(format!("{name}/")))
            .rev()
            .collect::<Result<Vec<_>, _>>()
            .unwrap(),
        expected
    );
}

fn batches(db: &Db, name: &str) {
    let key = |end: &str| format!("{name}/{end}");
    db.write(
        WriteBatch::new()
            .put(key("a"), "1")
            .put(key("b"), "2")
            .delete(key("a"))
            .put(key("b"), "3"),
    )
    .unwrap();
    assert_eq!(
        collect(db.range(Prefix(key("")))),
        [(key("b").into_bytes(), b"3".to_vec())]
    );
    db.write(&WriteBatch::new()).unwrap();
    let mut large = WriteBatch::new();
    let count = db.limits().batch_len.min(5000);
    for n in 0..count {
        large.put(key(&format!("many/{n:05}")), "x");
    }
    db.write(&large).unwrap();
    assert_eq!(db.range(Prefix(key("many/"))).count(), count);
}

fn ranges(db: &Db, name: &str) {
    let key = |n: u32| format!("{name}/{n:03}");
    let mut model = BTreeMap::new();
    for n in (0..300).step_by(3) {
        db.put(key(n), n.to_string()).unwrap();
        model.insert(key(n).into_bytes(), n.to_string().into_bytes());
    }
    let owned = |range: std::collections::btree_map::Range<'_, Vec<u8>, Vec<u8>>| -> Vec<Entry> {
        range.map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    for (low, high) in [(0, 300), (3, 9), (4, 8), (100, 200), (299, 300)] {
        let (low, high) = (key(low), key(high));
        let (l, h) = (low.clone().into_bytes(), high.clone().into_bytes());
        assert_eq!(
            collect(db.range(&low..&high)),
            owned(model.range(l.clone()..h.clone()))
        );
        assert_eq!(
            collect(db.range(&low..=&high)),
            owned(model.range(l.clone()..=h.clone()))
        );
        use std::ops::Bound::{Excluded, Included};
        let bounds = (Excluded(low.as_bytes()), Included(high.as_bytes()));
        assert_eq!(
            collect(db.range(bounds)),
            owned(model.range((Excluded(l), Included(h))))
        );
    }
    assert_eq!(collect(db.range(key(200)..key(100))), []);
}

fn both_ends(db: &Db, name: &str) {
    let entry = |n: u32| (format!("{name}/{n:05}").into_bytes(), vec![b'v'; 30]);
    fill(db, (0..4000).map(entry));
    let mut range = db.range(Prefix(format!("{name}/")));
    let (mut low, mut high) = (0, 4000);
    while low < high {
        // An uneven step, so that the ends meet inside a chunk.
        for _ in 0..7 {
            if low < high {
                let (key, _) = range.next().unwrap().unwrap();
                assert_eq!(key, format!("{name}/{low:05}").into_bytes());
                low += 1;
            }
        }
        if low < high {
            high -= 1;
            let (key, _) = range.next_back().unwrap().unwrap();
            assert_eq!(key, format!("{name}/{high:05}").into_bytes());
        }
    }
    assert!(range.next().is_none() && range.next_back().is_none());
}

fn moments(db: &Db, name: &str) {
    let key = |n: u32| format!("{name}/{n:04}");
    let prefix = format!("{name}/");
    fill(
        db,
        (0..1000).map(|n| (key(n).into_bytes(), b"before".to_vec())),
    );
    let snapshot = db.snapshot().unwrap();
    let mut stream = db.range(Prefix(&prefix));
    let first = stream.next().unwrap().unwrap();
    assert_eq!(first, (key(0).into_bytes(), b"before".to_vec()));
    for n in (0..1000).step_by(50) {
        db.put(key(n), "after").unwrap();
        db.delete(key(n + 1)).unwrap();
        db.put(format!("{}+", key(n)), "new").unwrap();
    }
    for (_, value) in collect(stream) {
        assert_eq!(value, b"before");
    }
    let then = collect(snapshot.range(Prefix(&prefix)));
    assert_eq!(then.len(), 1000);
    assert!(then.iter().all(|(_, value)| value == b"before"));
    assert_eq!(snapshot.get(key(1)).unwrap(), Some(b"before".to_vec()));
    assert_eq!(db.get(key(1)).unwrap(), None);
    assert_eq!(db.range(Prefix(&prefix)).count(), 1000);
}

fn long_streams(db: &Db, name: &str) {
    let entry = |n: u32| (format!("{name}/{n:05}").into_bytes(), vec![b'v'; 500]);
    fill(db, (0..10_000).map(entry));
    let keys: Vec<_> = (0..10_000)
        .map(|n| format!("{name}/{n:05}").into_bytes())
        .collect();
    let seen: Vec<_> = collect(db.range(Prefix(format!("{name}/"))))
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert!(seen == keys, "{} keys forward", seen.len());
    let back: Vec<_> = db
        .range(Prefix(format!("{name}/")))
        .rev()
        .map(|entry| entry.unwrap().0)
        .collect();
    assert!(
        back.iter().eq(keys.iter().rev()),
        "{} keys back",
        back.len()
    );
}

fn large_values(db: &Db, name: &str) {
    let most = db.limits().batch_bytes - 100;
    for size in [1 << 16, 1 << 20, 1 << 23] {
        let size = most.min(size) as u32;
        let key = format!("{name}/{size}");
        let value: Vec<u8> = (0..size).map(|n| (n ^ (n >> 7)) as u8).collect();
        db.put(&key, &value).unwrap();
        assert!(db.get(&key).unwrap() == Some(value), "{key}");
    }
    assert!(db.range(Prefix(format!("{name}/"))).count() >= 2);
}

fn refusals(db: &Db, name: &str) {
    let key = vec![b'k'; WriteBatch::MAX_KEY_BYTES + 1];
    let kind = |result: level_party::Result<()>| result.unwrap_err().kind();
    assert_eq!(kind(db.put(&key, name)), ErrorKind::InvalidArgument);
    assert_eq!(kind(db.get(&key).map(drop)), ErrorKind::InvalidArgument);
    // A bound may be any key: another program may have written one that is longer.
    assert_eq!(db.range(key.clone()..key).next().transpose().unwrap(), None);
}

/// Each write is applied once and in order: a read after a write sees that write, so a doubled or late one shows.
fn counters(db: &Db, name: &str) {
    let key = format!("{name}/n");
    for n in 0..1000u32 {
        let seen = db
            .get(&key)
            .unwrap()
            .map_or(0, |v| String::from_utf8(v).unwrap().parse().unwrap());
        assert_eq!(n, seen);
        db.put(&key, (n + 1).to_string()).unwrap();
    }
}

fn threads(db: &Db, name: &str) {
    std::thread::scope(|threads| {
        for thread in 0..8 {
            threads.spawn(move || {
                for n in 0..200 {
                    let key = format!("{name}/{thread}/{n:03}");
                    db.put(&key, n.to_string()).unwrap();
                    assert_eq!(db.get(&key).unwrap(), Some(n.to_string().into_bytes()));
                    if n % 50 == 49 {
                        assert_eq!(db.range(Prefix(format!("{name}/{thread}/"))).count(), n + 1);
                    }
                }
            });
        }
    });
    assert_eq!(db.range(Prefix(format!("{name}/"))).count(), 1600);
}

fn sync(db: &Db, name: &str) {
    for n in 0..20 {
        db.write(
            WriteBatch::new()
                .put(format!("{name}/{n:02}"), "x")
                .sync(true),
        )
        .unwrap();
    }
    db.write(WriteBatch::new().sync(true)).unwrap();
    assert_eq!(db.range(Prefix(format!("{name}/"))).count(), 20);
}
