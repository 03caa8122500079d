//! A writer beside a reader, in every order of their loads and stores ([`crate::memory`]): the list's own code over
//! loom's memory. Run by `RUSTFLAGS="--cfg loom" cargo test -p level-party-memtable --lib`.
//!
//! What must hold in each order: a reader finds every entry up to the last sequence that it was told of, whole; what it
//! meets beyond is whole too; a walk is in order; and no search takes the list for a broken one. Each bug that can be planted
//! is found.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use level_party_format::key::{self, InternalComparator, ValueType};
use loom::sync::atomic::{AtomicU64, fence};

use crate::memory::{Planted, plant, planted as is_planted};
use crate::{HeapRegions, Lookup, MemIter, MemTable, MemTableWriter, Region, RegionSource};

/// Bytes of a region with room for three entries: without a filter, and with the one a model has.
const PLAIN: usize = 400;
const FILTERED: usize = 528;

/// User keys in the order of their sequences, from 1 on: what is inserted before the reader starts, and beside it.
struct Story {
    region: usize,
    before: &'static [&'static [u8]],
    beside: &'static [&'static [u8]],
}

/// Heights are drawn from a fixed row: 2, 1, 1, 1, 2, 2. These are passed over, so that the first entry of a story has
/// one level and the next two have two.
const HEIGHTS_PASSED: usize = 3;

/// One entry, then one behind it, which raises the list, and one before it.
const AROUND: Story = Story {
    region: PLAIN,
    before: &[b"b"],
    beside: &[b"c", b"a"],
};
/// Two entries, then one between them.
const BETWEEN: Story = Story {
    region: PLAIN,
    before: &[b"a", b"c"],
    beside: &[b"b"],
};
/// One key again and again.
const VERSIONS: Story = Story {
    region: PLAIN,
    before: &[b"k"],
    beside: &[b"k", b"k"],
};
/// An entry whose bits in the filter come with it.
const WITH_FILTER: Story = Story {
    region: FILTERED,
    before: &[],
    beside: &[b"a"],
};

impl Story {
    fn key(&self, sequence: u64) -> &'static [u8] {
        let Some(at) = (sequence as usize).checked_sub(1) else {
            return b"none";
        };
        let later = || self.beside[at - self.before.len()];
        self.before.get(at).copied().unwrap_or_else(later)
    }

    fn value(sequence: u64) -> [u8; 5] {
        [b'0' + sequence as u8; 5]
    }

    /// The iterator stands at an entry of this story, all of it. Gives its sequence.
    fn check_entry(&self, iter: &mut MemIter) -> u64 {
        iter.load_value();
        let parsed = key::parse(iter.key()).expect("a whole key");
        assert_eq!(parsed.user_key, self.key(parsed.sequence), "a torn key");
        assert_eq!(iter.value(), Story::value(parsed.sequence), "a torn value");
        parsed.sequence
    }
}

/// Runs one story in all orders. `publish_early` is a bug of the caller's: publish, then insert.
fn model(story: &'static Story, publish_early: bool, read: fn(&Story, &MemTable, u64)) {
    let regions = std::sync::Arc::new(HeapRegions::new());
    loom::model(move || {
        let region = regions.allocate(story.region).expect("memory");
        let mut writer =
            MemTableWriter::create(region, InternalComparator::default()).expect("a region");
        for _ in 0..HEIGHTS_PASSED {
            let too_long = writer.insert(b"", 0, ValueType::Value, &[0; FILTERED]);
            too_long.expect_err("an entry as long as the region does not fit");
        }
        let insert = |writer: &mut MemTableWriter, sequence| {
            let (key, value) = (story.key(sequence), Story::value(sequence));
            let inserted = writer.insert(key, sequence, ValueType::Value, &value);
            inserted.expect("the region has room for the story");
        };
        let started = story.before.len() as u64;
        for sequence in 1..=started {
            insert(&mut writer, sequence);
        }
        let published = Arc::new(AtomicU64::new(started));
        let (table, told) = (writer.reader(), published.clone());
        let reader = loom::thread::spawn(move || {
            let last = told.load(Ordering::Acquire);
            read(story, &table, last);
        });
        for sequence in started + 1..=started + story.beside.len() as u64 {
            if publish_early {
                published.store(sequence, Ordering::Release);
            }
            insert(&mut writer, sequence);
            published.store(sequence, Ordering::Release);
        }
        reader.join().expect("the reader's checks hold");
    });
}

