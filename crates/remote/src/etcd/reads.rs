//! Reads: each is one transaction of ranges at one revision, which compares the history that it means.
//!
//! It is linearizable: etcd answers a transaction of reads when its leader has confirmed that it leads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::{ATTEMPT, Attempts};
use super::history::{Cluster, Known, headed};
use super::layout::everything;
use super::rpc::{
    self, KeyValue, RangeRequest, RangeResponse, Request, RequestOp, TxnRequest, TxnResponse,
};
use crate::answer::{Entry, Moment};
use crate::call::Call;
use crate::error::{Error, ErrorKind, Result};
use crate::request::KeyRange;

/// Ranges of one transaction: etcd takes 128 operations.
const RANGES: usize = 128;
/// How long a node may take for a range.
pub const RANGE_ATTEMPT: Duration = Duration::from_secs(3);
/// Entries that are looked at to tell how large a range is.
const SAMPLE: i64 = 100;

/// How a read is made.
#[derive(Clone, Copy)]
pub struct How {
    pub deadline: Instant,
    pub retry: bool,
}

impl How {
    pub fn of(call: Call) -> Self {
        How {
            deadline: call.deadline,
            retry: call.retry,
        }
    }
}

/// What ranges held at one revision.
pub struct Read {
    pub known: Arc<Known>,
    pub revision: i64,
    pub answers: Vec<RangeResponse>,
}

/// Reads ranges at one revision; `None`: the answer would be too large.
pub async fn read(
    cluster: &Cluster,
    how: How,
    attempts: &mut Attempts,
    ranges: &[RangeRequest],
    at: Option<Moment>,
) -> Result<Option<Read>> {
    loop {
        let known = cluster.known();
        if at.is_some_and(|at| at.history != known.history()) {
            return Err(other_history());
        }
        let revision = match at {
            None => 0, // the newest
            Some(at) => known
                .sequences()
                .revision(at.sequence)
                .ok_or_else(other_history)?,
        };
        let at_revision = |range: &RangeRequest| RangeRequest {
            revision,
            ..range.clone()
        };
        let question = TxnRequest {
            compare: vec![cluster.is_current(&known)],
            success: ranges
                .iter()
                .map(|range| RequestOp::from(Request::Range(at_revision(range))))
                .collect(),
            failure: Vec::new(),
        };
        let seen = cluster.client.seen();
        let answer: Option<TxnResponse> = cluster
            .client
            .ask_sized(rpc::TXN, &question, attempts, how.retry)
            .await?;
        let Some(answer) = answer else {
            return Ok(None);
        };
        let header = headed(answer.header)?;
        if answer.succeeded && cluster.is_of(&known, &header, seen) {
            let answers: Vec<_> = answer
                .responses
                .into_iter()
                .map(|op| op.range.unwrap_or_default())
                .collect();
            if answers.len() != ranges.len() {
                return Err(Error::new(
                    ErrorKind::Protocol,
                    "etcd answered another number of ranges",
                ));
            }
            let revision = header.revision;
            return Ok(Some(Read {
                known,
                revision,
                answers,
            }));
        }
        cluster.look_again(how.deadline).await?;
    }
}

fn other_history() -> Error {
    Error::new(
        ErrorKind::SnapshotLost,
        "etcd was restored from a backup, or the database was made anew, since this moment; take another one",
    )
}

/// The newest moment.
pub async fn newest(cluster: &Cluster, how: How) -> Result<Moment> {
    let meta = RangeRequest {
        key: cluster.layout.meta(),
        keys_only: true,
        ..RangeRequest::default()
    };
    let mut attempts = Attempts::new(how.deadline, ATTEMPT);
    let read = read(cluster, how, &mut attempts, &[meta], None)
        .await?
        .ok_or_else(too_large)?;
    Ok(read.known.moment(read.revision))
}

/// What keys held, all at one moment; without `values` every value is empty.
pub async fn get_many(
    cluster: &Cluster,
    how: How,
    keys: &[Vec<u8>],
    at: Option<Moment>,
    values: bool,
) -> Result<Vec<Option<Entry>>> {
    'anew: loop {
        let (mut at_moment, mut found) = (at, Vec::with_capacity(keys.len()));
        let mut most = RANGES;
        while found.len() < keys.len() {
            let next = &keys[found.len()..keys.len().min(found.len() + most)];
            let ranges: Vec<RangeRequest> = next
                .iter()
                .map(|key| RangeRequest {
                    key: cluster.layout.entry(key),
                    keys_only: !values,
                    ..RangeRequest::default()
                })
                .collect();
            let mut attempts = Attempts::new(how.deadline, ATTEMPT);
            let read = match read(cluster, how, &mut attempts, &ranges, at_moment).await {
                // The revision of the first part was forgotten meanwhile, and the caller named none.
                Err(error) if at.is_none() && error.kind() == ErrorKind::SnapshotLost => {
                    continue 'anew;
                }
                read => read?,
            };
            let Some(read) = read else {
                if most == 1 {
                    return Err(too_large());
                }
                most /= 2;
                continue;
            };
            at_moment = at_moment.or(Some(read.known.moment(read.revision)));
            let entry = |kv: KeyValue| Entry {
                sequence: read.known.sequences().of(kv.mod_revision, 1),
                value: kv.value,
            };
            found.extend(
                read.answers
                    .into_iter()
                    .map(|answer| answer.kvs.into_iter().next().map(entry)),
            );
        }
        return Ok(found);
    }
}

/// About how many bytes the entries of a range have: their number, times the mean of the first ones.
pub async fn approximate_size(cluster: &Cluster, how: How, range: &KeyRange) -> Result<u64> {
    let Some((key, range_end)) = cluster.layout.range(range) else {
        return Ok(0);
    };
    let mut attempts = Attempts::new(how.deadline, RANGE_ATTEMPT);
    let mut limit = SAMPLE;
    let found = loop {
        let sample = RangeRequest {
            key: key.clone(),
            range_end: range_end.clone(),
            limit,
            ..RangeRequest::default()
        };
        match read(cluster, how, &mut attempts, &[sample], None).await? {
            Some(found) => break found,
            None if limit == 1 => return Err(too_large()),
            None => limit = limit / 8 + 1,
        }
    };
    let answer = found.answers.into_iter().next().unwrap_or_default();
    let prefix = cluster
        .layout
        .range(&everything())
        .map_or(0, |(from, _)| from.len());
    let bytes: usize = answer
        .kvs
        .iter()
        .map(|kv| kv.key.len() - prefix.min(kv.key.len()) + kv.value.len())
        .sum();
    let looked_at = answer.kvs.len().max(1) as u64;
    Ok(bytes as u64 * answer.count.max(0) as u64 / looked_at)
}

pub fn too_large() -> Error {
    Error::new(
        ErrorKind::Protocol,
        "etcd gave an entry that is larger than it can store",
    )
}
