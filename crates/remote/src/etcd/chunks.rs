//! Chunks of scans: how many entries are asked for, and in how much of the range.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::client::Attempts;
use super::history::Cluster;
use super::layout::{Layout, Sequences};
use super::reads::{How, RANGE_ATTEMPT, read, too_large};
use super::rpc::{RangeRequest, RangeResponse, SortOrder};
use super::steps::Steps;
use crate::answer::{Chunk, Item, Moment};
use crate::error::Result;
use crate::request::Scan;

/// Entries that are asked for at once, at least and at most.
const FEWEST: usize = 16;
const MOST: usize = 4096;

/// What earlier chunks tell of the next ones.
#[derive(Default)]
pub struct Pace {
    size: EntrySize,
    steps: Steps,
}

/// How large entries were lately: how many are asked for at once.
struct EntrySize(AtomicUsize);

impl Default for EntrySize {
    fn default() -> Self {
        EntrySize(AtomicUsize::new(256))
    }
}

impl EntrySize {
    fn entries(&self, bytes: usize) -> usize {
        let size = self.0.load(Ordering::Relaxed).max(1);
        (bytes / size + 1).clamp(FEWEST, MOST)
    }

    fn saw(&self, bytes: usize, entries: usize) {
        if let Some(size) = bytes.checked_div(entries) {
            self.0.store(size.max(1), Ordering::Relaxed);
        }
    }
}

/// One chunk of a range, and the moment that it shows.
pub async fn scan(
    cluster: &Cluster,
    pace: &Pace,
    how: How,
    scan: &Scan,
    at: Option<Moment>,
) -> Result<(Chunk, Moment)> {
    let mut entries = pace
        .size
        .entries(scan.limit_bytes)
        .min(scan.limit_entries.max(1));
    let part = pace.steps.part(scan, entries);
    // Where no key lies in the range, the moment is asked for all the same.
    let range = cluster
        .layout
        .range(part.as_ref().map_or(&scan.range, |part| &part.range));
    let (key, range_end) = range
        .clone()
        .unwrap_or_else(|| (cluster.layout.meta(), Vec::new()));
    let mut attempts = Attempts::new(how.deadline, RANGE_ATTEMPT);
    let read = loop {
        let order = if scan.reverse {
            SortOrder::Descend
        } else {
            SortOrder::None
        };
        let question = RangeRequest {
            key: key.clone(),
            range_end: range_end.clone(),
            limit: entries as i64,
            sort_order: order.into(),
            keys_only: scan.keys_only || range.is_none(),
            ..RangeRequest::default()
        };
        match read(cluster, how, &mut attempts, &[question], at).await? {
            Some(read) => break read,
            None if entries == 1 => return Err(too_large()),
            None => entries = entries.div_ceil(8),
        }
    };
    let moment = at.unwrap_or(read.known.moment(read.revision));
    let answer = read.answers.into_iter().next().unwrap_or_default();
    let count = answer.count;
    let mut chunk = match range {
        Some(_) => chunk(
            &cluster.layout,
            read.known.sequences(),
            &pace.size,
            scan,
            answer,
        )?,
        None => Chunk {
            items: Vec::new(),
            more: false,
            reached: None,
            pinned: None,
        },
    };
    match (part, chunk.items.as_slice()) {
        (part, [first, .., last]) if chunk.more => {
            let keys = (first.key.as_slice(), last.key.as_slice());
            pace.steps
                .goes_on(scan, part.as_ref(), keys, chunk.items.len(), count);
        }
        (Some(part), items) if !chunk.more => {
            pace.steps.left(&part, items.len(), entries);
            (chunk.more, chunk.reached) = (true, Some(part.reached));
        }
        _ => {}
    }
    Ok((chunk, moment))
}

/// The part of an answer that is within the chunk's bytes.
fn chunk(
    layout: &Layout,
    sequences: Sequences,
    size: &EntrySize,
    scan: &Scan,
    answer: RangeResponse,
) -> Result<Chunk> {
    let (total, mut bytes, mut items) = (answer.kvs.len(), 0, Vec::new());
    for kv in answer.kvs {
        let key = layout.key(&kv.key)?;
        bytes += key.len() + kv.value.len();
        items.push(Item {
            key,
            sequence: sequences.of(kv.mod_revision, 1),
            value: kv.value,
        });
        if bytes >= scan.limit_bytes {
            break;
        }
    }
    size.saw(bytes, items.len());
    Ok(Chunk {
        more: answer.more || items.len() < total,
        items,
        reached: None,
        pinned: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::layout::everything;
    use crate::etcd::rpc::KeyValue;

    #[test]
    fn chunk_ends_with_the_entry_that_reaches_its_bytes() {
        let (layout, sequences) = (Layout::new("p").unwrap(), Sequences::default());
        let answer = |sizes: &[usize]| RangeResponse {
            kvs: sizes
                .iter()
                .enumerate()
                .map(|(n, size)| KeyValue {
                    key: layout.entry(&[n as u8]),
                    mod_revision: 9,
                    value: vec![0; *size],
                    ..KeyValue::default()
                })
                .collect(),
            ..RangeResponse::default()
        };
        let scan = Scan {
            range: everything(),
            reverse: false,
            keys_only: false,
            limit_bytes: 100,
            limit_entries: 10,
            hold: false,
        };
        let size = EntrySize::default();
        let part = chunk(&layout, sequences, &size, &scan, answer(&[49, 49, 1])).unwrap();
        assert_eq!((part.items.len(), part.more), (2, true));
        assert_eq!(part.items[1].sequence, sequences.of(9, 1));
        assert_eq!(size.entries(1000), 21);
        let whole = chunk(&layout, sequences, &size, &scan, answer(&[1, 1])).unwrap();
        assert_eq!((whole.items.len(), whole.more), (2, false));
        assert!(
            chunk(&layout, sequences, &size, &scan, RangeResponse::default())
                .unwrap()
                .items
                .is_empty()
        );
        size.saw(1 << 40, 1);
        assert_eq!(size.entries(1000), FEWEST);
    }
}
