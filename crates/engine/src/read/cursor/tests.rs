use std::collections::BTreeMap;

use level_party_memtable::MemTableWriter;

use super::*;
use crate::ErrorKind;
use crate::base::fs::{Fs, MemFs};
use crate::read::files::FileMeta;
use crate::read::version::Version;
use crate::read::view::Frozen;
use crate::testing::{
    History, Item, Rng, WatchedFs, filtered_options, insert, memtable, numbered, publish, sort,
    table_options, tables, view, write_table,
};

/// A view over a random history: two memtables, files of level 0, and two deeper levels whose files split keys.
struct World {
    history: History,
    view: Arc<View>,
    writer: MemTableWriter,
    keys: Vec<Vec<u8>>,
    last: Sequence,
}

impl World {
    fn new(rng: &mut Rng) -> World {
        let keys = some_keys(rng);
        let writes = 40 + rng.below(400);
        let hot = rng.one_in(2);
        let mut history = History::default();
        let mut items = Vec::new();
        for sequence in 1..=writes as Sequence {
            let item = random_write(&keys, hot, sequence, rng);
            history.add(&item);
            items.push(item);
        }
        // Ages of the history, oldest first: level 2, level 1, three files of level 0, frozen, active.
        let mut cuts: Vec<usize> = (0..6).map(|_| rng.below(items.len() + 1)).collect();
        cuts.extend([0, items.len()]);
        cuts.sort_unstable();
        let mut ages = cuts.windows(2).map(|cut| items[cut[0]..cut[1]].to_vec());
        let mut age = || ages.next().unwrap();

        let fs = MemFs::new();
        let mut levels = <[Vec<Arc<FileMeta>>; 7]>::default();
        levels[2] = split(&fs, age(), 100, rng);
        levels[1] = split(&fs, age(), 200, rng);
        for number in [300, 302, 304] {
            let mut items = age();
            sort(&mut items);
            if !items.is_empty() {
                levels[0].push(write_table(&fs, number, options(rng), &items));
            }
            // As if the same log had been replayed twice.
            if !items.is_empty() && rng.one_in(4) {
                levels[0].push(write_table(&fs, number + 1, options(rng), &items));
            }
        }
        let version = Version::new(levels, tables(&fs));
        version.check_order().unwrap();
        let last = writes as Sequence;
        let (_, mem) = memtable(&age());
        let frozen = Frozen { mem, last };
        let (writer, mem) = memtable(&age());
        let view = view(mem, vec![frozen], Arc::new(version), last);
        World {
            history,
            view,
            writer,
            keys,
            last,
        }
    }

    /// A write later than all.
    fn write(&mut self, rng: &mut Rng) {
        self.last += 1;
        let item = random_write(&self.keys, true, self.last, rng);
        self.history.add(&item);
        insert(&mut self.writer, &item);
        publish(&self.view, self.last);
    }
}

fn random_write(keys: &[Vec<u8>], hot: bool, sequence: Sequence, rng: &mut Rng) -> Item {
    let among = if hot && !rng.one_in(4) { 2 } else { keys.len() };
    let len = rng.below(40);
    Item {
        key: keys[rng.below(among)].clone(),
        sequence,
        value: (!rng.one_in(3)).then(|| vec![sequence as u8; len]),
    }
}

/// Keys with shared beginnings, the empty key among them.
fn some_keys(rng: &mut Rng) -> Vec<Vec<u8>> {
    let mut keys = vec![b"m".to_vec(), Vec::new(), vec![0xff; 3]];
    for _ in 0..=rng.below(60) {
        let len = rng.below(6);
        keys.push(
            (0..len)
                .map(|_| *b"\0abm\xff".get(rng.below(5)).unwrap())
                .collect(),
        );
    }
    keys
}

fn options(rng: &mut Rng) -> level_party_format::table::TableOptions {
    let block_size = 1 + rng.below(150);
    if rng.one_in(2) {
        filtered_options(block_size)
    } else {
        table_options(block_size)
    }
}

