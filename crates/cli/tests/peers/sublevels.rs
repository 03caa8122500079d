//! Sublevels beside npm's abstract-level 3: the same calls on both, then each reads what the other wrote.

use std::ops::Bound;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use level_party::{Db, Json, Range, Readable, Sublevel, Utf8, WriteBatch};
use level_party_testkit::{Line, Lines, PATIENCE, Peer};
use serde_json::{Value, json};

/// Node with a database open; it is closed when dropped.
struct Node {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines,
}

impl Node {
    fn open(dir: &Path) -> Self {
        let mut child = Command::new("node")
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../ci/peers/abstract_level_peer.js"
            ))
            .arg(dir)
            .env("NODE_PATH", Peer::node_modules())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node");
        let input = child.stdin.take();
        let output = Lines::of(child.stdout.take().expect("a pipe"));
        let mut node = Node {
            child,
            input,
            output,
        };
        assert_eq!(node.line(), "open");
        node
    }

    fn line(&mut self) -> String {
        match self.output.next_within(PATIENCE) {
            Line::Text(line) => line,
            other => panic!("node has ended or hangs: {other:?}"),
        }
    }

    fn call(&mut self, call: &Value) -> Value {
        use std::io::Write;
        let input = self.input.as_mut().expect("open");
        writeln!(input, "{call}").expect("node listens");
        serde_json::from_str(&self.line()).expect("JSON")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.input.take());
        let ended = self.child.wait().expect("node");
        assert!(std::thread::panicking() || ended.success(), "{ended}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const PATHS: &[&[&str]] = &[
    &[],
    &["a"],
    &["aa"],
    &["a#"],
    &["a", "b"],
    &["a", "b", "c"],
    &["b"],
    &[""],
    &["~"],
    &["A.b-c_1"],
    &["!a!", "~"],
];

/// Of keys without `"`: those of the root that equal a sublevel's end are nobody's here and its empty key there.
const KEYS: &[&[u8]] = &[
    b"",
    b"\0",
    b"!",
    b"!b!x",
    b"a",
    b"k",
    b"kk",
    b"z\xff",
    b"\xff",
    b"\xff\xff",
];

fn level(db: &Db, path: &[&str]) -> Option<Sublevel> {
    let (first, rest) = path.split_first()?;
    let first = db.sublevel(first).expect("a name");
    Some(
        rest.iter()
            .fold(first, |level, name| level.sublevel(name).expect("a name")),
    )
}

type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

fn range(db: &Db, path: &[&str], bounds: Bounds) -> Range {
    match level(db, path) {
        Some(level) => level.range(bounds),
        None => db.range(bounds),
    }
}

fn entries(range: impl Iterator<Item = level_party::Result<(Vec<u8>, Vec<u8>)>>) -> Value {
    let pair = |entry: level_party::Result<(Vec<u8>, Vec<u8>)>| {
        let (key, value) = entry.expect("an entry");
        json!([hex(&key), hex(&value)])
    };
    range.map(pair).collect()
}

fn all(db: &Db, path: &[&str]) -> Value {
    entries(range(db, path, (Bound::Unbounded, Bound::Unbounded)))
}

