//! Repair, by class of damage: what is kept, what must not come back, what is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use level_party_engine::{
    Comparator, Compression, ErrorKind, Fs, MemFs, Options, RecoveryMode, Repair, Repaired,
    WriteBatch, verify,
};
use level_party_format::edit::{NewFile, VersionEdit};
use level_party_format::filename;
use level_party_format::key::{self, InternalComparator, ValueType};
use level_party_format::log::LogWriter;
use level_party_format::table::{TableBuilder, TableOptions};

use crate::support::{contents, names, open, put};

const BYTEWISE: &str = "leveldb.BytewiseComparator";

/// One write: key, sequence, and the value or a deletion.
type Entry<'a> = (&'a str, u64, Option<&'a str>);

/// A directory made file by file.
struct Maker {
    fs: MemFs,
    edits: Vec<VersionEdit>,
}

impl Maker {
    fn new() -> Maker {
        Maker {
            fs: MemFs::new(),
            edits: vec![VersionEdit {
                comparator: Some(BYTEWISE.to_owned()),
                ..VersionEdit::default()
            }],
        }
    }

    /// A table with these entries, which must be in order. It is in no manifest yet.
    fn table(&self, number: u64, entries: &[Entry<'_>]) -> NewFile {
        let options = TableOptions {
            block_size: 64,
            ..TableOptions::default()
        };
        let mut builder = TableBuilder::new(options);
        let internal = |(key, sequence, value): &Entry<'_>| {
            let kind = match value {
                Some(_) => ValueType::Value,
                None => ValueType::Deletion,
            };
            let mut bytes = key.as_bytes().to_vec();
            bytes.extend_from_slice(&key::pack_tag(*sequence, kind).to_le_bytes());
            bytes
        };
        for entry in entries {
            builder.add(&internal(entry), entry.2.unwrap_or_default().as_bytes());
        }
        builder.finish();
        let bytes = builder.output().clone();
        let file = NewFile {
            number,
            size: bytes.len() as u64,
            smallest: internal(&entries[0]),
            largest: internal(entries.last().unwrap()),
        };
        self.fs.write(&filename::table(number), bytes);
        file
    }

