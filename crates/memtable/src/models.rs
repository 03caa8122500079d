//! A writer beside a reader, in every order of their loads and stores ([`crate::memory`]): the list's own code over
//! loom's memory. Run by `RUSTFLAGS="--cfg loom" cargo test -p level-party-memtable --lib`.
//!
//! What must hold in each order: a reader finds every entry up to the last sequence it loaded, whole; what it meets
//! beyond is whole too; a walk is in order; and no search takes the list for a broken one. Each bug that can be planted
//! is found.

use level_party_format::key::{self, InternalComparator, ValueType};

use crate::memory::{Memory, Planted, plant};
use crate::{HeapRegions, Lookup, MemIter, MemTable, MemTableWriter, RegionSource};

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
        let at = sequence as usize - 1;
        let later = || self.beside[at - self.before.len()];
        self.before.get(at).copied().unwrap_or_else(later)
    }

    fn value(sequence: u64) -> [u8; 5] {
        [b'0' + sequence as u8; 5]
    }

    /// The iterator stands at an entry of this story, all of it. Gives its sequence.
    fn check_entry(&self, iter: &MemIter) -> u64 {
        let parsed = key::parse(iter.key()).expect("a whole key");
        assert_eq!(parsed.user_key, self.key(parsed.sequence), "a torn key");
        assert_eq!(iter.value(), Story::value(parsed.sequence), "a torn value");
        parsed.sequence
    }
}

/// Runs one story in all orders. `publish_early` is a bug of the caller's: publish, then insert.
fn model(story: &'static Story, publish_early: bool, read: fn(&Story, &MemTable)) {
    let regions = std::sync::Arc::new(HeapRegions::new());
    loom::model(move || {
        let region = regions.allocate(story.region).expect("memory");
        let mut writer =
            MemTableWriter::create(region, InternalComparator::default(), 0).expect("a region");
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
        writer.publish(started);
        let table = writer.reader();
        let reader = loom::thread::spawn(move || read(story, &table));
        for sequence in started + 1..=started + story.beside.len() as u64 {
            if publish_early {
                writer.publish(sequence);
            }
            insert(&mut writer, sequence);
            writer.publish(sequence);
        }
        reader.join().expect("the reader's checks hold");
    });
}

fn planted(bug: Planted, story: &'static Story, read: fn(&Story, &MemTable)) {
    plant(bug);
    model(story, false, read);
}

/// Every published entry is found by its key, at its sequence.
fn gets(story: &Story, table: &MemTable) {
    let published = table.last_sequence();
    for sequence in (1..=published).rev() {
        let value = &Story::value(sequence)[..];
        let found = table.get(story.key(sequence), sequence);
        assert_eq!(
            found,
            Lookup::Value { sequence, value },
            "a published entry"
        );
    }
}

/// A walk meets every published entry once, in order.
fn walk(story: &Story, table: &MemTable, forward: bool) {
    let order = InternalComparator::default();
    let published = table.last_sequence();
    let mut iter = table.iter();
    if forward {
        iter.seek_to_first()
    } else {
        iter.seek_to_last()
    }
    let mut seen = 0;
    let mut before: Option<Vec<u8>> = None;
    while iter.valid() {
        seen += u64::from(story.check_entry(&iter) <= published);
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

fn walks_forward(story: &Story, table: &MemTable) {
    walk(story, table, true);
}

fn walks_backward(story: &Story, table: &MemTable) {
    walk(story, table, false);
}

/// A seek to any place ends at the first entry behind it, and never says that the list is broken.
fn seeks(story: &Story, table: &MemTable) {
    let published = table.last_sequence();
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
            story.check_entry(&iter);
            assert!(
                InternalComparator::default()
                    .compare(iter.key(), &wanted)
                    .is_ge()
            );
        }
    }
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
#[should_panic(expected = "the list is sound")]
fn links_without_release_are_found() {
    planted(Planted::RelaxedLinks, &BETWEEN, walks_forward);
}

#[test]
#[should_panic(expected = "a published entry")]
fn loading_links_without_acquire_is_found() {
    planted(Planted::NoAcquire, &AROUND, gets);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn bytes_read_before_a_link_led_to_them_are_found() {
    loom::model(|| {
        let region = HeapRegions::new().allocate(PLAIN).expect("memory");
        let memory = Memory::new(region).expect("a region");
        let written = memory.clone();
        // SAFETY: the offsets are inside; that nothing orders the two is what is to be found.
        let reader = loom::thread::spawn(move || unsafe { memory.bytes(300, 8).to_vec() });
        // SAFETY: as above.
        unsafe { written.write(304, b"late") };
        reader.join().expect("the reader ends");
    });
}

#[test]
#[should_panic(expected = "a published entry")]
fn a_last_sequence_without_release_is_found() {
    planted(Planted::RelaxedPublish, &AROUND, gets);
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
