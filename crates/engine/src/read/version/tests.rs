use super::*;
use crate::base::entry::Entry;
use crate::base::fs::{Fs, MemFs};
use crate::testing::{Item, WatchedFs, table_options, tables, write_table};

type Levels = [Vec<Arc<FileMeta>>; LEVELS];

/// A file that is never opened, from one user key to another.
fn file(number: u64, first: &str, last: &str) -> Arc<FileMeta> {
    let smallest = key::seek_key(first.as_bytes(), 9);
    let largest = key::seek_key(last.as_bytes(), 1);
    Arc::new(FileMeta::new(number, number * 100, smallest, largest))
}

fn version(levels: Levels) -> Version {
    Version::new(levels, tables(&MemFs::new()))
}

fn numbers(files: &[Arc<FileMeta>]) -> Vec<u64> {
    files.iter().map(|file| file.number).collect()
}

fn found(value: &str, sequence: u64) -> Lookup {
    let value = value.into();
    Lookup::Found(Entry { value, sequence })
}

#[test]
fn level_zero_is_kept_newest_first_and_deeper_levels_by_key() {
    let mut levels = Levels::default();
    levels[0] = vec![file(3, "a", "b"), file(9, "a", "z"), file(5, "c", "d")];
    levels[1] = vec![file(7, "m", "n"), file(8, "a", "c"), file(2, "e", "f")];
    let version = version(levels);
    assert_eq!(numbers(version.level(0)), [9, 5, 3]);
    assert_eq!(numbers(version.level(1)), [8, 2, 7]);
    assert!(version.level(2).is_empty() && version.level(99).is_empty());
    assert_eq!(version.level_bytes(1), 1700);
    assert_eq!(version.files().count(), 6);
    version.check_order().unwrap();
}

#[test]
fn overlapping_files_are_found_with_open_and_closed_bounds() {
    let mut levels = Levels::default();
    levels[1] = vec![file(1, "b", "d"), file(2, "f", "h"), file(3, "k", "m")];
    let version = version(levels);
    let find = |begin: Option<&str>, end: Option<&str>| {
        let (begin, end) = (begin.map(str::as_bytes), end.map(str::as_bytes));
        let found = version.overlapping(1, begin, end);
        assert_eq!(version.overlaps(1, begin, end), !found.is_empty());
        numbers(&found)
    };
    assert_eq!(find(None, None), [1, 2, 3]);
    assert_eq!(find(Some("d"), Some("f")), [1, 2]);
    assert_eq!(find(Some("e"), Some("e")), [0; 0]);
    assert_eq!(find(None, Some("a")), [0; 0]);
    assert_eq!(find(None, Some("")), [0; 0]);
    assert_eq!(find(Some(""), None), [1, 2, 3]);
    assert_eq!(find(Some("n"), None), [0; 0]);
    assert_eq!(find(Some("g"), None), [2, 3]);
    assert_eq!(find(None, Some("g")), [1, 2]);
}

#[test]
fn overlap_on_level_zero_widens_until_it_is_closed() {
    let mut levels = Levels::default();
    levels[0] = vec![
        file(1, "a", "c"),
        file(2, "b", "f"),
        file(3, "e", "k"),
        file(4, "m", "n"),
    ];
    let version = version(levels);
    assert_eq!(
        numbers(&version.overlapping(0, Some(b"c"), Some(b"c"))),
        [3, 2, 1]
    );
    assert_eq!(numbers(&version.overlapping(0, Some(b"m"), None)), [4]);
    assert_eq!(
        numbers(&version.overlapping(0, None, Some(b"a"))),
        [3, 2, 1]
    );
    assert_eq!(
        numbers(&version.overlapping(0, Some(b"l"), Some(b"l"))),
        [0; 0]
    );
}

#[test]
fn files_out_of_order_are_told() {
    let mut levels = Levels::default();
    levels[1] = vec![file(1, "d", "b")];
    assert!(version(levels).check_order().is_err());
    let mut levels = Levels::default();
    levels[2] = vec![file(1, "b", "d"), file(2, "d", "f")];
    let error = version(levels).check_order().unwrap_err();
    assert!(error.what.contains("tables 1 and 2"), "{error}");
    let mut levels = Levels::default();
    levels[0] = vec![file(1, "b", "d"), file(2, "d", "f")];
    version(levels).check_order().unwrap();
}

#[test]
fn a_get_asks_level_zero_newest_first_and_then_down() {
    let fs = MemFs::new();
    let mut levels = Levels::default();
    let put = |number, items: &[Item]| write_table(&fs, number, table_options(50), items);
    levels[0] = vec![
        put(5, &[Item::put("a", 50, "old"), Item::put("c", 51, "c")]),
        put(7, &[Item::put("a", 70, "new"), Item::delete("d", 71)]),
        put(6, &[Item::put("b", 60, "b")]),
    ];
    levels[1] = vec![put(
        4,
        &[Item::put("a", 10, "older"), Item::put("d", 11, "d")],
    )];
    levels[3] = vec![put(3, &[Item::put("e", 1, "deep")])];
    let version = Version::new(levels, tables(&fs));
    let get = |key: &str, sequence| version.get(key.as_bytes(), sequence).unwrap();
    assert_eq!(get("a", 100), found("new", 70));
    assert_eq!(get("a", 69), found("old", 50));
    assert_eq!(get("a", 49), found("older", 10));
    assert_eq!(get("a", 9), Lookup::Absent);
    assert_eq!(get("b", 100), found("b", 60));
    assert_eq!(get("d", 100), Lookup::Deleted { sequence: 71 });
    assert_eq!(get("d", 70), found("d", 11));
    assert_eq!(get("e", 100), found("deep", 1));
    assert_eq!(get("f", 100), Lookup::Absent);
}