    fn log(&self, number: u64, entries: &[Entry<'_>]) {
        self.log_from(number, None, entries);
    }

    /// A log that says with its first record which sequence it begins with.
    fn log_from(&self, number: u64, first: Option<u64>, entries: &[Entry<'_>]) {
        let mut bytes = Vec::new();
        let mut writer = LogWriter::new();
        if let Some(first) = first {
            let mut beginning = WriteBatch::new();
            beginning.set_sequence(first);
            writer.add_record(beginning.as_bytes(), &mut bytes);
        }
        for (key, sequence, value) in entries {
            let mut batch = WriteBatch::new();
            match value {
                Some(value) => batch.put(key.as_bytes(), value.as_bytes()),
                None => batch.delete(key.as_bytes()),
            }
            batch.set_sequence(*sequence);
            writer.add_record(batch.as_bytes(), &mut bytes);
        }
        self.fs.write(&filename::log(number), bytes);
    }

    fn edit(
        &mut self,
        log: u64,
        last: u64,
        removed: &[(usize, u64)],
        added: Vec<(usize, NewFile)>,
    ) {
        self.edits.push(VersionEdit {
            log_number: Some(log),
            prev_log_number: Some(0),
            next_file_number: Some(90),
            last_sequence: Some(last),
            deleted_files: removed.to_vec(),
            new_files: added,
            ..VersionEdit::default()
        });
    }

    /// Writes the manifest, without its last bytes, and `CURRENT`.
    fn manifest(&self, number: u64, cut: usize) {
        let mut bytes = Vec::new();
        let mut writer = LogWriter::new();
        for edit in &self.edits {
            writer.add_record(&edit.encode(), &mut bytes);
        }
        bytes.truncate(bytes.len() - cut);
        self.fs.write(&filename::manifest(number), bytes);
        self.fs
            .write("CURRENT", filename::current_contents(number).into_bytes());
    }

    fn repair(&self) -> Repaired {
        repair(&self.fs)
    }
}

fn shared(fs: &MemFs) -> Arc<dyn Fs> {
    Arc::new(fs.clone())
}

fn repair(fs: &MemFs) -> Repaired {
    let repaired = Repair::new(shared(fs), Options::default())
        .dry_run(false)
        .run()
        .unwrap();
    let found = verify(&shared(fs), &Comparator::default()).unwrap();
    assert!(found.is_sound(), "{found:?}");
    let again = Repair::new(shared(fs), Options::default()).run().unwrap();
    assert_eq!(again, Repaired::default(), "a second repair finds nothing");
    repaired
}

/// What the repaired database has, also after it was opened, written to, and opened again.
fn shown(fs: &MemFs) -> BTreeMap<String, String> {
    let replaced: Vec<String> = replaced(fs);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let mut shown = BTreeMap::new();
    for round in 0..3 {
        let engine = open(fs, &Options::default());
        let all = contents(&engine)
            .into_iter()
            .map(|(key, value)| (text(key), text(value)));
        let now: BTreeMap<_, _> = all.filter(|(key, _)| !key.starts_with('~')).collect();
        assert!(round == 0 || now == shown, "{now:?} after {shown:?}");
        shown = now;
        for number in 0..40 {
            put(&engine, format!("~{round}{number}").as_bytes(), b"new").unwrap();
        }
        engine.flush().unwrap();
        engine.close().unwrap();
    }
    for name in replaced {
        assert!(fs.exists(&name).unwrap(), "{name} was removed");
    }
    shown
}

fn replaced(fs: &MemFs) -> Vec<String> {
    let mut names = fs.list().unwrap();
    names.retain(|name| name.starts_with("level-party.replaced-"));
    names
}

fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = entries
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    owned.collect()
}

/// LevelDB's edits carry the last sequence of all, not only of what is in tables.
#[test]
fn flush_whose_edit_is_lost_is_found_in_its_table() {
    let mut maker = Maker::new();
    let old = maker.table(5, &[("a", 1, Some("old")), ("b", 2, Some("old"))]);
    maker.edit(7, 9, &[], vec![(1, old)]);
    // Log 7 became table 8 and was removed; the edit that says so is torn.
    let flushed = maker.table(8, &[("a", 3, Some("new")), ("c", 4, Some("new"))]);
    maker.edit(9, 9, &[], vec![(0, flushed)]);
    maker.log(9, &[("d", 5, Some("live"))]);
    maker.manifest(4, 3);
    assert!(maker.repair().done);
    let right = map(&[("a", "new"), ("b", "old"), ("c", "new"), ("d", "live")]);
    assert_eq!(shown(&maker.fs), right);
}

#[test]
fn table_that_an_edit_removed_stays_out_when_another_is_missing() {
    let mut maker = Maker::new();
    let old = maker.table(5, &[("a", 1, Some("deleted")), ("m", 2, Some("deleted"))]);
    let gone = maker.table(6, &[("x", 3, Some("lost")), ("z", 4, Some("lost"))]);
    maker.edit(7, 4, &[], vec![(1, old), (1, gone)]);
    // Table 5 was compacted to nothing, and not removed from the disk yet.
    maker.edit(7, 6, &[(1, 5)], vec![]);
    maker.log(7, &[("y", 7, Some("live"))]);
    maker.manifest(4, 0);
    maker.fs.remove("000006.ldb").unwrap();
    let repaired = maker.repair();
    assert!(repaired.lost.iter().any(|lost| lost.contains("000006.ldb")));
    assert_eq!(shown(&maker.fs), map(&[("y", "live")]));
    assert!(replaced(&maker.fs).contains(&"level-party.replaced-000005.ldb".to_owned()));
}

#[test]
fn damaged_table_is_filled_from_older_ones_in_its_range() {
    let mut maker = Maker::new();
    maker.table(
        2,
        &[
            ("a", 1, Some("deleted")),
            ("k", 2, Some("kept")),
            ("l", 3, Some("old")),
        ],
    );
    let table = maker.table(5, &[("k", 2, Some("kept")), ("m", 4, Some("lost"))]);
    let newer = maker.table(6, &[("l", 8, Some("newer"))]);
    maker.edit(7, 8, &[], vec![(2, table), (1, newer)]);
    maker.log(7, &[]);
    maker.manifest(4, 0);
    maker
        .fs
        .change("000005.ldb", |bytes| bytes.clear())
        .unwrap();
    let repaired = maker.repair();
    assert!(
        repaired
            .actions
            .iter()
            .any(|it| it.contains("may come back among them"))
    );
    assert_eq!(shown(&maker.fs), map(&[("k", "kept"), ("l", "newer")]));
}

/// The checksums say that the entries are as they were written.
#[test]
fn entries_outside_the_range_of_their_table_are_kept() {
    for level in [0, 2] {
        let mut maker = Maker::new();
        let mut table = maker.table(
            5,
            &[
                ("a", 1, Some("old")),
                ("b", 2, Some("in range")),
                ("c", 3, Some("outside")),
            ],
        );
        table.smallest = b"b\x01\x02\0\0\0\0\0\0".to_vec();
        table.largest = table.smallest.clone();
        let newer = maker.table(6, &[("a", 8, Some("newer"))]);
        maker.edit(7, 8, &[], vec![(level, table), (level, newer)]);
        maker.log(7, &[]);
        maker.manifest(4, 0);
        let repaired = maker.repair();
        assert!(repaired.lost.is_empty(), "{repaired:?}");
        assert!(
            repaired
                .actions
                .iter()
                .any(|it| it.contains("2 entries of 000005.ldb"))
        );
        let right = map(&[("a", "newer"), ("b", "in range"), ("c", "outside")]);
        assert_eq!(shown(&maker.fs), right);
    }
}

#[test]
fn damaged_current_leaves_what_its_manifest_says() {
    let damages: [&[u8]; 7] = [
        &[0; 16],
        b"",
        b"MANIFEST-000004\r\n",
        b"MANIFEST-000004\nMANIFEST-000004\n",
        b"<<<<<<< HEAD\nMANIFEST-000004\n=======\nMANIFEST-000003\n>>>>>>> other\n",
        b"MANIFEST-000077\n",
        &[b'x'; 10_000],
    ];
    for damage in damages {
        let mut maker = Maker::new();
        maker.table(3, &[("a", 1, Some("deleted"))]);
        let table = maker.table(5, &[("b", 3, Some("alive"))]);
        maker.edit(7, 3, &[], vec![(2, table)]);
        maker.log(7, &[("c", 4, Some("alive"))]);
        maker.manifest(4, 0);
        maker.fs.write("CURRENT", damage);
        let repaired = maker.repair();
        assert!(repaired.lost.is_empty(), "{repaired:?}");
        assert_eq!(shown(&maker.fs), map(&[("b", "alive"), ("c", "alive")]));
    }
}

#[test]
fn newest_complete_manifest_replaces_a_bad_current() {
    let mut maker = Maker::new();
    let old = maker.table(5, &[("a", 1, Some("old"))]);
    maker.edit(7, 1, &[], vec![(2, old)]);
    maker.log(7, &[]);
    maker.manifest(4, 0);
    maker.edits.truncate(1);
    let new = maker.table(8, &[("a", 2, Some("new"))]);
    maker.edit(9, 2, &[], vec![(2, new)]);
    maker.log(9, &[]);
    maker.manifest(10, 0);
    maker.edits.truncate(1);
    let missing = maker.table(12, &[("a", 3, Some("never there"))]);
    maker.fs.remove("000012.ldb").unwrap();
    maker.edit(13, 3, &[], vec![(2, missing)]);
    maker.manifest(14, 0);
    maker.fs.write("CURRENT", &b""[..]);
    let repaired = maker.repair();
    assert!(
        repaired.actions[0].contains("MANIFEST-000010"),
        "{repaired:?}"
    );
    assert_eq!(shown(&maker.fs), map(&[("a", "new")]));
}

#[test]
fn current_manifest_without_its_log_yields_to_a_newer_one() {
    let mut maker = Maker::new();
    maker.edit(5, 0, &[], vec![]);
    maker.manifest(4, 0);
    let table = maker.table(7, &[("a", 1, Some("alive"))]);
    maker.edit(9, 1, &[], vec![(0, table)]);
    maker.log(9, &[]);
    maker.manifest(8, 0);
    maker.fs.write("CURRENT", &b"MANIFEST-000004\n"[..]);
    let repaired = maker.repair();
    assert_eq!(repaired.problems[0].file, "CURRENT");
    assert_eq!(shown(&maker.fs), map(&[("a", "alive")]));
}

#[test]
fn swapped_logs_keep_all_their_writes() {
    let mut maker = Maker::new();
    maker.edit(5, 0, &[], vec![]);
    maker.log_from(5, Some(3), &[("a", 3, Some("third"))]);
    maker.log_from(6, Some(1), &[("b", 1, Some("first"))]);
    maker.manifest(4, 0);
    let repaired = maker.repair();
    assert!(repaired.lost.is_empty(), "{repaired:?}");
    assert_eq!(shown(&maker.fs), map(&[("a", "third"), ("b", "first")]));
}

#[test]
fn another_comparator_is_refused_from_any_readable_manifest() {
    let mut maker = Maker::new();
    maker.edits[0].comparator = Some("idb_cmp1".to_owned());
    let table = maker.table(5, &[("a", 1, Some("1"))]);
    maker.edit(7, 1, &[], vec![(2, table)]);
    maker.log(7, &[]);
    maker.manifest(4, 0);
    maker.fs.write("CURRENT", &b""[..]);
    let before = maker.fs.list().unwrap();
    let error = Repair::new(shared(&maker.fs), Options::default())
        .dry_run(false)
        .run()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ComparatorMismatch);
    assert!(error.to_string().contains("idb_cmp1"), "{error}");
    assert_eq!(maker.fs.list().unwrap(), before);
}