/// Files of one level, cut at random places, also between versions of one key.
fn split(fs: &MemFs, mut items: Vec<Item>, first: u64, rng: &mut Rng) -> Vec<Arc<FileMeta>> {
    sort(&mut items);
    let mut files = Vec::new();
    let mut rest = items.as_slice();
    while !rest.is_empty() {
        let (part, after) = rest.split_at(1 + rng.below(rest.len().min(30)));
        let number = first + files.len() as u64;
        files.push(write_table(fs, number, options(rng), part));
        rest = after;
    }
    files
}

/// Checks that the cursor shows this item, or none.
fn assert_shows(cursor: &Cursor, item: Option<&Item>) {
    assert_eq!(cursor.valid(), item.is_some());
    let (key, value, sequence) = match item {
        Some(item) => (item.key.as_slice(), item.value(), item.sequence),
        None => (&[][..], &[][..], 0),
    };
    assert_eq!(cursor.key(), key);
    assert_eq!(cursor.value(), value);
    assert_eq!(cursor.sequence(), sequence);
}

/// One random move of a cursor and of a position among what it should show.
fn step(
    cursor: &mut Cursor,
    items: &[Item],
    at: Option<usize>,
    forth: bool,
    keys: &[Vec<u8>],
    rng: &mut Rng,
) -> Option<usize> {
    match rng.below(20) {
        0 => {
            cursor.seek_to_first().unwrap();
            (!items.is_empty()).then_some(0)
        }
        1 => {
            cursor.seek_to_last().unwrap();
            items.len().checked_sub(1)
        }
        pick @ 2..=4 => {
            let mut key = keys[rng.below(keys.len())].clone();
            if rng.one_in(3) {
                key.push(*b"\0m\xff".get(rng.below(3)).unwrap());
            }
            let found = items.partition_point(|item| item.key < key);
            if pick == 2 {
                cursor.seek_before(&key).unwrap();
                found.checked_sub(1)
            } else {
                cursor.seek(&key).unwrap();
                (found < items.len()).then_some(found)
            }
        }
        _ if forth => {
            cursor.next().unwrap();
            at.map(|at| at + 1).filter(|at| *at < items.len())
        }
        _ => {
            cursor.prev().unwrap();
            at.and_then(|at| at.checked_sub(1))
        }
    }
}

#[test]
fn a_cursor_shows_its_moment_whatever_way_it_moves() {
    for seed in 0..60 {
        let rng = &mut Rng::new(seed);
        let world = World::new(rng);
        for _ in 0..6 {
            let sequence = rng.below(world.last as usize + 1) as Sequence;
            let items = world.history.shown(sequence);
            let mut cursor = world.view.cursor(sequence);
            assert_shows(&cursor, None);
            let (mut at, mut forth) = (None, true);
            for _ in 0..300 {
                forth ^= rng.one_in(6);
                at = step(&mut cursor, &items, at, forth, &world.keys, rng);
                assert_shows(&cursor, at.map(|at| &items[at]));
            }
        }
    }
}

/// A scan by steps that each pass few removed and too new keys: each new cursor begins where the one before stopped.
#[test]
fn a_scan_in_bounded_steps_shows_what_one_without_bounds_does() {
    for seed in 200..230 {
        let rng = &mut Rng::new(seed);
        let world = World::new(rng);
        for sequence in [0, world.last / 3, world.last] {
            for (forth, passes) in [(true, 1), (true, 3), (false, 1), (false, 3)] {
                let mut shown = Vec::new();
                let mut at: Option<Vec<u8>> = None;
                loop {
                    let mut cursor = world.view.cursor(sequence).passing_at_most(passes);
                    match (&at, forth) {
                        (None, true) => cursor.seek_to_first().unwrap(),
                        (None, false) => cursor.seek_to_last().unwrap(),
                        (Some(key), true) => cursor.seek(key).unwrap(),
                        (Some(key), false) => {
                            cursor
                                .seek_before(&[key.as_slice(), &[0]].concat())
                                .unwrap();
                        }
                    }
                    while cursor.valid() {
                        shown.push((cursor.key().to_vec(), cursor.sequence()));
                        match forth {
                            true => cursor.next().unwrap(),
                            false => cursor.prev().unwrap(),
                        }
                    }
                    match cursor.stopped() {
                        Some(key) => at = Some(key.to_vec()),
                        None => break,
                    }
                }
                if !forth {
                    shown.reverse();
                }
                let items = world.history.shown(sequence);
                let expected = items.iter().map(|item| (item.key.clone(), item.sequence));
                assert_eq!(shown, expected.collect::<Vec<_>>(), "{seed} {passes}");
            }
        }
    }
}