#[test]
fn versions_of_a_key_split_over_files_of_a_level_are_all_found() {
    let fs = MemFs::new();
    let mut levels = Levels::default();
    let put = |number, items: &[Item]| write_table(&fs, number, table_options(1), items);
    levels[1] = vec![
        put(
            1,
            &[
                Item::put("a", 90, "a"),
                Item::put("k", 80, "80"),
                Item::put("k", 70, "70"),
            ],
        ),
        put(2, &[Item::put("k", 60, "60")]),
        put(
            3,
            &[
                Item::delete("k", 50),
                Item::put("k", 40, "40"),
                Item::put("z", 30, "z"),
            ],
        ),
    ];
    let version = Version::new(levels, tables(&fs));
    version.check_order().unwrap();
    let get = |sequence| version.get(b"k", sequence).unwrap();
    assert_eq!(get(100), found("80", 80));
    assert_eq!(get(79), found("70", 70));
    assert_eq!(get(69), found("60", 60));
    assert_eq!(get(59), Lookup::Deleted { sequence: 50 });
    assert_eq!(get(49), found("40", 40));
    assert_eq!(get(39), Lookup::Absent);
    assert_eq!(version.get(b"a", 100).unwrap(), found("a", 90));
    assert_eq!(version.get(b"z", 100).unwrap(), found("z", 30));
}

#[test]
fn a_get_opens_only_the_files_that_span_its_key() {
    let fs = WatchedFs::default();
    let mut levels = Levels::default();
    let put = |number, items: &[Item]| write_table(&fs, number, table_options(50), items);
    levels[0] = vec![put(9, &[Item::put("x", 9, "x")])];
    levels[1] = vec![
        put(1, &[Item::put("a", 1, "a")]),
        put(2, &[Item::put("m", 2, "m")]),
    ];
    let version = Version::new(levels, tables(&fs));
    assert_eq!(version.get(b"b", 10).unwrap(), Lookup::Absent);
    assert_eq!(fs.opens(), 0);
    fs.files.remove("000001.ldb").unwrap();
    fs.files.remove("000009.ldb").unwrap();
    assert_eq!(version.get(b"m", 10).unwrap(), found("m", 2));
    assert_eq!(fs.opens(), 1);
    assert!(version.get(b"a", 10).is_err());
    assert!(version.get(b"x", 10).is_err());
}

/// Two levels: the upper table spans the keys of the lower.
fn two_levels() -> Version {
    let fs = MemFs::new();
    let mut levels = Levels::default();
    let put = |number, items: &[Item]| write_table(&fs, number, table_options(50), items);
    levels[1] = vec![put(5, &[Item::put("a", 9, "a"), Item::put("z", 9, "z")])];
    levels[2] = vec![put(4, &[Item::put("m", 5, "m"), Item::put("n", 5, "n")])];
    levels[3] = vec![put(3, &[Item::put("b", 1, "b"), Item::put("x", 1, "x")])];
    Version::new(levels, tables(&fs))
}

fn worn(version: &Version) -> Option<(usize, u64)> {
    version.worn().map(|(level, file)| (*level, file.number))
}

#[test]
fn a_get_that_looks_into_a_second_table_costs_the_first_a_seek() {
    let version = two_levels();
    for _ in 0..1000 {
        assert_eq!(version.get(b"a", 9).unwrap(), found("a", 9));
        assert_eq!(version.get(b"zz", 9).unwrap(), Lookup::Absent);
    }
    // Two or three tables: it is one seek, and the first table's.
    for at in 0..100 {
        assert_eq!(worn(&version), None, "after {at}");
        let (key, value, sequence) = [("m", "m", 5), ("x", "x", 1)][at % 2];
        assert_eq!(
            version.get(key.as_bytes(), 9).unwrap(),
            found(value, sequence)
        );
    }
    assert_eq!(worn(&version), Some((1, 5)));
    for _ in 0..1000 {
        version.get(b"m", 4).unwrap();
    }
    assert_eq!(worn(&version), Some((1, 5)), "one at a time");
}

#[test]
fn a_sample_of_an_iterators_reads_costs_as_a_get_does() {
    let version = two_levels();
    for _ in 0..100 {
        assert_eq!(worn(&version), None);
        version.sample(&key::seek_key(b"a", 9));
        version.sample(&key::seek_key(b"zz", 9));
        version.sample(b"no internal key");
        version.sample(&key::seek_key(b"m", 9));
    }
    assert_eq!(worn(&version), Some((1, 5)));
}

#[test]
fn a_large_table_has_a_seek_for_16_kib() {
    let smallest = key::seek_key(b"a", 9);
    let large = Arc::new(FileMeta::new(
        7,
        4 << 20,
        smallest.clone(),
        smallest.clone(),
    ));
    let used_up = |file: &Arc<FileMeta>| {
        let version = version(Levels::default());
        let mut charges = 0;
        while version.worn().is_none() {
            version.worn.charge(2, file);
            charges += 1;
        }
        charges
    };
    assert_eq!(used_up(&large), 256);
    assert_eq!(used_up(&large), 1, "it stays worn in the next version");
    large.seeks().renew(large.size);
    assert_eq!(used_up(&large), 256);
    let claimed = Arc::new(FileMeta::new(8, u64::MAX, smallest.clone(), smallest));
    version(Levels::default()).worn.charge(2, &claimed);
}