#[test]
fn descending_keys_without_manifest_are_refused() {
    let fs = MemFs::new();
    // Under an order of its own the table is as it should be.
    let reversed = level_party_format::Comparator::Custom(Arc::new(Descending));
    let mut builder = TableBuilder::new(TableOptions {
        comparator: InternalComparator::new(reversed),
        ..TableOptions::default()
    });
    for number in (0..1000u64).rev() {
        let mut internal_key = format!("{number:04}").into_bytes();
        let tag = key::pack_tag(number + 1, ValueType::Value);
        internal_key.extend_from_slice(&tag.to_le_bytes());
        builder.add(&internal_key, b"value");
    }
    builder.finish();
    fs.write("000005.ldb", builder.output().clone());
    let plan = Repair::new(shared(&fs), Options::default()).run().unwrap();
    assert!(plan.refusal.unwrap().contains("another comparator"));
    assert!(plan.problems.len() < 10, "{:?}", plan.problems);
    let error = Repair::new(shared(&fs), Options::default())
        .dry_run(false)
        .run()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ComparatorMismatch);
    assert_eq!(fs.list().unwrap(), ["000005.ldb"]);
}

struct Descending;

impl level_party_format::CustomComparator for Descending {
    fn name(&self) -> &'static str {
        "descending"
    }

    fn compare(&self, a: &[u8], b: &[u8]) -> std::cmp::Ordering {
        b.cmp(a)
    }
}