#[test]
fn whole_scans_in_both_directions_show_every_key_once() {
    for seed in 100..130 {
        let rng = &mut Rng::new(seed);
        let world = World::new(rng);
        for sequence in [0, 1, world.last / 2, world.last, u64::MAX] {
            let items = world.history.shown(sequence);
            let mut cursor = world.view.cursor(sequence);
            cursor.seek_to_first().unwrap();
            for item in &items {
                assert_shows(&cursor, Some(item));
                cursor.next().unwrap();
            }
            assert_shows(&cursor, None);
            cursor.seek_to_last().unwrap();
            for item in items.iter().rev() {
                assert_shows(&cursor, Some(item));
                cursor.prev().unwrap();
            }
            assert_shows(&cursor, None);
        }
    }
}

#[test]
fn a_get_answers_as_the_history_at_every_sequence() {
    for seed in 200..220 {
        let rng = &mut Rng::new(seed);
        let world = World::new(rng);
        for key in &world.keys {
            for sequence in (0..=world.last).step_by(1 + rng.below(7)) {
                let newest = world.history.newest(key, sequence);
                let lookup = world.view.lookup(key, sequence).unwrap();
                assert_eq!(lookup.sequence(), newest.map(|(sequence, _)| *sequence));
                let value = newest.and_then(|(_, value)| value.clone());
                let entry = world.view.get(key, sequence).unwrap();
                assert_eq!(entry.map(|entry| entry.value), value);
            }
        }
    }
}

#[test]
fn writes_after_its_moment_do_not_change_what_a_cursor_shows() {
    for seed in 300..330 {
        let rng = &mut Rng::new(seed);
        let mut world = World::new(rng);
        let sequence = world.view.last_sequence();
        let items = world.history.shown(sequence);
        let mut cursor = world.view.cursor(sequence);
        let (mut at, mut forth) = (None, true);
        for _ in 0..400 {
            if rng.one_in(2) {
                world.write(rng);
            }
            forth ^= rng.one_in(6);
            at = step(&mut cursor, &items, at, forth, &world.keys, rng);
            assert_shows(&cursor, at.map(|at| &items[at]));
        }
        let now = world.view.last_sequence();
        assert_eq!(now, world.last);
        let mut cursor = world.view.cursor(now);
        cursor.seek_to_first().unwrap();
        for item in &world.history.shown(now) {
            assert_shows(&cursor, Some(item));
            cursor.next().unwrap();
        }
    }
}

#[test]
fn a_cursor_keeps_its_view_alive() {
    let rng = &mut Rng::new(7);
    let World {
        history,
        view,
        writer,
        last,
        ..
    } = World::new(rng);
    let items = history.shown(last);
    let mut cursor = view.cursor(last);
    let version = Arc::downgrade(&view.version);
    drop((view, writer));
    cursor.seek_to_first().unwrap();
    for item in &items {
        assert_shows(&cursor, Some(item));
        cursor.next().unwrap();
    }
    assert!(version.upgrade().is_some());
    drop(cursor);
    assert!(
        version.upgrade().is_none(),
        "nothing else holds the version"
    );
}

/// A view of memtables only.
fn view_of(items: &[Item]) -> (Arc<View>, MemTableWriter) {
    let (writer, mem) = memtable(items);
    let version = Arc::new(Version::empty(tables(&MemFs::new())));
    let last = items.len() as Sequence;
    (view(mem, Vec::new(), version, last), writer)
}

