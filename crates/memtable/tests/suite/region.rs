//! What is done to any bytes: read as a region that another process filled, and as a list of things to insert. The
//! plain tests call it, and the fuzz target of the same name (`fuzz/`).

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use level_party_format::key::{self, InternalComparator, ValueType};
use level_party_memtable::{Lookup, MemIter, MemTable, MemTableWriter, Region};

use super::support::{Bytes, internal_key, writer};

/// Bytes of the header, and of the filter behind it in a region that has one.
const HEADER: usize = 256;
const FILTER: usize = 64 << 10;
/// The shortest entry: a word of links, its lengths, a tag.
const MIN_ENTRY: usize = 24;
/// First-byte flags of an input: set right what `open` checks first; put a filter between header and entries.
const SIGN: u8 = 1;
const FILTERED: u8 = 2;

/// Reads `data` as flags, the filter's fill byte and a region, and as a script. Gives the number of entries met.
pub fn run(data: &[u8]) -> usize {
    let met = match data {
        [flags, fill, region @ ..] if region.len() >= HEADER => {
            exercise(&placed(*flags, *fill, region))
        }
        _ => 0,
    };
    met + inserted(data)
}

/// The region that an input stands for.
fn placed(flags: u8, fill: u8, bytes: &[u8]) -> Vec<u8> {
    let (header, entries) = bytes.split_at(HEADER);
    let filter_len = if flags & FILTERED == 0 { 0 } else { FILTER };
    let filter = vec![fill; filter_len];
    let mut region = [header, &filter, entries].concat();
    if flags & SIGN != 0 {
        let (limit, filter_len) = (region.len() as u64 / 8, filter_len as u64 / 8);
        region[..8].copy_from_slice(b"LPmemtbl");
        for (index, word) in [(1, 2), (2, limit), (3, filter_len)] {
            region[8 * index..8 * index + 8].copy_from_slice(&word.to_ne_bytes());
        }
    }
    region
}

/// Does everything a reader can do with a region. Gives the number of entries that a walk forward meets.
pub fn exercise(bytes: &[u8]) -> usize {
    let region = Arc::new(Bytes::copy_of(bytes));
    let memory = region.len();
    let Ok(table) = MemTable::open(region, InternalComparator::default()) else {
        return 0;
    };
    assert!(table.bytes_used() <= bytes.len());
    let _ = table.entries();
    let mut iter = table.iter();
    iter.seek_to_first();
    let keys = walk(&mut iter, memory, true);
    iter.seek_to_last();
    walk(&mut iter, memory, false);
    for (n, key) in keys.iter().take(8).enumerate() {
        if n == 1 {
            iter.seek(key);
            walk(&mut iter, memory, false);
        }
        iter.seek(key);
        for forward in [true, true, false, true, false, false] {
            if forward {
                iter.next();
            } else {
                iter.prev();
            }
            check_entry(&mut iter, memory);
        }
        for sequence in [0, key::tag(key) >> 8, u64::MAX] {
            if let Lookup::Value { value, .. } = table.get(key::user_key(key), sequence) {
                assert!(value.len() <= memory);
            }
        }
    }
    for len in 0..10 {
        iter.seek(&bytes[..len]);
        check_entry(&mut iter, memory);
        let _ = table.get(&bytes[..len], u64::MAX);
    }
    keys.len()
}

/// Walks on to the end, and gives the first keys and an empty one for each further.
fn walk(iter: &mut MemIter, memory: usize, forward: bool) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    while iter.valid() {
        check_entry(iter, memory);
        keys.push(if keys.len() < 8 {
            iter.key().to_vec()
        } else {
            Vec::new()
        });
        assert!(keys.len() <= memory / MIN_ENTRY + 16, "a walk ends");
        if forward { iter.next() } else { iter.prev() }
    }
    let _ = iter.status();
    keys
}

fn check_entry(iter: &mut MemIter, memory: usize) {
    iter.load_value();
    if iter.valid() {
        assert!(iter.key().len() >= 8 && iter.status().is_ok());
        assert!(iter.key().len() + iter.value().len() <= memory);
        assert_eq!(iter.value().len(), iter.value_len());
    } else {
        assert!(iter.key().is_empty() && iter.value().is_empty());
    }
}

/// User key and sequence, in a memtable's order.
type Place = (Vec<u8>, Reverse<u64>);

/// Inserts what `data` says (two bytes an entry: key and type, length of the value) and compares with a sorted map.
fn inserted(data: &[u8]) -> usize {
    let mut writer = writer(4096);
    let mut model: BTreeMap<Place, (ValueType, Vec<u8>)> = BTreeMap::new();
    for (n, pair) in data.chunks_exact(2).take(48).enumerate() {
        let sequence = n as u64 + 1;
        let user_key = vec![b'k'; usize::from(pair[0] & 7)]
            .into_iter()
            .chain([pair[0] >> 4]);
        let user_key: Vec<u8> = user_key.collect();
        let kind = if pair[0] & 8 == 0 {
            ValueType::Value
        } else {
            ValueType::Deletion
        };
        let value = vec![n as u8; usize::from(pair[1])];
        let room = writer.remaining();
        match writer.insert(&user_key, sequence, kind, &value) {
            Ok(()) => {
                model.insert((user_key, Reverse(sequence)), (kind, value));
            }
            Err(_) => assert!(room < MemTableWriter::bytes_for(user_key.len(), value.len())),
        }
    }
    let table = writer.reader();
    assert_eq!(table.entries(), model.len());
    let mut iter = table.iter();
    iter.seek_to_first();
    for ((user_key, sequence), (kind, value)) in &model {
        let wanted = internal_key(user_key, sequence.0, *kind);
        iter.load_value();
        assert_eq!((iter.key(), iter.value()), (&wanted[..], &value[..]));
        iter.next();
        let expected = match kind {
            ValueType::Value => Lookup::Value {
                sequence: sequence.0,
                value: value.clone(),
            },
            ValueType::Deletion => Lookup::Deleted {
                sequence: sequence.0,
            },
        };
        assert_eq!(table.get(user_key, sequence.0), expected);
    }
    assert!(!iter.valid());
    iter.seek_to_last();
    for (user_key, sequence) in model.keys().rev() {
        assert_eq!(key::user_key(iter.key()), user_key);
        assert_eq!(key::tag(iter.key()) >> 8, sequence.0);
        iter.prev();
    }
    assert!(!iter.valid());
    model.len()
}