#[test]
fn blocks_are_found_where_footer_or_index_is_gone() {
    let entries: Vec<(String, u64)> = (0..60u64).map(|n| (format!("key{n:03}"), n + 1)).collect();
    let entries: Vec<Entry<'_>> = entries
        .iter()
        .map(|(key, sequence)| {
            (
                key.as_str(),
                *sequence,
                Some("some value that is not short"),
            )
        })
        .collect();
    let damages: [fn(&mut Vec<u8>); 5] = [
        |bytes| bytes.truncate(bytes.len() - 1),
        |bytes| bytes.truncate(bytes.len() - 48),
        |bytes| {
            let at = bytes.len() - 60;
            bytes[at] ^= 1; // in the index
        },
        |bytes| {
            let at = bytes.len() - 48;
            bytes[at..].fill(0);
            bytes[20] ^= 1; // and the first block
        },
        |bytes| bytes.truncate(bytes.len() / 2),
    ];
    for (at, damage) in damages.into_iter().enumerate() {
        for named in [true, false] {
            let mut maker = Maker::new();
            let table = maker.table(5, &entries);
            maker.edit(7, 60, &[], vec![(2, table)]);
            maker.log(7, &[]);
            maker.manifest(4, 0);
            if !named {
                maker.fs.remove("MANIFEST-000004").unwrap();
                maker.fs.remove("CURRENT").unwrap();
            }
            maker.fs.change("000005.ldb", damage).unwrap();
            let repaired = maker.repair();
            let note = |it: &String| it.contains("found by their checksums");
            assert!(repaired.actions.iter().any(note), "{repaired:?}");
            let shown = shown(&maker.fs);
            let right = [60, 60, 60, 57, 20];
            assert!(shown.len() >= right[at], "damage {at}: {}", shown.len());
            assert!(
                shown
                    .values()
                    .all(|value| value == "some value that is not short")
            );
        }
    }
}

