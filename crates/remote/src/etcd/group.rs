//! One write, who waits for it, and which writes go into one transaction: a *group*.
//!
//! Invariant: a write is answered once. Until it is in a group its caller may take it back, and it then has no effect.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use tokio::sync::oneshot;

use super::layout::{Layout, PREFIX_BYTES, Sequences};
use super::rpc::{DeleteRequest, PutRequest, Request, RequestOp};
use super::runtime::late;
use crate::answer::{History, Limits};
use crate::error::{Error, ErrorKind, Result};
use crate::request::{Conditions, Write};

/// etcd's `--max-txn-ops` is 128, and the session's key is one.
const OPS: usize = 127;
/// etcd's `--max-txn-ops` again: comparisons, of which three are the session's, the service state's and the history's.
const CONDITIONS: usize = 125;
/// etcd's `--max-request-bytes`, less what etcd itself adds.
pub const REQUEST_BYTES: usize = (3 << 19) - 1024;
/// What an operation takes beside key and value: the prefix, and heads of messages.
const OP_BYTES: usize = PREFIX_BYTES + 32;
/// A group takes no more bytes than this, so that one write is never late for many small ones.
const GROUP_BYTES: usize = 256 << 10;
/// The longest key: etcd keeps all keys in memory, and a comparison sends its key too.
const KEY_BYTES: usize = 64 << 10;

pub const LIMITS: Limits = Limits {
    key_bytes: KEY_BYTES,
    batch_bytes: REQUEST_BYTES - (OPS + 1) * OP_BYTES,
    batch_ops: OPS,
};

/// The revision at which a group was made, and which sequences there are in its history.
pub type Made = (Sequences, i64);

/// A write that waits for its turn, or for its answer.
pub struct Pending {
    pub ops: Vec<RequestOp>,
    keys: Vec<Vec<u8>>,
    bytes: usize,
    pub conditions: Conditions,
    pub deadline: Instant,
    progress: Arc<AtomicU8>,
    tell: oneshot::Sender<Result<Option<u64>>>,
}

/// How far a write is.
const WAITS: u8 = 0;
const SENT: u8 = 1;
const TAKEN_BACK: u8 = 2;

/// The caller's end of a write; dropped, a write that was not sent is taken back.
pub struct Ticket(Arc<AtomicU8>);

impl Ticket {
    /// Whether the write could be taken back, or had been.
    pub fn take_back(&self) -> bool {
        let taken = self
            .0
            .compare_exchange(WAITS, TAKEN_BACK, Ordering::AcqRel, Ordering::Acquire);
        matches!(taken, Ok(_) | Err(TAKEN_BACK))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.take_back();
    }
}

impl Pending {
    /// # Errors
    /// `InvalidArgument`: it is over a limit.
    pub fn new(
        layout: &Layout,
        write: Write,
        deadline: Instant,
        tell: oneshot::Sender<Result<Option<u64>>>,
    ) -> Result<Self> {
        let Write {
            ops, conditions, ..
        } = write;
        let last_of_key = last_of_each_key(ops);
        if last_of_key.len() > OPS {
            return Err(over(format!(
                "a batch has {} operations on different keys, and etcd takes {OPS}",
                last_of_key.len()
            )));
        }
        let count = conditions.keys.len() + conditions.ranges.len();
        if count > CONDITIONS {
            return Err(over(format!(
                "a transaction rests on {count} keys and ranges that it read, and etcd compares {CONDITIONS}"
            )));
        }
        let keys: Vec<Vec<u8>> = last_of_key
            .iter()
            .map(|(key, _)| layout.entry(key))
            .collect();
        let bytes = last_of_key
            .iter()
            .map(|(key, value)| OP_BYTES + key.len() + value.as_ref().map_or(0, Vec::len))
            .sum();
        let op = |(key, value): (Vec<u8>, Option<Vec<u8>>)| -> RequestOp {
            let key = layout.entry(&key);
            match value {
                Some(value) => Request::Put(PutRequest {
                    key,
                    value,
                    lease: 0,
                })
                .into(),
                None => Request::Delete(DeleteRequest { key }).into(),
            }
        };
        Ok(Pending {
            ops: last_of_key.into_iter().map(op).collect(),
            keys,
            bytes,
            conditions,
            deadline,
            progress: Arc::new(AtomicU8::new(WAITS)),
            tell,
        })
    }

    /// It is sent from now on, and no more taken back; false: it was taken back before.
    pub fn begin(&self) -> bool {
        self.progress
            .compare_exchange(WAITS, SENT, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// The caller's end of it.
    pub fn ticket(&self) -> Ticket {
        Ticket(Arc::clone(&self.progress))
    }

    /// The sequence of its last operation, behind so many of its group.
    pub fn last(&self, (sequences, revision): Made, before: usize) -> u64 {
        match self.ops.len() {
            0 => sequences.end_of(revision),
            own => sequences.of(revision, before + own),
        }
    }

    pub fn answer(self, answer: Result<Option<u64>>) {
        // Nobody hears it where the caller has gone, or was told at its deadline.
        let _ = self.tell.send(answer);
    }
}

/// Whether the conditions of a group are of another history than this one.
pub fn other_history(group: &[Pending], current: History) -> bool {
    group.iter().any(|pending| {
        let conditions = &pending.conditions;
        !conditions.is_empty() && conditions.history.is_some_and(|history| history != current)
    })
}

/// The last operation on each key, in the order of those: a transaction of etcd takes a key once, and what was before the last
/// could not be seen.
fn last_of_each_key(ops: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let mut seen = HashSet::new();
    let is_last: Vec<bool> = ops
        .iter()
        .rev()
        .map(|(key, _)| seen.insert(key.as_slice()))
        .collect();
    let is_last: Vec<bool> = is_last.into_iter().rev().collect();
    let kept = ops.into_iter().zip(is_last);
    kept.filter_map(|(op, last)| last.then_some(op)).collect()
}

/// Takes the writes that are made together next. Those that were taken back are passed over; those whose deadline has come are
/// told so.
pub fn next_group(waiting: &mut VecDeque<Pending>) -> Vec<Pending> {
    let mut group: Vec<Pending> = Vec::new();
    let (mut ops, mut bytes, mut keys) = (0, 0, HashSet::new());
    let now = Instant::now();
    while let Some(next) = waiting.front() {
        if next.deadline <= now {
            if let Some(pending) = waiting.pop_front() {
                pending.answer(Err(late("the writes before it took until then")));
            }
            continue;
        }
        let fits = ops + next.ops.len() <= OPS
            && bytes + next.bytes <= GROUP_BYTES
            && next.conditions.is_empty()
            && next.keys.iter().all(|key| !keys.contains(key));
        if !group.is_empty() && !fits {
            break;
        }
        let Some(pending) = waiting.pop_front() else {
            break;
        };
        if !pending.begin() {
            continue;
        }
        ops += pending.ops.len();
        bytes += pending.bytes;
        keys.extend(pending.keys.iter().cloned());
        let alone = !pending.conditions.is_empty();
        group.push(pending);
        if alone {
            break;
        }
    }
    group
}

pub fn over(what: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, what)
}

#[cfg(test)]
mod tests;
