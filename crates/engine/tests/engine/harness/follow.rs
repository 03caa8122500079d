//! Readers of the tail who outlive the engine: each operation once, in order, or an honest gap.

use std::sync::Arc;

use level_party_engine::{Engine, Fs, MemFs, Op, Options, TailItem, Write, WriteBatch};

use crate::support::{Rng, names, open, tiny};

/// What was written, by sequence; the first is number 1.
#[derive(Default)]
pub struct Written {
    ops: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Written {
    pub fn last(&self) -> u64 {
        self.ops.len() as u64
    }

    /// Commits some groups of some batches of some operations.
    pub fn more(&mut self, engine: &Engine, rng: &mut Rng, groups: u64) {
        for _ in 0..groups {
            let mut group = Vec::new();
            for _ in 0..=rng.below(3) {
                let mut batch = WriteBatch::new();
                for _ in 0..rng.below(4) {
                    let key = rng.below(1_000).to_be_bytes().to_vec();
                    if rng.one_in(4) {
                        batch.delete(&key);
                        self.ops.push((key, None));
                    } else {
                        let value = vec![rng.next() as u8; rng.below(60) as usize];
                        batch.put(&key, &value);
                        self.ops.push((key, Some(value)));
                    }
                }
                group.push(Write::new(batch));
            }
            for answer in engine.write_all(group) {
                answer.expect("a write");
            }
        }
        assert_eq!(engine.last_sequence(), self.last());
    }

    /// Reads from a sequence to the end, and gives how many operations were said to be missing.
    pub fn follow(&self, engine: &Engine, from: u64) -> u64 {
        let mut tail = engine.tail_from(from).expect("a tail");
        let mut next = from.max(1);
        let mut missing = 0;
        while let Some(item) = tail.try_next().unwrap() {
            match item {
                TailItem::Gap(gap) => {
                    assert!(gap.from == next && gap.resume > next, "{gap:?} at {next}");
                    assert!(gap.resume <= self.last() + 1, "{gap:?} is beyond the end");
                    missing += gap.resume - next;
                    next = gap.resume;
                }
                TailItem::Batch(committed) => {
                    for (sequence, op) in committed.ops() {
                        assert_eq!(sequence, next, "a reader from {from}");
                        let (key, value) = &self.ops[next as usize - 1];
                        let expected = match value {
                            Some(value) => Op::Put { key, value },
                            None => Op::Delete { key },
                        };
                        assert_eq!(op, expected, "operation {next}");
                        next += 1;
                    }
                }
            }
            assert_eq!(tail.position(), next);
        }
        assert_eq!(next, self.last() + 1, "a reader from {from} sees the end");
        missing
    }
}

/// Room for all that is written here.
const LARGE: usize = 1 << 20;

/// Engines follow each other on one directory; after each opening readers go on from every sequence. What the logs hold
/// that are kept is never missing, if the budget has room for it.
pub fn followers_miss_nothing(tail_bytes: usize, openings: u64) {
    for seed in 0..12 {
        let options = Options {
            tail_bytes,
            // There are no flushes but those below.
            write_buffer_size: LARGE,
            ..tiny()
        };
        let mut rng = Rng(seed);
        let fs = MemFs::new();
        let mut written = Written::default();
        let mut kept_from = 1;
        for _ in 0..openings {
            let engine = open(&fs, &options);
            for from in 0..=written.last() + 1 {
                let missing = written.follow(&engine, from);
                if from >= kept_from && tail_bytes == LARGE {
                    assert_eq!(missing, 0, "from {from}, kept from {kept_from}");
                }
            }
            for _ in 0..rng.below(3) {
                let groups = rng.below(20);
                written.more(&engine, &mut rng, groups);
                if rng.one_in(2) && groups > 0 {
                    let before = written.last();
                    engine.flush().expect("a flush");
                    // The log of this flush is kept; it began where the last one ended, or with the opening.
                    kept_from = kept_from.max(flushed_from(&engine, &fs, before));
                }
            }
            written.follow(&engine, kept_from);
            engine.close().expect("a close");
        }
    }
}

/// The first sequence of the logs that are there.
fn flushed_from(engine: &Engine, fs: &MemFs, last: u64) -> u64 {
    use level_party_format::batch::BatchRef;
    use level_party_format::log::{LogItem, LogReader};
    // Logs that are not needed any more are removed in the background; this waits for it.
    crate::support::sweep(engine);
    let mut first = last + 1;
    for name in names(fs, ".log") {
        let bytes = fs.read(&name).expect("a log");
        for item in LogReader::new(&bytes) {
            let LogItem::Record { payload, .. } = item else {
                continue;
            };
            let batch = BatchRef::parse(&payload).expect("a batch");
            first = first.min(batch.sequence());
        }
    }
    first
}

/// An engine that another program's writes may lie behind.
pub fn open_foreign(fs: &MemFs, tail_bytes: usize) -> Engine {
    let options = Options {
        tail_bytes,
        foreign_logs: true,
        ..tiny()
    };
    Engine::open(Arc::new(fs.clone()), options).expect("it opens")
}