#[test]
fn two_histories_in_logs_are_both_kept_and_said() {
    let mut maker = Maker::new();
    maker.edit(5, 0, &[], vec![]);
    maker.log(
        5,
        &[
            ("a", 1, Some("1")),
            ("b", 2, Some("2")),
            ("a", 3, Some("3")),
        ],
    );
    maker.log(
        6,
        &[
            ("c", 1, Some("4")),
            ("a", 2, Some("5")),
            ("b", 3, Some("6")),
        ],
    );
    maker.manifest(4, 0);
    // Something has to be wrong for a repair.
    maker.fs.write("CURRENT", &b""[..]);
    maker
        .fs
        .change("MANIFEST-000004", |bytes| bytes.clear())
        .unwrap();
    let repaired = maker.repair();
    let said = |it: &&String| it.contains("repeat sequences of earlier batches");
    assert_eq!(
        repaired.actions.iter().filter(said).count(),
        0,
        "each log is in order"
    );
    assert_eq!(shown(&maker.fs), map(&[("a", "3"), ("b", "6"), ("c", "4")]));

    let mut maker = Maker::new();
    maker.edit(5, 0, &[], vec![]);
    maker.log(
        5,
        &[
            ("a", 1, Some("1")),
            ("b", 9, Some("2")),
            ("c", 2, Some("3")),
            ("b", 3, Some("4")),
        ],
    );
    maker.manifest(4, 0);
    maker
        .fs
        .change("000005.log", |bytes| bytes[8] ^= 1)
        .unwrap();
    let repaired = maker.repair();
    assert_eq!(
        repaired.actions.iter().filter(said).count(),
        1,
        "{repaired:?}"
    );
    assert_eq!(shown(&maker.fs), map(&[("b", "2"), ("c", "3")]));
}

#[test]
fn nothing_kept_is_refused_unless_allowed() {
    let maker = Maker::new();
    maker.fs.write("000005.ldb", vec![7; 5000]);
    maker.fs.write("000006.log", vec![7; 5000]);
    let before = maker.fs.list().unwrap();
    let repair = || Repair::new(shared(&maker.fs), Options::default()).dry_run(false);
    let error = repair().run().unwrap_err();
    assert!(error.to_string().contains("nothing was changed"), "{error}");
    assert_eq!(maker.fs.list().unwrap(), before);
    assert!(repair().allow_empty(true).run().unwrap().done);
    assert!(shown(&maker.fs).is_empty());
}

#[test]
fn aside_batches_come_back_where_nothing_was_written_since() {
    let options = Options {
        recovery: RecoveryMode::AfterReboot,
        ..Options::default()
    };
    for bring_back in [true, false] {
        let mut maker = Maker::new();
        maker.edit(5, 0, &[], vec![]);
        maker.log(
            5,
            &[
                ("a", 1, Some("recovered")),
                ("b", 2, Some("damaged")),
                ("c", 3, Some("aside")),
                ("d", 4, Some("aside")),
                ("a", 5, Some("aside")),
                ("e", 6, Some("aside")),
            ],
        );
        maker.log(6, &[("f", 7, Some("aside too"))]);
        maker.manifest(4, 0);
        let one = maker.fs.read("000005.log").unwrap();
        let at = one.windows(7).position(|it| it == b"damaged").unwrap();
        maker
            .fs
            .change("000005.log", |bytes| bytes[at] ^= 1)
            .unwrap();
        let engine = open(&maker.fs, &options);
        assert_eq!(contents(&engine).len(), 1);
        assert_eq!(engine.losses().len(), 3, "{:?}", engine.losses());
        put(&engine, b"d", b"since").unwrap();
        engine.close().unwrap();
        let repaired = Repair::new(shared(&maker.fs), Options::default())
            .dry_run(false)
            .bring_back_aside(bring_back)
            .run()
            .unwrap();
        assert!(repaired.done && repaired.losses.len() == 3, "{repaired:?}");
        let right = match bring_back {
            true => map(&[
                ("a", "aside"),
                ("c", "aside"),
                ("d", "since"),
                ("e", "aside"),
                ("f", "aside too"),
            ]),
            false => map(&[("a", "recovered"), ("d", "since")]),
        };
        assert_eq!(shown(&maker.fs), right);
        let engine = open(&maker.fs, &Options::default());
        assert!(engine.losses().is_empty());
        let kept = if bring_back { "replaced" } else { "aside" };
        for log in ["000005.log.from-2.at-32", "000006.log.from-2"] {
            let name = format!("level-party.{kept}-{log}");
            assert!(maker.fs.exists(&name).unwrap(), "{name}");
        }
    }
}

