//! A block's contents: every way to walk over them, beside a plain model.

use std::cmp::Ordering;

use level_party_format::block::{Block, BlockBuilder, BlockIter};
use level_party_format::key::InternalComparator;
use level_party_format::varint;

type Pair = (Vec<u8>, Vec<u8>);

/// The model stops where the keys it holds come to this: shared prefixes make them much longer than their block.
const MOST_KEY_BYTES: usize = 4 << 20;
/// The shortest entry.
const MIN_ENTRY: usize = 3;
/// Seeks and steps made on one block.
const MOST_MOVES: usize = 64;

/// Reads `data` as a block. Gives the number of entries that a walk forward meets.
pub fn run(data: &[u8]) -> usize {
    let Ok(block) = Block::new(data.to_vec().into()) else {
        return 0;
    };
    assert_eq!(block.byte_size(), data.len());
    let mut iter = block.iter(InternalComparator::default());
    let forward = walk(&mut iter, data, true);
    let backward = walk(&mut iter, data, false);
    match model(data) {
        Model::Sound(entries) => {
            assert_eq!(forward, Walk::whole(&entries));
            assert_eq!(backward, Walk::whole(entries.iter().rev()));
            moves(&mut iter, &entries, data);
            build_again(&entries);
        }
        Model::FalseRestarts(entries) => {
            assert_eq!(forward, Walk::whole(&entries));
            wander(&mut iter, data);
        }
        Model::BadEntry => {
            assert!(!forward.ended_well);
            wander(&mut iter, data);
        }
        Model::TooLong => wander(&mut iter, data),
    }
    forward.steps
}

/// What a walk met: few words for what can be many bytes.
#[derive(Debug, PartialEq)]
struct Walk {
    steps: usize,
    key_bytes: usize,
    value_bytes: usize,
    first: Pair,
    last: Pair,
    ended_well: bool,
}

impl Walk {
    fn new() -> Walk {
        Walk {
            steps: 0,
            key_bytes: 0,
            value_bytes: 0,
            first: Pair::default(),
            last: Pair::default(),
            ended_well: true,
        }
    }

    fn meet(&mut self, key: &[u8], value: &[u8]) {
        if self.steps == 0 {
            self.first = (key.to_vec(), value.to_vec());
        }
        self.last = (key.to_vec(), value.to_vec());
        self.steps += 1;
        self.key_bytes += key.len();
        self.value_bytes += value.len();
    }

    fn whole<'a>(entries: impl IntoIterator<Item = &'a Pair>) -> Walk {
        let mut walk = Walk::new();
        entries
            .into_iter()
            .for_each(|(key, value)| walk.meet(key, value));
        walk
    }
}

/// Walks from one end; it ends after no more steps than the bytes have entries.
fn walk(iter: &mut BlockIter, data: &[u8], forward: bool) -> Walk {
    let mut walk = Walk::new();
    let mut moved = if forward {
        iter.seek_to_first()
    } else {
        iter.seek_to_last()
    };
    while moved.is_ok() && iter.valid() {
        assert!(iter.key().len() <= data.len() && iter.value().len() <= data.len());
        walk.meet(iter.key(), iter.value());
        assert!(walk.steps <= data.len() / MIN_ENTRY);
        moved = if forward { iter.next() } else { iter.prev() };
    }
    assert!(!iter.valid() && iter.key().is_empty() && iter.value().is_empty());
    walk.ended_well = moved.is_ok();
    walk
}

/// What a block is, read the plain way.
enum Model {
    /// All entries decode, and the restarts are entries that share nothing, in order.
    Sound(Vec<Pair>),
    /// All entries decode, but restarts are elsewhere.
    FalseRestarts(Vec<Pair>),
    /// An entry does not decode.
    BadEntry,
    /// The keys are too long to be held.
    TooLong,
}