fn planted(bug: Planted, story: &'static Story, read: fn(&Story, &MemTable, u64)) {
    plant(bug);
    model(story, false, read);
}

/// Every published entry is found by its key, at its sequence.
fn gets(story: &Story, table: &MemTable, published: u64) {
    for sequence in (1..=published).rev() {
        let value = Story::value(sequence).to_vec();
        let found = table.get(story.key(sequence), sequence);
        assert_eq!(
            found,
            Lookup::Value { sequence, value },
            "a published entry"
        );
    }
}

/// A walk meets every published entry once, in order.
fn walk(story: &Story, table: &MemTable, published: u64, forward: bool) {
    let order = InternalComparator::default();
    let mut iter = table.iter();
    if forward {
        iter.seek_to_first()
    } else {
        iter.seek_to_last()
    }
    let mut seen = 0;
    let mut before: Option<Vec<u8>> = None;
    while iter.valid() {
        seen += u64::from(story.check_entry(&mut iter) <= published);
        if let Some(before) = before {
            let compared = order.compare(&before, iter.key());
            assert!(
                if forward {
                    compared.is_lt()
                } else {
                    compared.is_gt()
                },
                "out of order"
            );
        }
        before = Some(iter.key().to_vec());
        if forward { iter.next() } else { iter.prev() }
    }
    iter.status().expect("the list is sound");
    assert_eq!(seen, published, "a walk misses a published entry");
}

fn walks_forward(story: &Story, table: &MemTable, published: u64) {
    walk(story, table, published, true);
}

fn walks_backward(story: &Story, table: &MemTable, published: u64) {
    walk(story, table, published, false);
}

/// A seek to any place ends at the first entry behind it, and never says that the list is broken.
fn seeks(story: &Story, table: &MemTable, published: u64) {
    let last = (story.before.len() + story.beside.len()) as u64;
    let mut iter = table.iter();
    for sequence in 1..=last {
        let wanted = key::seek_key(story.key(sequence), sequence);
        iter.seek(&wanted);
        iter.status().expect("the list is sound");
        if sequence <= published {
            assert_eq!(iter.key(), wanted, "a seek misses a published entry");
        }
        if iter.valid() {
            story.check_entry(&mut iter);
            assert!(
                InternalComparator::default()
                    .compare(iter.key(), &wanted)
                    .is_ge()
            );
        }
    }
}

/// The entries up to the published one are met in the order of their insertion, whole.
fn insertions(story: &Story, table: &MemTable, published: u64) {
    let mut place = table.first_inserted();
    for sequence in 1..=published {
        let (entry, behind) = table.inserted(place).expect("a published entry");
        let mut key = Vec::new();
        entry.append_key(&mut key);
        assert_eq!(
            (entry.sequence(), &key[..]),
            (sequence, story.key(sequence)),
            "a torn entry"
        );
        place = behind;
    }
}

#[test]
fn published_insertions_are_whole() {
    for story in [&AROUND, &BETWEEN, &VERSIONS] {
        model(story, false, insertions);
    }
}

#[test]
#[should_panic(expected = "a published entry")]
fn insertions_read_before_they_are_published_are_found() {
    model(&AROUND, true, insertions);
}

#[test]
fn published_entries_are_found_whole() {
    for story in [&AROUND, &BETWEEN, &VERSIONS, &WITH_FILTER] {
        model(story, false, gets);
    }
}

#[test]
fn walks_meet_every_published_entry_in_order() {
    for story in [&AROUND, &BETWEEN] {
        model(story, false, walks_forward);
        model(story, false, walks_backward);
    }
}

#[test]
fn no_seek_takes_the_list_for_broken() {
    for story in [&AROUND, &BETWEEN, &VERSIONS] {
        model(story, false, seeks);
    }
}

#[test]
#[should_panic(expected = "a torn key")]
fn links_without_release_are_found() {
    planted(Planted::RelaxedLinks, &BETWEEN, walks_forward);
}

#[test]
#[should_panic(expected = "a torn key")]
fn loading_links_without_acquire_is_found() {
    planted(Planted::NoAcquire, &BETWEEN, walks_forward);
}