#[test]
fn aside_batches_replace_older_entries_after_a_bad_first_write() {
    for beginning in [Some(3), None] {
        for since in [false, true] {
            let mut maker = Maker::new();
            let old = [("a", 1, Some("old")), ("b", 2, Some("old"))];
            let table = maker.table(3, &old);
            maker.edit(5, 2, &[], vec![(1, table)]);
            let entries = [("a", 3, Some("damaged")), ("b", 4, Some("aside"))];
            maker.log_from(5, beginning, &entries);
            maker.manifest(4, 0);
            let log = maker.fs.read("000005.log").unwrap();
            let at = log.windows(7).position(|it| it == b"damaged").unwrap();
            maker
                .fs
                .change("000005.log", |bytes| bytes[at] ^= 1)
                .unwrap();
            let options = Options {
                recovery: RecoveryMode::AfterReboot,
                ..Options::default()
            };
            let engine = open(&maker.fs, &options);
            if since {
                put(&engine, b"b", b"since").unwrap();
            }
            engine.close().unwrap();
            maker.repair();
            let newest = if since { "since" } else { "aside" };
            assert_eq!(shown(&maker.fs), map(&[("a", "old"), ("b", newest)]));
        }
    }
}

#[test]
fn opening_keeps_the_log_of_a_table_that_is_damaged() {
    for damage in [&b""[..], &[0; 4096]] {
        let mut maker = Maker::new();
        let table = maker.table(5, &[("a", 1, Some("flushed"))]);
        maker.edit(4, 1, &[], vec![(0, table)]);
        maker.log(3, &[("a", 1, Some("flushed"))]);
        maker.log(4, &[("b", 2, Some("logged"))]);
        maker.manifest(2, 0);
        maker.fs.write("000005.ldb", damage);
        for _ in 0..2 {
            open(&maker.fs, &Options::default()).close().unwrap();
        }
        maker.repair();
        let right = map(&[("a", "flushed"), ("b", "logged")]);
        assert_eq!(shown(&maker.fs), right);
    }
}

#[test]
fn current_that_names_an_older_manifest_is_mended() {
    let mut maker = Maker::new();
    let old = maker.table(5, &[("a", 1, Some("old"))]);
    maker.edit(7, 1, &[], vec![(1, old.clone())]);
    maker.log(9, &[]);
    maker.manifest(4, 0);
    let current = maker.fs.read("CURRENT").unwrap();
    let new = maker.table(8, &[("a", 2, Some("new"))]);
    maker.edit(9, 2, &[(1, 5)], vec![(1, new)]);
    maker.manifest(10, 0);
    maker.fs.write("CURRENT", current);
    maker.fs.remove("000005.ldb").unwrap();
    let repaired = maker.repair();
    assert!(repaired.done && repaired.problems[0].file == "CURRENT");
    assert_eq!(shown(&maker.fs), map(&[("a", "new")]));
}

/// Whoever copies a database without `*.log` and loses `CURRENT` too.
#[test]
fn repair_without_the_newest_log_opens() {
    let mut maker = Maker::new();
    let table = maker.table(5, &[("a", 1, Some("1"))]);
    maker.edit(7, 1, &[], vec![(1, table)]);
    maker.manifest(4, 0);
    maker.fs.write("CURRENT", "");
    assert!(maker.repair().done);
    assert_eq!(shown(&maker.fs), map(&[("a", "1")]));
}