#[test]
fn frozen_memtable_is_read_up_to_its_last_sequence() {
    let published = [Item::put("a", 1, "one"), Item::put("b", 2, "two")];
    // A write that was inserted and never published: its sequences were given again.
    let ghosts = [
        Item::put("a", 3, "ghost"),
        Item::delete("b", 4),
        Item::put("c", 5, "ghost"),
    ];
    let (_, mem) = memtable(&[&published[..], &ghosts].concat());
    let frozen = Frozen { mem, last: 2 };
    let again = [
        Item::put("d", 3, "three"),
        Item::put("e", 4, "four"),
        Item::put("f", 5, ""),
    ];
    let (_writer, mem) = memtable(&again);
    let version = Arc::new(Version::empty(tables(&MemFs::new())));
    let view = view(mem, vec![frozen], version, 5);
    let shown: Vec<&Item> = published.iter().chain(&again).collect();
    for item in &shown {
        let found = view.get(&item.key, 5).unwrap().expect("it was published");
        assert_eq!(
            (&found.value[..], found.sequence),
            (item.value(), item.sequence)
        );
    }
    assert_eq!(view.get(b"c", 5).unwrap(), None);
    let mut cursor = view.cursor(5);
    cursor.seek_to_first().unwrap();
    for item in &shown {
        assert_shows(&cursor, Some(item));
        cursor.next().unwrap();
    }
    assert!(!cursor.valid());
    cursor.seek_to_last().unwrap();
    for item in shown.iter().rev() {
        assert_shows(&cursor, Some(item));
        cursor.prev().unwrap();
    }
    assert!(!cursor.valid());
}

#[test]
fn a_key_with_very_many_versions_is_passed_in_both_directions() {
    let mut items = vec![Item::put("a", 1, "a"), Item::put("z", 2, "z")];
    for sequence in 3..3000 {
        items.push(Item::put("hot", sequence, "x"));
    }
    let (view, _writer) = view_of(&items);
    for sequence in [2, 3, 1500, 2999] {
        let mut cursor = view.cursor(sequence);
        let shown = if sequence > 2 {
            &["a", "hot", "z"][..]
        } else {
            &["a", "z"]
        };
        cursor.seek_to_first().unwrap();
        for key in shown {
            assert_eq!(cursor.key(), key.as_bytes());
            cursor.next().unwrap();
        }
        assert!(!cursor.valid());
        cursor.seek_to_last().unwrap();
        for key in shown.iter().rev() {
            assert_eq!(cursor.key(), key.as_bytes());
            cursor.prev().unwrap();
        }
        assert!(!cursor.valid());
    }
}

#[test]
fn many_new_keys_and_many_tombstones_are_passed() {
    let mut items = vec![Item::put("a", 1, "a"), Item::put("z", 2, "z")];
    for at in 0..500 {
        items.push(Item::put(&format!("m{at:04}"), 3 + at, "x"));
    }
    for at in 0..500 {
        items.push(Item::delete(&format!("m{at:04}"), 503 + at));
    }
    let (view, _writer) = view_of(&items);
    for sequence in [2, 1002] {
        let mut cursor = view.cursor(sequence);
        cursor.seek(b"a").unwrap();
        cursor.next().unwrap();
        assert_eq!(cursor.key(), b"z");
        cursor.prev().unwrap();
        assert_eq!(cursor.key(), b"a");
    }
}

#[test]
fn the_empty_key_is_a_key() {
    let (view, _writer) = view_of(&[Item::put("", 1, "empty"), Item::put("a", 2, "a")]);
    let mut cursor = view.cursor(2);
    cursor.seek(b"").unwrap();
    assert!(cursor.valid());
    assert_eq!((cursor.key(), cursor.value()), (&b""[..], &b"empty"[..]));
    cursor.next().unwrap();
    cursor.prev().unwrap();
    assert_eq!(cursor.value(), b"empty");
    cursor.seek_before(b"").unwrap();
    assert!(!cursor.valid());
    cursor.seek_before(b"a").unwrap();
    assert_eq!(cursor.value(), b"empty");
}

