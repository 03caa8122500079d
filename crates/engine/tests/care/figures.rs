//! Properties in LevelDB's text, approximate sizes, and what was counted.

use level_party_engine::{KeyRange, LevelWork, MemFs, Options};

use crate::support::{Rng, open, put, settle, tiny};

fn noise(rng: &mut Rng, len: usize) -> Vec<u8> {
    (0..len).map(|_| rng.next() as u8).collect()
}

#[test]
fn properties_are_in_leveldbs_own_words() {
    let engine = open(&MemFs::new(), &Options::default());
    let none = (0..7).map(|level| format!("--- level {level} ---\n"));
    assert_eq!(
        engine.property("leveldb.sstables").unwrap(),
        none.collect::<String>()
    );
    put(&engine, b"a\"", b"1").unwrap();
    put(&engine, b"z\xff", b"1").unwrap();
    engine.flush().unwrap();
    let size = engine.stats().bytes_per_level[0];
    let tables = engine.property("leveldb.sstables").unwrap();
    let line =
        format!("--- level 0 ---\n 5:{size}['a\"' @ 1 : 1 .. 'z\\xff' @ 2 : 1]\n--- level 1 ---\n");
    assert!(tables.starts_with(&line), "{tables}");
    let stats = engine.property("leveldb.stats").unwrap();
    let lines: Vec<&str> = stats.lines().collect();
    assert_eq!(
        lines[1],
        "Level  Files Size(MB) Time(sec) Read(MB) Write(MB)"
    );
    assert_eq!(
        lines[3],
        "  0        1        0         0        0         0"
    );
    assert_eq!(lines.len(), 4);
    assert_eq!(engine.property("leveldb.num-files-at-level0").unwrap(), "1");
    let memory: u64 = engine
        .property("leveldb.approximate-memory-usage")
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(memory, engine.stats().memtable_bytes);
    for unknown in [
        "",
        "leveldb.",
        "leveldb.num-files-at-level",
        "leveldb.num-files-at-level7",
        "leveldb.num-files-at-level+1",
        "stats",
    ] {
        assert_eq!(engine.property(unknown), None, "{unknown}");
    }
}

#[test]
fn approximate_sizes_add_up_and_follow_the_data() {
    let engine = open(&MemFs::new(), &tiny());
    let mut rng = Rng(1);
    for number in 0..2_000 {
        let value = noise(&mut rng, 100);
        put(&engine, format!("{number:04}").as_bytes(), &value).unwrap();
    }
    engine.flush().unwrap();
    settle(&engine, tiny().max_file_size);
    let size = |range: KeyRange| engine.approximate_size(&range).unwrap();
    let all = size(KeyRange::all());
    assert_eq!(all, engine.stats().bytes_per_level.iter().sum::<u64>());
    let half = size(KeyRange::new("0500".."1500"));
    assert!(
        half * 10 > all * 4 && half * 10 < all * 6,
        "{half} of {all}"
    );
    let parts = size(KeyRange::new(.."0700")) + size(KeyRange::new("0700"..));
    assert_eq!(parts, all);
    assert_eq!(size(KeyRange::new("5".."6")), 0);
    assert_eq!(size(KeyRange::new("1500".."0500")), 0);
}

#[test]
fn the_work_of_flushes_and_compactions_is_counted() {
    let engine = open(&MemFs::new(), &tiny());
    let mut rng = Rng(2);
    assert_eq!(engine.stats().work_per_level, [LevelWork::default(); 7]);
    for _ in 0..4_000 {
        let (key, value) = (noise(&mut rng, 1), noise(&mut rng, 50));
        put(&engine, &key, &value).unwrap();
    }
    engine.compact_range(None, None).unwrap();
    let work = engine.stats().work_per_level;
    assert!(
        work[0].compactions > 5 && work[0].bytes_written > 100_000,
        "{work:?}"
    );
    assert_eq!(work[0].bytes_read, 0);
    assert!(
        work[1].compactions > 0 && work[1].bytes_read > work[1].bytes_written,
        "{work:?}"
    );
}