#[test]
fn torn_log_in_the_middle_is_gone_after_a_repair() {
    let mut maker = Maker::new();
    maker.edit(5, 0, &[], vec![]);
    maker.log(5, &[("a", 1, Some("1")), ("b", 2, Some("torn"))]);
    maker
        .fs
        .change("000005.log", |bytes| bytes.truncate(bytes.len() - 3))
        .unwrap();
    maker.log(7, &[("c", 3, Some("3"))]);
    maker.manifest(4, 0);
    maker.fs.write("CURRENT", "");
    assert!(maker.repair().done);
    let options = Options {
        recovery: RecoveryMode::AfterReboot,
        ..Options::default()
    };
    let engine = open(&maker.fs, &options);
    assert_eq!(engine.losses(), Vec::<String>::new());
    assert_eq!(contents(&engine).len(), 2);
}

#[test]
fn copied_manifest_with_a_higher_number_hides_no_table() {
    let mut maker = Maker::new();
    maker.edit(5, 0, &[], vec![]);
    // The edits that name the table are lost.
    maker.edits.last_mut().unwrap().next_file_number = Some(6);
    maker.table(8, &[("a", 1, Some("1"))]);
    maker.log(9, &[("b", 2, Some("2"))]);
    maker.manifest(99, 0);
    assert!(maker.repair().done);
    assert_eq!(shown(&maker.fs), map(&[("a", "1"), ("b", "2")]));
}

/// Log 5 was kept for those who follow the writes, so that an old manifest has all its files.
#[test]
fn older_manifest_with_all_its_files_hides_no_table() {
    for later_log in [true, false] {
        let mut maker = Maker::new();
        maker.edit(5, 0, &[], vec![]);
        maker.log(5, &[("a", 1, Some("1"))]);
        maker.table(8, &[("b", 2, Some("2")), ("c", 3, Some("3"))]);
        if later_log {
            maker.log(9, &[("d", 4, Some("4"))]);
        }
        maker.manifest(4, 0);
        let repaired = maker.repair();
        let is_told = repaired.problems.iter().any(|it| it.file == "000008.ldb");
        assert!(repaired.done && is_told, "{repaired:?}");
        let mut right = map(&[("a", "1"), ("b", "2"), ("c", "3")]);
        if later_log {
            right.insert("d".into(), "4".into());
        }
        assert_eq!(shown(&maker.fs), right);
    }
}

/// A killed process had not named its table yet: what it holds is in the log.
#[test]
fn table_of_a_flush_that_was_cut_short_is_no_problem() {
    let mut maker = Maker::new();
    maker.edit(5, 0, &[], vec![]);
    maker.log(5, &[("a", 1, Some("1")), ("b", 2, Some("2"))]);
    maker.table(8, &[("a", 1, Some("1")), ("b", 2, Some("2"))]);
    maker.log(9, &[("c", 3, Some("3"))]);
    maker.manifest(4, 0);
    let repaired = Repair::new(shared(&maker.fs), Options::default()).run();
    assert_eq!(repaired.unwrap(), Repaired::default());
}

#[test]
fn table_with_the_old_name_beside_the_new_one_costs_nothing() {
    let maker = Maker::new();
    maker.table(5, &[("a", 1, Some("1")), ("b", 2, Some("2"))]);
    maker.fs.write("000005.sst", "not a table");
    maker.fs.write("CURRENT", "");
    let repaired = maker.repair();
    assert!(repaired.done && repaired.lost.is_empty(), "{repaired:?}");
    assert_eq!(shown(&maker.fs), map(&[("a", "1"), ("b", "2")]));
}

/// Behind a damaged block nothing but a checksum says where the next one begins.
#[test]
fn table_without_footer_loses_damaged_blocks_alone() {
    for compression in [Compression::None, Compression::Snappy] {
        let fs = MemFs::new();
        let options = Options {
            compression,
            ..Options::default()
        };
        let engine = open(&fs, &options);
        for number in 0..8000_u64 {
            let value = format!("{:0100}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64));
            put(
                &engine,
                format!("key{number:05}").as_bytes(),
                value.as_bytes(),
            )
            .unwrap();
        }
        engine.flush().unwrap();
        engine.close().unwrap();
        let table = names(&fs, ".ldb").remove(0);
        fs.change(&table, |bytes| {
            bytes.truncate(bytes.len() - 20);
            let len = bytes.len();
            (100..len).step_by(len / 20).for_each(|at| bytes[at] ^= 1);
        })
        .unwrap();
        repair(&fs);
        let left = contents(&open(&fs, &options)).len();
        assert!(left > 6000, "{left} with {compression:?}");
    }
}
