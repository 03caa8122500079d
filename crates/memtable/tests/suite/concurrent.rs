//! Readers beside a writer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use level_party_format::key::{self, InternalComparator, ValueType};
use level_party_memtable::{Lookup, MemTable, MemTableWriter};

use crate::support::{Random, writer};

const READERS: u64 = 3;
/// Versions share a user key now and then.
const KEYS: u64 = 5_000;

/// The user key of a sequence: in runs of ascending keys, at scattered places.
fn user_key(sequence: u64) -> [u8; 8] {
    let run = sequence / 16;
    (run.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(sequence % 16)
        % KEYS)
        .to_be_bytes()
}

/// A value that says whether it is whole.
fn value(sequence: u64) -> Vec<u8> {
    sequence.to_le_bytes().repeat(1 + sequence as usize % 9)
}

/// The last sequence that readers must see, as a word beside a region says it.
#[derive(Default)]
struct Published(AtomicU64);

impl Published {
    fn last(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn publish(&self, sequence: u64) {
        self.0.store(sequence, Ordering::Release);
    }
}

/// Writes all entries. Ten times it waits until readers have read on, so that they meet the list at every length.
fn write_all(mut writer: MemTableWriter, published: &Published, entries: u64, rounds: &AtomicU64) {
    for sequence in 1..=entries {
        writer
            .insert(
                &user_key(sequence),
                sequence,
                ValueType::Value,
                &value(sequence),
            )
            .unwrap();
        // Some commits have several entries.
        if sequence % 3 != 1 || sequence == entries {
            published.publish(sequence);
        }
        while rounds.load(Ordering::Relaxed) < sequence * 10 / entries {
            thread::yield_now();
        }
    }
}

/// Reads published entries, the newest and random ones, each at its own sequence: it must be there, whole.
fn check_gets(table: &MemTable, published: &Published, random: &mut Random) {
    for turn in 0..100 {
        let published = published.last();
        if published == 0 {
            break;
        }
        let sequence = if turn % 4 == 0 {
            1 + random.below(published)
        } else {
            published
        };
        let expected = value(sequence);
        match table.get(&user_key(sequence), sequence) {
            Lookup::Value {
                sequence: found,
                value,
            } => {
                assert_eq!((found, value), (sequence, expected));
            }
            other => panic!("sequence {sequence} of {published} is {other:?}"),
        }
    }
}

/// Walks through the whole list: strictly in order, all published entries there once, each whole.
fn check_walk(table: &MemTable, published: &Published, forward: bool) {
    let order = InternalComparator::default();
    let published = published.last();
    let mut iter = table.iter();
    if forward {
        iter.seek_to_first();
    } else {
        iter.seek_to_last();
    }
    let mut seen = 0;
    let mut before: Option<Vec<u8>> = None;
    while iter.valid() {
        iter.load_value();
        let parsed = key::parse(iter.key()).unwrap();
        assert_eq!(parsed.user_key, user_key(parsed.sequence));
        assert_eq!(iter.value(), value(parsed.sequence));
        seen += u64::from(parsed.sequence <= published);
        if let Some(before) = before {
            let expected = if forward {
                std::cmp::Ordering::Less
            } else {
                std::cmp::Ordering::Greater
            };
            assert_eq!(order.compare(&before, iter.key()), expected);
        }
        before = Some(iter.key().to_vec());
        if forward {
            iter.next();
        } else {
            iter.prev();
        }
    }
    iter.status().unwrap();
    assert_eq!(seen, published);
}

/// Seeks to random published entries and takes a step to each side and back.
fn check_seeks(table: &MemTable, published: &Published, random: &mut Random) {
    let published = published.last();
    let mut iter = table.iter();
    for _ in 0..published.min(20) {
        let sequence = 1 + random.below(published);
        let wanted = key::seek_key(&user_key(sequence), sequence);
        iter.seek(&wanted);
        assert_eq!(iter.key(), wanted);
        iter.next();
        if iter.valid() {
            // The entry before may be one inserted since, between the two.
            while iter.key() != wanted {
                iter.prev();
                assert!(iter.valid());
            }
        }
    }
}

/// Lets the writer go on without readers once one of them ends, be it by a failure.
struct Leaving<'a>(&'a AtomicU64);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1 << 32, Ordering::Relaxed);
    }
}

/// Runs readers beside the writer until each has seen the last entry.
fn read_beside(table: &MemTable, writer: MemTableWriter, entries: u64) {
    let (rounds, published) = (AtomicU64::new(0), Published::default());
    let (rounds, published) = (&rounds, &published);
    thread::scope(|scope| {
        for reader in 0..READERS {
            scope.spawn(move || {
                let mut random = Random(reader);
                let _leaving = Leaving(rounds);
                loop {
                    let done = published.last() == entries;
                    check_gets(table, published, &mut random);
                    check_seeks(table, published, &mut random);
                    check_walk(table, published, reader % 2 == 0);
                    rounds.fetch_add(1, Ordering::Relaxed);
                    if done {
                        break;
                    }
                }
            });
        }
        write_all(writer, published, entries, rounds);
    });
    assert_eq!(table.entries() as u64, entries);
}

#[test]
fn readers_see_every_published_entry_whole_and_in_order_while_the_writer_inserts() {
    for _ in 0..3 {
        let writer = writer(4 << 20);
        read_beside(&writer.reader(), writer, 20_000);
    }
}

/// Appends entries while a reader seeks to the very next one, again and again.
fn seek_beside_appends(entries: u64) {
    let mut writer = writer(4 << 20);
    let table = writer.reader();
    let (seeks, published) = (AtomicU64::new(0), Published::default());
    thread::scope(|scope| {
        scope.spawn(|| {
            let _leaving = Leaving(&seeks);
            let mut iter = table.iter();
            while published.last() < entries {
                let next = (published.last() + 1).to_be_bytes();
                iter.seek(&key::seek_key(&next, u64::MAX >> 8));
                iter.status().unwrap();
                seeks.fetch_add(1, Ordering::Relaxed);
            }
        });
        while seeks.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        for sequence in 1..=entries {
            let key = sequence.to_be_bytes();
            writer
                .insert(&key, sequence, ValueType::Value, b"")
                .unwrap();
            published.publish(sequence);
        }
    });
}

/// Where the writer is at work a search may find the new entry or not, but never a list that ends early on a lower
/// level: entries are linked there first. By chance only; the models try all orders.
#[test]
fn a_seek_to_the_entry_being_appended_finds_a_sound_list() {
    for _ in 0..20 {
        seek_beside_appends(60_000);
    }
}

#[test]
fn a_small_memtable_without_a_filter_does_the_same() {
    for _ in 0..10 {
        let writer = writer(900 << 10);
        read_beside(&writer.reader(), writer, 5_000);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_reader_with_its_own_read_only_mapping_does_the_same() {
    for _ in 0..3 {
        let (writable, readable) = crate::mapped::pair(4 << 20);
        let writer = MemTableWriter::create(writable, InternalComparator::default()).unwrap();
        let table = MemTable::open(readable, InternalComparator::default()).unwrap();
        read_beside(&table, writer, 20_000);
    }
}