fn model(data: &[u8]) -> Model {
    let (body, count) = data.split_last_chunk::<4>().expect("checked by the block");
    let count = u32::from_le_bytes(*count) as usize;
    if count == 0 {
        return Model::Sound(Vec::new());
    }
    let entries_len = body.len() - 4 * count;
    let (mut rest, restarts) = body.split_at(entries_len);
    let (words, _) = restarts.as_chunks::<4>();
    let mut restarts = words
        .iter()
        .map(|word| u32::from_le_bytes(*word) as usize)
        .peekable();
    let mut sound = true;
    let mut entries: Vec<Pair> = Vec::new();
    let mut held = 0;
    while !rest.is_empty() {
        let before = entries.last().map_or(&[][..], |(key, _)| key);
        let Some((shared, pair, after)) = entry(rest, before) else {
            return Model::BadEntry;
        };
        if restarts.next_if_eq(&(entries_len - rest.len())).is_some() {
            sound &= shared == 0;
        }
        held += pair.0.len();
        if held > MOST_KEY_BYTES {
            return Model::TooLong;
        }
        entries.push(pair);
        rest = after;
    }
    // An empty block has one restart, at its end.
    let rest: Vec<usize> = restarts.collect();
    sound &= rest.is_empty() || (entries.is_empty() && rest == [0]);
    if sound {
        Model::Sound(entries)
    } else {
        Model::FalseRestarts(entries)
    }
}

/// What the first entry shares with the key before it, the entry, and what follows.
fn entry<'a>(rest: &'a [u8], before: &[u8]) -> Option<(u32, Pair, &'a [u8])> {
    let (shared, rest) = varint::get_u32(rest)?;
    let (unshared, rest) = varint::get_u32(rest)?;
    let (value_len, rest) = varint::get_u32(rest)?;
    let (tail, rest) = rest.split_at_checked(unshared as usize)?;
    let (value, rest) = rest.split_at_checked(value_len as usize)?;
    let key = [before.get(..shared as usize)?, tail].concat();
    Some((shared, (key, value.to_vec()), rest))
}

/// The bytes at the end of the input say what to do: half of them seek, the others step.
fn script(data: &[u8]) -> impl Iterator<Item = u8> {
    data.iter().rev().copied().take(MOST_MOVES)
}

/// Any moves over a sound block; seeks only where its keys are in order.
fn moves(iter: &mut BlockIter, entries: &[Pair], data: &[u8]) {
    let order = InternalComparator::default();
    let sorted = entries.is_sorted_by(|a, b| order.compare(&a.0, &b.0).is_lt());
    let mut at: Option<usize> = None;
    for byte in script(data) {
        let chosen = usize::from(byte / 8) * entries.len().div_ceil(32);
        let moved = match byte % 8 {
            0..=1 => {
                at = at.and_then(|at| Some(at + 1).filter(|at| *at < entries.len()));
                iter.next()
            }
            2..=4 => {
                at = at.and_then(|at| at.checked_sub(1));
                iter.prev()
            }
            5 if sorted && chosen < entries.len() => {
                at = Some(chosen);
                iter.seek(&entries[chosen].0)
            }
            6 if sorted => {
                let target = &data[..usize::from(byte / 8).min(data.len())];
                at = lower_bound(&order, entries, target);
                iter.seek(target)
            }
            7 => {
                at = entries.len().checked_sub(1);
                iter.seek_to_last()
            }
            _ => {
                at = (!entries.is_empty()).then_some(0);
                iter.seek_to_first()
            }
        };
        assert_eq!(moved, Ok(()));
        let here = iter.valid().then(|| (iter.key(), iter.value()));
        let expected = at.map(|at| (&entries[at].0[..], &entries[at].1[..]));
        assert_eq!(here, expected);
    }
}

fn lower_bound(order: &InternalComparator, entries: &[Pair], target: &[u8]) -> Option<usize> {
    let at = entries.partition_point(|(key, _)| order.compare(key, target) == Ordering::Less);
    (at < entries.len()).then_some(at)
}

/// Any moves over a block that is not sound: none may panic or stand outside.
fn wander(iter: &mut BlockIter, data: &[u8]) {
    for byte in script(data) {
        let target = &data[..usize::from(byte / 2).min(data.len())];
        let _ = match byte % 8 {
            0..=1 => iter.next(),
            2..=4 => iter.prev(),
            5..=6 => iter.seek(target),
            _ => iter.seek_to_last(),
        };
        assert!(iter.key().len() <= data.len() && iter.value().len() <= data.len());
    }
}

/// The entries built into a block again are the same entries.
fn build_again(entries: &[Pair]) {
    for interval in [1, 3, 16] {
        let mut builder = BlockBuilder::new(interval);
        entries
            .iter()
            .for_each(|(key, value)| builder.add(key, value));
        let built = builder.finish().to_vec();
        assert!(matches!(model(&built), Model::Sound(read) if read == entries));
    }
}