/// One call of each kind on both, with the same answer.
fn step(node: &mut Node, db: &Db, random: &mut fastrand::Rng) {
    let path = *random.choice(PATHS).expect("some");
    let mut key = || random.choice(KEYS).expect("some").to_vec();
    let (from, to, target) = (key(), key(), key());
    let mut call = json!({"path": path});
    let lower = match random.u8(0..3) {
        0 => Bound::Unbounded,
        1 => Bound::Included(from),
        _ => Bound::Excluded(from),
    };
    let upper = match random.u8(0..3) {
        0 => Bound::Unbounded,
        1 => Bound::Included(to),
        _ => Bound::Excluded(to),
    };
    for (bound, names) in [(&lower, ["gte", "gt"]), (&upper, ["lte", "lt"])] {
        match bound {
            Bound::Included(key) => call[names[0]] = hex(key).into(),
            Bound::Excluded(key) => call[names[1]] = hex(key).into(),
            Bound::Unbounded => {}
        }
    }
    match random.u8(0..10) {
        0 => {
            call["op"] = "clear".into();
            node.call(&call);
            let cleared = match level(db, path) {
                Some(level) => level.clear((lower, upper)),
                None => db.clear((lower, upper)),
            };
            cleared.expect("cleared");
        }
        1..=3 => {
            let (reverse, limit) = (random.bool(), random.u64(0..8));
            call["op"] = "all".into();
            call["reverse"] = reverse.into();
            call["limit"] = limit.into();
            let range = range(db, path, (lower, upper)).limit(limit);
            let ours = match reverse {
                true => entries(range.rev()),
                false => entries(range),
            };
            assert_eq!(ours, node.call(&call), "{call}");
        }
        4 => {
            // After a first step; in the direction of the walk.
            let reverse = random.bool();
            call["op"] = "seek".into();
            call["reverse"] = reverse.into();
            call["key"] = hex(&target).into();
            if (&lower, &upper) != (&Bound::Unbounded, &Bound::Unbounded) {
                return; // Beyond its range an iterator of abstract-level ends; ours goes to the nearest entry.
            }
            let mut range = range(db, path, (lower, upper));
            let found = if reverse {
                range.next_back();
                range.seek_back(&target);
                range.next_back()
            } else {
                range.next();
                range.seek(&target);
                range.next()
            };
            let found = found.map(|entry| hex(&entry.expect("an entry").0));
            assert_eq!(json!(found), node.call(&call), "{call}");
        }
        _ => {
            let mut batch = WriteBatch::new();
            let mut writes = Vec::new();
            for n in 0..random.usize(1..6) {
                let path = *random.choice(PATHS).expect("some");
                let key = *random.choice(KEYS).expect("some");
                let mut write = json!({"path": path, "key": hex(key)});
                let value = [n as u8, random.u8(..)];
                let put = random.u8(0..4) > 0;
                if put {
                    write["value"] = hex(&value).into();
                }
                match (level(db, path), put) {
                    (Some(level), true) => batch.put_in(&level, key, value),
                    (Some(level), false) => batch.delete_in(&level, key),
                    (None, true) => batch.put(key, value),
                    (None, false) => batch.delete(key),
                };
                writes.push(write);
            }
            node.call(&json!({"op": "batch", "writes": writes}));
            db.write(&batch).expect("written");
        }
    }
}

#[test]
fn sublevels_are_those_of_abstract_level() {
    let (theirs, ours) = (
        tempfile::tempdir().expect("a directory"),
        tempfile::tempdir().expect("a directory"),
    );
    {
        let mut node = Node::open(theirs.path());
        let db = Db::open(ours.path()).expect("opened");
        for path in PATHS {
            let prefix = node.call(&json!({"op": "prefix", "path": path}));
            let own = level(&db, path).map_or(Vec::new(), |l| l.prefix_bytes().to_vec());
            assert_eq!(prefix.as_str().expect("text").as_bytes(), own, "{path:?}");
        }
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..1500 {
            step(&mut node, &db, &mut random);
        }
        assert_ne!(all(&db, &[]), json!([]));
        assert_eq!(all(&db, &[]), node.call(&json!({"op": "all"})));
    }
    // Each opens what the other wrote.
    let db = Db::open(theirs.path()).expect("opened");
    let mut node = Node::open(ours.path());
    for path in PATHS {
        let call = json!({"op": "all", "path": path});
        assert_eq!(all(&db, path), node.call(&call), "{path:?}");
    }
}

#[test]
fn json_and_text_are_those_of_level() {
    let dir = tempfile::tempdir().expect("a directory");
    let values = [
        json!({"name": "Ada \u{2028} é \u{1F600}", "born": 1815, "list": [1, -2.5, null, true, "<>\"\\"]}),
        json!([]),
        json!(0),
        json!("text"),
        json!(false),
        json!(1e300),
    ];
    let path = json!(["users", "by-name"]);
    let mut node = Node::open(dir.path());
    for (n, value) in values.iter().enumerate() {
        node.call(&json!({"op": "put json", "path": path, "key": format!("é{n}"), "value": value}));
    }
    node.call(
        &json!({"op": "put json", "path": ["keys"], "keys": "json", "key": ["a", 1], "value": 1}),
    );
    drop(node);
    {
        let db = Db::open(dir.path()).expect("opened");
        let users = level(&db, &["users", "by-name"]).expect("a path");
        let users = users.typed::<Utf8, Json<Value>>();
        for (n, value) in values.iter().enumerate() {
            let key = format!("é{n}");
            assert_eq!(users.get(&key).expect("read").as_ref(), Some(value));
            users.put(&format!("ours {n}"), value).expect("written");
        }
        let keys = db.sublevel("keys").expect("a name");
        let keys = keys.typed::<Json<(String, u32)>, Json<u32>>();
        assert_eq!(keys.get(&("a".into(), 1)).expect("read"), Some(1));
    }
    let mut node = Node::open(dir.path());
    for (n, value) in values.iter().enumerate() {
        let call = json!({"op": "get json", "path": path, "key": format!("ours {n}")});
        assert_eq!(node.call(&call), *value);
    }
}