#[test]
fn a_damaged_block_ends_a_cursor_with_an_error_and_it_can_seek_beyond() {
    let fs = MemFs::new();
    let items = numbered(300, 40);
    let meta = write_table(&fs, 4, table_options(200), &items);
    let tables = tables(&fs);
    let table = meta.table(&tables).unwrap().to_arc();
    let bad = table.index().len() / 2;
    let offset = table.index().handle(bad).unwrap().offset;
    fs.change("000004.ldb", |bytes| bytes[offset as usize + 9] ^= 1)
        .unwrap();
    let mut blocks = BTreeMap::<usize, Vec<&Item>>::new();
    for item in &items {
        let block = table.index().find(table.comparator(), &item.internal_key());
        blocks.entry(block).or_default().push(item);
    }

    let mut levels = <[Vec<Arc<FileMeta>>; 7]>::default();
    levels[0].push(meta);
    let version = Arc::new(Version::new(levels, tables));
    let (_writer, mem) = memtable(&[]);
    let view = view(mem, Vec::new(), version, 300);
    let mut cursor = view.cursor(300);
    cursor.seek_to_first().unwrap();
    let mut seen = 0;
    let error = loop {
        assert_eq!(cursor.key(), items[seen].key);
        seen += 1;
        if let Err(error) = cursor.next() {
            break error;
        }
    };
    assert!(!cursor.valid());
    assert_eq!(
        items[seen], *blocks[&bad][0],
        "the error comes where the block begins"
    );
    assert_eq!(error.kind(), ErrorKind::Corruption);
    assert_eq!(
        (error.file(), error.offset()),
        (Some("000004.ldb"), Some(offset))
    );

    let after = blocks[&(bad + 1)][0];
    cursor.seek(&after.key).unwrap();
    assert_shows(&cursor, Some(after));
    assert!(cursor.prev().is_err());
    cursor.seek_to_last().unwrap();
    assert_shows(&cursor, items.last());
    assert!(cursor.seek(&blocks[&bad][0].key).is_err());
    assert!(view.get(&blocks[&bad][0].key, 300).is_err());
    assert!(view.get(&after.key, 300).unwrap().is_some());
}

#[test]
fn a_cursor_opens_only_the_tables_it_comes_to() {
    let fs = WatchedFs::default();
    let items = numbered(50, 10);
    let mut levels = <[Vec<Arc<FileMeta>>; 7]>::default();
    for (number, part) in (1..).zip(items.chunks(10)) {
        levels[1].push(write_table(&fs, number, table_options(100), part));
    }
    let version = Arc::new(Version::new(levels, tables(&fs)));
    let (_writer, mem) = memtable(&[]);
    let view = view(mem, Vec::new(), version, 50);
    let mut cursor = view.cursor(50);
    assert_eq!(fs.opens(), 0);
    cursor.seek(b"000025").unwrap();
    assert_eq!(fs.opens(), 1);
    fs.files.remove("000001.ldb").unwrap();
    cursor.seek(b"000031").unwrap();
    assert_eq!((cursor.key(), fs.opens()), (&b"000031"[..], 2));
    assert!(cursor.seek(b"000001").is_err());
}

#[test]
fn readers_beside_a_writer_see_whole_groups_in_both_directions() {
    // Every group of writes gives both keys the same value, and is published as one.
    let (mut writer, mem) = memtable(&[Item::put("a", 1, "0"), Item::put("b", 2, "0")]);
    let version = Arc::new(Version::empty(tables(&MemFs::new())));
    let view = view(mem, Vec::new(), version, 2);
    let last = 2 + 2 * 3000;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for sequence in (3..=last).step_by(2) {
                let value = sequence.to_string();
                insert(&mut writer, &Item::put("a", sequence, &value));
                insert(&mut writer, &Item::put("b", sequence + 1, &value));
                publish(&view, sequence + 1);
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                let mut at = 0;
                while at < last {
                    at = view.last_sequence();
                    let mut cursor = view.cursor(at);
                    cursor.seek_to_first().unwrap();
                    let value = cursor.value().to_vec();
                    assert_eq!((cursor.key(), cursor.sequence()), (&b"a"[..], at - 1));
                    cursor.next().unwrap();
                    assert_eq!((cursor.key(), cursor.value()), (&b"b"[..], &value[..]));
                    cursor.prev().unwrap();
                    assert_eq!((cursor.key(), cursor.value()), (&b"a"[..], &value[..]));
                    cursor.seek_to_last().unwrap();
                    assert_eq!((cursor.key(), cursor.sequence()), (&b"b"[..], at));
                    let entry = view.get(b"b", at).unwrap().unwrap();
                    assert_eq!((entry.value, entry.sequence), (value, at));
                }
            });
        }
    });
}

