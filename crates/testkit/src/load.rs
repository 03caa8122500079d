//! Writers and readers, each a thread that drives a process of its own, and what they know afterwards.
//!
//! Writer `w` puts, for n = 1, 2, 3, ..., the key `w/n` with a value never used before, and `w/last` = n in the same
//! batch. A reader takes one moment of a writer's keys and checks that `last` and the keys agree, and that `last`
//! never goes back. Whoever finds his process killed starts another.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};

use serde_json::{Value, json};

use crate::{ExecChild, PATIENCE};

/// What the threads of one load share.
#[derive(Debug)]
pub struct Load<'a> {
    program: &'a Path,
    dir: &'a Path,
    stop: AtomicBool,
    acknowledged: Mutex<u64>,
    progress: Condvar,
}

/// What one writer knows of its writes: n -> value.
#[derive(Debug, Default)]
pub struct Written {
    /// Answered with `ok`.
    pub acknowledged: BTreeMap<u64, String>,
    /// In flight when the writer's own process was killed.
    pub open: BTreeMap<u64, String>,
}

impl<'a> Load<'a> {
    /// A load by `program` on `dir`.
    pub fn new(program: &'a Path, dir: &'a Path) -> Self {
        Load {
            program,
            dir,
            stop: AtomicBool::new(false),
            acknowledged: Mutex::new(0),
            progress: Condvar::new(),
        }
    }

    /// One more process on the directory.
    pub fn spawn(&self) -> ExecChild {
        ExecChild::spawn(self.program, self.dir)
    }

    /// Ends what all threads do.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits until `more` writes were acknowledged from now on.
    ///
    /// # Panics
    /// If they are not within [`PATIENCE`].
    pub fn wait_for_progress(&self, more: u64) {
        let acknowledged = self.acknowledged.lock().unwrap();
        let goal = *acknowledged + more;
        let (_now, late) = self
            .progress
            .wait_timeout_while(acknowledged, PATIENCE, |now| *now < goal)
            .unwrap();
        assert!(
            !late.timed_out(),
            "no {more} writes were acknowledged within {PATIENCE:?}"
        );
    }

    /// Writes until the load stops.
    ///
    /// # Panics
    /// On any answer but `ok`: who survives notices nothing.
    pub fn write(&self, writer: usize) -> Written {
        let mut child = self.spawn();
        let mut written = Written::default();
        let mut n = 0;
        while !self.stopped() {
            n += 1;
            let value = format!("{writer}.{n}.{}", child.pid());
            let batch = json!({"op": "batch", "ops": [
                {"type": "put", "key": key(writer, n), "value": value},
                {"type": "put", "key": format!("{writer}/last"), "value": n.to_string()},
            ]});
            match child.try_ask(&batch) {
                Some(answer) => {
                    assert_eq!(answer, json!({"ok": true}), "writer {writer}, write {n}");
                    written.acknowledged.insert(n, value);
                    *self.acknowledged.lock().unwrap() += 1;
                    self.progress.notify_all();
                }
                None => {
                    written.open.insert(n, value);
                    child = self.spawn();
                }
            }
        }
        written
    }

    /// Reads until the load stops; returns how many moments were checked.
    ///
    /// # Panics
    /// When a moment shows half a batch, or an older one than was read before.
    pub fn read(&self, writers: usize) -> u64 {
        let mut child = self.spawn();
        let mut last_seen = vec![0; writers];
        let mut moments = 0;
        while !self.stopped() {
            for (writer, seen) in last_seen.iter_mut().enumerate() {
                let newest = json!({"op": "scan", "prefix": format!("{writer}/"), "reverse": true, "limit": 2});
                let Some(answer) = child.try_ask(&newest) else {
                    child = self.spawn();
                    continue;
                };
                let last = check_moment(writer, &answer);
                assert!(
                    last >= *seen,
                    "writer {writer}: {last} was read after {seen}"
                );
                *seen = last;
                moments += 1;
            }
        }
        moments
    }
}

fn key(writer: usize, n: u64) -> String {
    format!("{writer}/{n:08}")
}

/// The last two entries of a writer's keys at one moment: `last` names the newest key.
fn check_moment(writer: usize, answer: &Value) -> u64 {
    let entries: Vec<(String, String)> = serde_json::from_value(answer["entries"].clone())
        .unwrap_or_else(|e| panic!("{answer}: {e}"));
    match entries.as_slice() {
        [] => 0,
        [(last, n), (newest, _)] => {
            let n: u64 = n.parse().unwrap();
            assert_eq!(
                (last.as_str(), newest.as_str()),
                (&*format!("{writer}/last"), &*key(writer, n))
            );
            n
        }
        other => panic!("half a batch is visible: {other:?}"),
    }
}

/// Checks what was found of a writer's keys, in any order: all that was acknowledged is there with its value, and nothing
/// that was never written.
///
/// # Panics
/// When it is not so.
pub fn check(writer: usize, written: &Written, found: &[(String, String)]) {
    let mut found: BTreeMap<&str, &str> = found
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    let last: u64 = found
        .remove(&*format!("{writer}/last"))
        .map_or(0, |n| n.parse().unwrap());
    for (n, value) in &written.acknowledged {
        let stored = found.remove(&*key(writer, *n));
        assert_eq!(
            stored,
            Some(value.as_str()),
            "writer {writer}: acknowledged write {n} is lost"
        );
    }
    for (n, value) in &written.open {
        if let Some(stored) = found.remove(&*key(writer, *n)) {
            assert_eq!(stored, value, "writer {writer}: write {n}");
        }
    }
    assert!(
        found.is_empty(),
        "writer {writer}: never written: {found:?}"
    );
    let newest = |writes: &BTreeMap<u64, String>| writes.keys().next_back().copied().unwrap_or(0);
    let (acknowledged, open) = (newest(&written.acknowledged), newest(&written.open));
    assert!(
        (acknowledged..=acknowledged.max(open)).contains(&last),
        "writer {writer}: last is {last}, but {acknowledged} was acknowledged and {open} begun"
    );
}
