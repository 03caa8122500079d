//! What is measured: each kind of call, made by one thread that waits for each answer.

use std::time::{Duration, Instant};

use level_party::{Db, Readable, Sublevel, WriteBatch};
use serde::{Deserialize, Serialize};

use super::histogram::Histogram;
use crate::failure::{Failure, Result};

/// Entries of one short scan.
const SCAN: u64 = 100;
/// Bytes of one batch of the filling.
const FILL_BYTES: usize = 1 << 20;

/// The kinds of call, in the order in which they are measured; the first one fills in the keys that the others use.
pub const CALLS: [&str; 6] = ["fill", "put", "put synced", "get", "scan 100", "scan all"];

/// What one process made of one kind of call.
#[derive(Serialize, Deserialize)]
pub struct Figure {
    pub call: String,
    /// What the process was meanwhile.
    pub role: String,
    /// Entries written or read.
    pub entries: u64,
    pub seconds: f64,
    pub spans: Histogram,
}

/// What the calls are made with.
pub struct Caller {
    pub db: Db,
    pub level: Sublevel,
    /// How many keys there are.
    pub keys: u64,
    pub value: Vec<u8>,
    /// How long each kind but the filling is measured.
    pub span: Duration,
}

impl Caller {
    /// Makes one kind of call over and over.
    pub fn measure(&self, call: &str) -> Result<Figure> {
        let before = self.db.role();
        let mut figure = self.figure(call)?;
        figure.role = match self.db.role() {
            role if role == before => role.as_str().into(),
            _ => "changed meanwhile".into(),
        };
        Ok(figure)
    }

    fn figure(&self, call: &str) -> Result<Figure> {
        let level = &self.level;
        let value = &self.value[..];
        let key = || name(fastrand::u64(..self.keys));
        let scan = |from: String, limit: u64| {
            let mut entries = 0;
            for entry in level.range(from..).limit(limit) {
                entry?;
                entries += 1;
            }
            Ok(entries)
        };
        let span = self.span;
        match call {
            "fill" => self.fill(),
            "put" => again(call, span, || level.put(key(), value).map(|()| 1)),
            "put synced" => again(call, span, || level.put_sync(key(), value).map(|()| 1)),
            "get" => again(call, span, || level.get(key()).map(|_| 1)),
            "scan 100" => again(call, span, || scan(key(), SCAN)),
            "scan all" => again(call, span, || scan(String::new(), u64::MAX)),
            other => Err(Failure::Usage(format!("{other:?} is no call to measure"))),
        }
    }

    /// Writes every key once, in order, in large batches.
    fn fill(&self) -> Result<Figure> {
        let mut batch = WriteBatch::new();
        let mut next = 0;
        again("fill", Duration::MAX, || {
            batch.clear();
            while next < self.keys && batch.byte_size() < FILL_BYTES {
                batch.put(name(next).as_bytes(), &self.value);
                next += 1;
            }
            if !batch.is_empty() {
                self.level.write(&batch)?;
            }
            Ok(batch.len() as u64)
        })
    }
}

fn name(number: u64) -> String {
    format!("{number:012}")
}

/// Makes calls for so long, or until one has nothing to do; each says how many entries it was about.
fn again(
    call: &str,
    span: Duration,
    mut once: impl FnMut() -> level_party::Result<u64>,
) -> Result<Figure> {
    let mut spans = Histogram::default();
    let mut entries = 0;
    let start = Instant::now();
    let mut last = start;
    while last - start < span {
        let done = once()?;
        if done == 0 && span == Duration::MAX {
            break;
        }
        entries += done;
        let now = Instant::now();
        spans.add(u64::try_from((now - last).as_nanos()).unwrap_or(u64::MAX));
        last = now;
    }
    Ok(Figure {
        call: call.into(),
        role: String::new(),
        entries,
        seconds: (last - start).as_secs_f64(),
        spans,
    })
}