/// Changes a byte of a block and makes its checksum right again, as if it had been written so.
fn forge(
    bytes: &mut [u8],
    at: usize,
    block: level_party_format::table::BlockHandle,
    rng: &mut Rng,
) {
    use level_party_format::crc;
    bytes[at] = rng.next() as u8;
    let (start, end) = (
        block.offset as usize,
        (block.offset + block.size) as usize + 1,
    );
    let sum = crc::mask(crc::crc32c(&bytes[start..end]));
    bytes[end..end + 4].copy_from_slice(&sum.to_le_bytes());
}

#[test]
fn forged_blocks_give_wrong_answers_or_errors_but_every_walk_ends() {
    let mut writes = Vec::new();
    for sequence in 1..=400 {
        writes.push(match sequence % 7 {
            0 => Item::delete(&format!("k{}", sequence % 5), sequence),
            _ => Item::put(&format!("k{}", sequence % 5), sequence, "value"),
        });
    }
    sort(&mut writes);
    for seed in 0..400 {
        let rng = &mut Rng::new(seed);
        let fs = MemFs::new();
        let mut options = table_options(1000);
        options.compression = level_party_format::table::Compression::None;
        let meta = write_table(&fs, 4, options, &writes);
        let tables = tables(&fs);
        let table = meta.table(&tables).unwrap().to_arc();
        for _ in 0..=rng.below(4) {
            let block = table
                .index()
                .handle(rng.below(table.index().len()))
                .unwrap();
            let at = block.offset as usize + rng.below(block.size as usize);
            fs.change("000004.ldb", |bytes| forge(bytes, at, block, rng))
                .unwrap();
        }
        let mut levels = <[Vec<Arc<FileMeta>>; 7]>::default();
        levels[1].push(meta);
        let version = Arc::new(Version::new(levels, tables));
        let (_writer, mem) = memtable(&[]);
        let view = view(mem, Vec::new(), version, 400);
        for sequence in [0, 60, 200, 400] {
            let mut cursor = view.cursor(sequence);
            let mut forward = cursor.seek_to_first();
            let mut steps = 0;
            while forward.is_ok() && cursor.valid() {
                steps += 1;
                assert!(steps <= writes.len());
                forward = cursor.next();
            }
            let mut backward = cursor.seek_to_last();
            while backward.is_ok() && cursor.valid() {
                steps += 1;
                assert!(steps <= 2 * writes.len());
                backward = cursor.prev();
            }
            for key in 0..5 {
                let _ = view.get(format!("k{key}").as_bytes(), sequence);
            }
        }
    }
}

#[test]
fn a_key_far_from_where_the_manifest_says_cannot_send_a_search_in_a_circle() {
    let fs = MemFs::new();
    let versions = |from: Sequence| {
        let newest_first = (from..from + 40).rev();
        newest_first
            .map(|sequence| Item::put("k1", sequence, "x"))
            .collect::<Vec<_>>()
    };
    let mut levels = <[Vec<Arc<FileMeta>>; 7]>::default();
    // The second file says it begins with another key, but has more of the first one's.
    for (number, items, first, last) in [
        (1, versions(200), "k1", "k1"),
        (2, versions(100), "k2", "k3"),
    ] {
        let size = write_table(&fs, number, table_options(100), &items).size;
        let (smallest, largest) = (
            key::seek_key(first.as_bytes(), 300),
            key::seek_key(last.as_bytes(), 1),
        );
        levels[1].push(Arc::new(FileMeta::new(number, size, smallest, largest)));
    }
    let version = Arc::new(Version::new(levels, tables(&fs)));
    version.check_order().unwrap();
    let (_writer, mem) = memtable(&[]);
    let view = view(mem, Vec::new(), version, 300);
    let mut cursor = view.cursor(5);
    cursor.seek_to_first().unwrap();
    assert!(!cursor.valid());
}