#[test]
#[should_panic(expected = "the list is sound")]
fn linking_upper_levels_first_is_found() {
    planted(Planted::UpperLevelsFirst, &AROUND, seeks);
}

#[test]
#[should_panic(expected = "a published entry")]
fn publishing_before_inserting_is_found() {
    model(&AROUND, true, gets);
}

/// What two writers share beside the region.
struct Turns {
    region: Arc<dyn Region>,
    /// The next sequence. Who holds it writes.
    lock: loom::sync::Mutex<u64>,
}

impl Turns {
    /// Writes one entry where the other writer may have written before.
    fn write_one(&self, writer: &mut MemTableWriter) {
        let mut next = self.lock.lock().expect("nobody panicked");
        if !is_planted(Planted::StaleWriter) {
            writer.reload().expect("the region makes sense");
        }
        let (key, value) = (AROUND.key(*next), Story::value(*next));
        let inserted = writer.insert(key, *next, ValueType::Value, &value);
        inserted.expect("the region has room");
        *next += 1;
    }
}

/// Two writers insert in turns, in both orders; then the list has all entries.
fn two_writers() {
    loom::model(|| {
        let region = HeapRegions::new().allocate(PLAIN).expect("memory");
        let order = InternalComparator::default();
        let mut first = MemTableWriter::create(region.clone(), order.clone()).expect("a region");
        let turns = Arc::new(Turns {
            region,
            lock: loom::sync::Mutex::new(1),
        });
        let others = turns.clone();
        let second = loom::thread::spawn(move || {
            let mut writer = {
                let _held = others.lock.lock().expect("nobody panicked");
                MemTableWriter::attach(others.region.clone(), InternalComparator::default())
                    .expect("the region makes sense")
            };
            others.write_one(&mut writer);
        });
        turns.write_one(&mut first);
        // Whoever comes first, another may have written since.
        turns.write_one(&mut first);
        second.join().expect("the other writer ends");
        let table = first.reader();
        gets(&AROUND, &table, 3);
        walks_forward(&AROUND, &table, 3);
        walks_backward(&AROUND, &table, 3);
    });
}

#[test]
fn writers_in_turns_lose_no_entry() {
    two_writers();
}

#[test]
#[should_panic]
fn writer_that_does_not_reload_is_found() {
    plant(Planted::StaleWriter);
    two_writers();
}

/// A region is set up again under a reader: what the reader copied counts only if the generation stands.
fn recycled() {
    let mut model = loom::model::Builder::new();
    // Set-up and insert store some thirty words; all orders would take hours.
    model.preemption_bound = Some(2);
    model.check(|| {
        let region = HeapRegions::new().allocate(PLAIN).expect("memory");
        let order = InternalComparator::default();
        let mut writer = MemTableWriter::create(region.clone(), order.clone()).expect("a region");
        let old = writer.insert(b"k", 1, ValueType::Value, &Story::value(1));
        old.expect("the region has room");
        let generation = Arc::new(AtomicU64::new(1));
        let (table, seen) = (writer.reader(), generation.clone());
        let reader = loom::thread::spawn(move || {
            let before = seen.load(Ordering::Acquire);
            let found = table.get(b"k", 9);
            fence(Ordering::Acquire);
            let after = seen.load(Ordering::Relaxed);
            // Another one than the reader's view names is not looked at.
            if before == 1 && (after == 1 || is_planted(Planted::NoGenerationCheck)) {
                let value = Story::value(1).to_vec();
                let expected = Lookup::Value { sequence: 1, value };
                assert_eq!(found, expected, "a torn answer");
            }
        });
        generation.store(2, Ordering::Relaxed);
        fence(Ordering::Release);
        let mut writer = MemTableWriter::create(region, order).expect("a region");
        let new = writer.insert(b"k", 2, ValueType::Value, &Story::value(2));
        new.expect("the region has room");
        reader.join().expect("the reader's checks hold");
    });
}

#[test]
fn recycled_region_is_found_by_its_generation() {
    recycled();
}

#[test]
#[should_panic(expected = "a torn answer")]
fn recycled_region_read_without_a_check_is_found() {
    plant(Planted::NoGenerationCheck);
    recycled();
}
