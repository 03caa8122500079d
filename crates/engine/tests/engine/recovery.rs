//! Opening what an earlier opening left, whole or not.

use std::sync::Arc;

use level_party_engine::{
    Engine, Error, ErrorKind, Fs, MemFs, Options, RecoveryMode, Repair, verify,
};
use level_party_format::batch::{BatchRef, WriteBatch};
use level_party_format::edit::VersionEdit;
use level_party_format::filename::CURRENT;
use level_party_format::log::{LogItem, LogReader, LogWriter};
use level_party_format::{Comparator, key};

use crate::harness::disk::{Change, Content, Disk};
use crate::harness::record::{Files, Recorder, mem_fs};
use crate::support::{Call, SpyFs, backward, batch_of, contents, get, names, open, put, tiny};

fn after_reboot() -> Options {
    Options {
        recovery: RecoveryMode::AfterReboot,
        ..tiny()
    }
}

fn shared(fs: &MemFs) -> Arc<dyn Fs> {
    Arc::new(fs.clone())
}

fn copy_of(fs: &MemFs) -> MemFs {
    let copy = MemFs::new();
    for name in fs.list().unwrap() {
        copy.write(&name, fs.read(&name).unwrap());
    }
    copy
}

fn refused(fs: &MemFs, options: &Options) -> Error {
    let opened = Engine::open(Arc::new(fs.clone()), options.clone());
    match opened {
        Ok(_) => panic!("the opening is refused"),
        Err(error) => error,
    }
}

/// A database whose log has one record for each of these keys, in this order, and nothing else.
fn with_log(keys: &[&[u8]]) -> MemFs {
    let fs = MemFs::new();
    let engine = open(&fs, &tiny());
    for key in keys {
        put(&engine, key, b"value").unwrap();
    }
    engine.close().unwrap();
    fs
}

/// Adds a log with one record, as if the memtable had been frozen and the process had died then.
fn add_log(fs: &MemFs, name: &str, key: &[u8], sequence: u64) {
    add_log_of(fs, name, [batch_of(key, b"later")], sequence);
}

/// As an opening begins its log: with an empty batch.
fn add_openings_log(fs: &MemFs, name: &str, key: &[u8], sequence: u64) {
    let batches = [WriteBatch::new(), batch_of(key, b"later")];
    add_log_of(fs, name, batches, sequence);
}

fn add_log_of<const N: usize>(fs: &MemFs, name: &str, batches: [WriteBatch; N], sequence: u64) {
    let (mut writer, mut bytes) = (LogWriter::new(), Vec::new());
    for mut batch in batches {
        batch.set_sequence(sequence);
        writer.add_record(batch.as_bytes(), &mut bytes);
    }
    fs.write(name, bytes);
}

fn keys(engine: &Engine) -> Vec<Vec<u8>> {
    contents(engine).into_keys().collect()
}

#[test]
fn a_new_directory_has_the_files_that_leveldb_makes() {
    let fs = MemFs::new();
    let engine = open(&fs, &tiny());
    assert!(engine.recovered().created);
    assert_eq!(engine.recovered().last_sequence, 0);
    engine.close().unwrap();
    assert_eq!(
        fs.list().unwrap(),
        ["000003.log", CURRENT, "MANIFEST-000002"]
    );
    assert_eq!(fs.read(CURRENT).unwrap(), b"MANIFEST-000002\n");
}

#[test]
fn create_if_missing_and_error_if_exists_do_as_they_say() {
    let fs = MemFs::new();
    let options = Options {
        create_if_missing: false,
        ..tiny()
    };
    assert_eq!(refused(&fs, &options).kind(), ErrorKind::DoesNotExist);
    assert!(fs.list().unwrap().is_empty());
    open(&fs, &tiny()).close().unwrap();
    open(&fs, &options).close().unwrap();
    let options = Options {
        error_if_exists: true,
        ..tiny()
    };
    assert_eq!(refused(&fs, &options).kind(), ErrorKind::AlreadyExists);
}

#[test]
fn lost_current_makes_no_empty_database_of_a_full_one() {
    let fs = with_log(&[b"a"]);
    fs.remove(CURRENT).unwrap();
    let error = refused(&fs, &tiny());
    assert_eq!(error.kind(), ErrorKind::Corruption);
    assert!(error.to_string().contains("000003.log"), "{error}");
}

#[test]
fn a_torn_last_record_ends_the_log_in_either_mode() {
    for options in [tiny(), after_reboot()] {
        for cut in 1..20 {
            let fs = with_log(&[b"a", b"b"]);
            fs.change("000003.log", |bytes| bytes.truncate(bytes.len() - cut))
                .unwrap();
            let engine = open(&fs, &options);
            assert_eq!(keys(&engine), [b"a"]);
            assert_eq!(engine.recovered().last_sequence, 1);
            assert_eq!(engine.recovered().dropped.len(), 1);
            assert!(engine.recovered().dropped[0].contains("000003.log"));
        }
    }
}

#[test]
fn bad_record_in_the_same_boot_changes_nothing() {
    let fs = with_log(&[b"a", b"b", b"c"]);
    fs.change("000003.log", |bytes| *bytes.last_mut().unwrap() ^= 1)
        .unwrap();
    let before = fs.list().unwrap();
    let error = refused(&fs, &tiny());
    assert_eq!(error.kind(), ErrorKind::Corruption);
    assert_eq!(error.file(), Some("000003.log"));
    assert!(error.offset().is_some());
    assert_eq!(fs.list().unwrap(), before);
}

#[test]
fn bad_record_after_a_reboot_sets_later_logs_aside() {
    let fs = with_log(&[b"a", b"b", b"c"]);
    let second = nth_record(&fs, 1);
    fs.change("000003.log", |bytes| bytes[second + 8] ^= 1)
        .unwrap();
    add_log(&fs, "000004.log", b"d", 4);
    let later = fs.read("000004.log").unwrap();
    let engine = open(&fs, &after_reboot());
    assert_eq!(keys(&engine), [b"a"]);
    let dropped = engine.recovered().dropped.clone();
    assert_eq!(dropped.len(), 3, "{dropped:?}");
    assert!(dropped[0].contains("000003.log") && dropped[1].contains("000004.log"));
    engine.compact_range(None, None).unwrap();
    assert_eq!(
        fs.read("level-party.aside-000004.log.from-2").unwrap(),
        later
    );
    let damaged = format!("level-party.aside-000003.log.from-2.at-{second}");
    assert!(fs.exists(&damaged).unwrap());
    put(&engine, b"e", b"5").unwrap();
    engine.close().unwrap();
    // Set aside is set aside, however it is opened next, and its number is not used again.
    let engine = open(&fs, &tiny());
    assert_eq!(keys(&engine), [b"a", b"e"]);
    assert!(engine.recovered().dropped.is_empty());
    assert!(fs.exists("level-party.aside-000004.log.from-2").unwrap());
    assert_ne!(names(&fs, ".log"), ["000004.log"]);
}

fn nth_record(fs: &MemFs, at: usize) -> usize {
    let bytes = fs.read("000003.log").unwrap();
    let mut offsets = LogReader::new(&bytes).filter_map(|item| match item {
        LogItem::Record { offset, .. } => Some(offset as usize),
        _ => None,
    });
    offsets.nth(at).unwrap()
}

#[test]
fn log_cut_at_a_record_ends_recovery_after_a_reboot() {
    let fs = with_log(&[b"a", b"b", b"c"]);
    let third = nth_record(&fs, 2);
    fs.change("000003.log", |bytes| bytes.truncate(third))
        .unwrap();
    add_log(&fs, "000004.log", b"d", 4);
    let engine = open(&fs, &after_reboot());
    assert_eq!(keys(&engine), [b"a", b"b"]);
    assert!(engine.recovered().dropped[0].contains("missing"));
    assert!(
        fs.exists("level-party.aside-000004.log.from-3.at-0")
            .unwrap()
    );
}

/// C++ LevelDB counts the sequences of a write whose append failed, and goes on behind the gap.
#[test]
fn a_gap_that_another_program_left_loses_nothing() {
    let fs = with_log(&[b"a", b"b"]);
    add_log(&fs, "000900.log", b"c", 9);
    let foreign = Options {
        foreign_logs: true,
        ..after_reboot()
    };
    let engine = Engine::open(Arc::new(fs), foreign).unwrap();
    assert_eq!(keys(&engine), [b"a".to_vec(), b"b".to_vec(), b"c".to_vec()]);
    assert_eq!(engine.recovered().last_sequence, 9);
    assert_eq!(engine.recovered().dropped, [] as [&str; 0]);
}

#[test]
fn logs_that_no_manifest_names_are_replayed_in_order() {
    for options in [tiny(), after_reboot()] {
        let fs = with_log(&[b"a", b"b"]);
        add_log(&fs, "000005.log", b"c", 4);
        add_log(&fs, "000004.log", b"c", 3);
        let engine = open(&fs, &options);
        assert_eq!(keys(&engine), [b"a", b"b", b"c"]);
        assert_eq!(engine.recovered().last_sequence, 4);
        assert_eq!(engine.get(b"c").unwrap().unwrap().sequence, 4);
        assert!(engine.recovered().dropped.is_empty());
    }
}

#[test]
fn missing_log_is_refused_where_any_file_is_as_new() {
    for options in [tiny(), after_reboot()] {
        let fs = with_log(&[b"a"]);
        fs.remove("000003.log").unwrap();
        fs.write("000003.ldb", &b"not named by the manifest"[..]);
        let error = refused(&fs, &options);
        assert_eq!(error.kind(), ErrorKind::Corruption);
        assert!(error.to_string().contains("000003.log"), "{error}");
        assert!(
            !verify(&shared(&fs), &Comparator::default())
                .unwrap()
                .is_sound()
        );
    }
}

#[test]
fn missing_newest_log_is_an_empty_one_and_told() {
    for options in [tiny(), after_reboot()] {
        let fs = with_log(&[b"a"]);
        open(&fs, &options).flush().unwrap();
        let log = names(&fs, ".log").pop().unwrap();
        fs.remove(&log).unwrap();
        let engine = open(&fs, &options);
        assert_eq!(get(&engine, b"a").unwrap(), b"value");
        let told = engine.losses();
        assert!(told.len() == 1 && told[0].contains(&log), "{told:?}");
    }
}

/// A log of this engine says which sequence it begins with.
#[test]
fn log_missing_between_two_openings_is_a_gap() {
    let fs = with_log(&[b"a", b"b"]);
    add_openings_log(&fs, "000004.log", b"c", 3);
    add_openings_log(&fs, "000005.log", b"d", 4);
    assert_eq!(contents(&open(&copy_of(&fs), &tiny())).len(), 4);
    fs.remove("000004.log").unwrap();
    let error = refused(&fs, &tiny());
    assert_eq!(error.kind(), ErrorKind::Corruption);
    assert!(error.to_string().contains("1 write is missing"), "{error}");
    let found = verify(&shared(&fs), &Comparator::default()).unwrap();
    assert!(
        found.problems[0].what.contains("1 write is missing"),
        "{found:?}"
    );
    let engine = open(&fs, &after_reboot());
    assert_eq!(contents(&engine).len(), 2);
    let told = engine.losses();
    assert!(
        told.iter().any(|what| what.contains("1 write is missing")),
        "{told:?}"
    );
    assert!(
        told.iter().any(|what| what.contains("set aside")),
        "{told:?}"
    );
    engine.close().unwrap();
    // The later opening tells it too, until it is acknowledged.
    let engine = open(&fs, &tiny());
    assert_eq!(engine.losses(), told);
    assert_eq!(engine.acknowledge_losses().unwrap(), told);
    assert!(engine.losses().is_empty());
    engine.close().unwrap();
    assert!(open(&fs, &tiny()).losses().is_empty());
}

/// A log that was begun because a memtable was full has no empty batch before its first write.
#[test]
fn log_missing_between_two_of_one_process_is_a_gap() {
    let fs = with_log(&[b"a"]);
    add_log(&fs, "000004.log", b"b", 2);
    add_log(&fs, "000005.log", b"c", 3);
    assert_eq!(contents(&open(&copy_of(&fs), &tiny())).len(), 3);
    fs.remove("000004.log").unwrap();
    let error = refused(&fs, &tiny());
    assert!(error.to_string().contains("1 write is missing"), "{error}");
    let foreign = Options {
        foreign_logs: true,
        ..tiny()
    };
    assert_eq!(contents(&open(&copy_of(&fs), &foreign)).len(), 2);
    let engine = open(&copy_of(&fs), &after_reboot());
    assert_eq!(contents(&engine).len(), 1);
    assert!(
        engine
            .losses()
            .iter()
            .any(|what| what.contains("are missing"))
    );
    let repaired = Repair::new(shared(&fs), tiny())
        .dry_run(false)
        .run()
        .unwrap();
    assert!(repaired.problems[0].what.contains("1 write is missing"));
    assert_eq!(contents(&open(&fs, &tiny())).len(), 2);
}

/// What one process left that put the keys from 1 on, without a table and without a sync: three logs, of which the first
/// has the keys up to `ends[0]`, the second up to `ends[1]`, the third up to `ends[2]`.
struct ThreeLogs {
    disk: Disk,
    names: [String; 3],
    ends: [u64; 3],
}

/// The names of logs, in order. Tables that could not be made have had numbers between theirs.
fn logs_in(files: &Files) -> Vec<String> {
    let names = files.keys().filter(|name| name.ends_with(".log"));
    names.cloned().collect()
}

fn three_logs_of_one_process() -> ThreeLogs {
    let recorder = Recorder::new(&Files::new(), 0);
    let engine = Engine::open(Arc::new(recorder.clone()), tiny()).unwrap();
    recorder.refuse_tables();
    let mut ends = [0; 3];
    let mut last: u64 = 0;
    while ends[2] < ends[1] + 3 {
        last += 1;
        put(&engine, &last.to_be_bytes(), &[1; 500]).unwrap();
        // Each log is created by the first write that goes into it.
        let logs = logs_in(&recorder.files()).len();
        ends[logs - 1..].fill(last);
    }
    engine.close().unwrap();
    let names = logs_in(&recorder.files());
    let mut disk = Disk::new(&Files::new());
    for recorded in recorder.steps() {
        disk.apply(&recorded.step);
    }
    ThreeLogs {
        disk,
        names: names.try_into().unwrap(),
        ends,
    }
}

impl ThreeLogs {
    /// After a loss of power that took nothing but what this takes.
    fn without(&self, lose: impl FnOnce(&mut Files)) -> MemFs {
        let keep = |_: usize, content: &Content| content.bytes.clone();
        let mut files = self.disk.after_loss(&mut |_| true, &mut { keep });
        lose(&mut files);
        mem_fs(&files)
    }

    /// After one that took the name of a log.
    fn without_name(&self, log: &str) -> MemFs {
        let keep = |_: usize, content: &Content| content.bytes.clone();
        let is_its_name = |change: &Change| matches!(change, Change::Set(name, _) if name == log);
        let mut keeps = |at: usize| !is_its_name(&self.disk.pending[at]);
        mem_fs(&self.disk.after_loss(&mut keeps, &mut { keep }))
    }
}

/// Where the records of a log begin.
fn records(log: &[u8]) -> Vec<(usize, u64)> {
    let record = |item| match item {
        LogItem::Record {
            payload, offset, ..
        } => {
            let batch = BatchRef::parse(&payload).unwrap();
            assert_eq!(batch.count(), 1, "no log here has a beginning");
            (offset as usize, batch.sequence())
        }
        item => panic!("{item:?}"),
    };
    LogReader::new(log).map(record).collect()
}

/// The directory opens after a loss of power with the keys up to `last` and none of a later log, and says so.
fn ends_after(fs: &MemFs, third: &str, last: u64, story: &str) {
    let expected: Vec<_> = (1..=last).map(|key| key.to_be_bytes().to_vec()).collect();
    let engine = open(fs, &after_reboot());
    assert_eq!(keys(&engine), expected, "{story}");
    assert_eq!(engine.recovered().last_sequence, last, "{story}");
    let told = engine.losses().concat();
    let third = format!("level-party.aside-{third}.from-{}", last + 1);
    assert!(told.contains(&third), "{story}: {told}");
    engine.close().unwrap();
    let aside = fs.list().unwrap().into_iter();
    let aside = aside.filter(|name| name.starts_with(&third));
    assert_eq!(aside.count(), 1, "{story}");
    assert_eq!(keys(&open(fs, &tiny())), expected, "{story}, opened again");
}

/// The first record of a log says what is missing before it, so no log of the same process needs a beginning.
#[test]
fn log_lost_between_two_others_ends_recovery() {
    let left = three_logs_of_one_process();
    let [first, second, third] = left.ends;
    let whole = left.without(|_| {});
    let names = left.names.each_ref().map(String::as_str);
    let logs = names.map(|log| records(&whole.read(log).unwrap()));
    for (log, begins) in logs.iter().zip([1, first + 1, second + 1]) {
        assert_eq!(log[0], (0, begins));
    }
    let engine = open(&whole, &after_reboot());
    assert_eq!(contents(&engine).len() as u64, third);
    assert!(engine.losses().is_empty(), "{:?}", engine.losses());

    let ends_after = |fs: &MemFs, last, story| ends_after(fs, names[2], last, story);
    ends_after(&left.without_name(names[1]), first, "the name is lost");
    let lose = |log: usize, lose: fn(&mut Vec<u8>, second_record: usize)| {
        let (second_record, _) = logs[log][1];
        left.without(|files| lose(files.get_mut(names[log]).unwrap(), second_record))
    };
    let fs = lose(1, |bytes, _| bytes.clear());
    ends_after(&fs, first, "all bytes are lost");
    let fs = lose(1, |bytes, _| bytes.fill(0));
    ends_after(&fs, first, "all bytes are zeroes");
    let fs = lose(1, |bytes, second| bytes[..second].fill(0));
    ends_after(&fs, first, "the first record is zeroes");
    let fs = lose(1, |bytes, second| bytes.truncate(second));
    ends_after(&fs, first + 1, "all records but the first are lost");
    let fs = lose(2, |bytes, second| bytes[..second].fill(0));
    ends_after(&fs, second, "the third log's first record is zeroes");
    let fs = lose(0, |bytes, _| bytes.clear());
    ends_after(&fs, 0, "the first log is lost");
}

#[test]
fn empty_log_between_two_others_is_no_gap() {
    let left = three_logs_of_one_process();
    for options in [tiny(), after_reboot()] {
        let fs = left.without(|files| {
            let third = files.insert(left.names[2].clone(), Vec::new());
            files.insert("000099.log".to_owned(), third.unwrap());
        });
        let engine = open(&fs, &options);
        assert_eq!(contents(&engine).len() as u64, left.ends[2]);
        assert_eq!(engine.recovered().dropped, [] as [&str; 0]);
    }
}

#[test]
fn harmless_torn_end_in_the_same_boot_is_no_loss() {
    let fs = with_log(&[b"a", b"b"]);
    fs.change("000003.log", |bytes| bytes.truncate(bytes.len() - 1))
        .unwrap();
    let copy = copy_of(&fs);
    let engine = open(&fs, &tiny());
    assert!(engine.losses().is_empty() && engine.recovered().dropped.len() == 1);
    let engine = open(&copy, &after_reboot());
    assert_eq!(engine.losses(), engine.recovered().dropped);
}

#[test]
fn a_database_made_but_never_opened_by_leveldb_opens() {
    // LevelDB's first step of a creation writes this and may die then: log number 0, and no log.
    let edit = VersionEdit {
        comparator: Some("leveldb.BytewiseComparator".to_owned()),
        log_number: Some(0),
        next_file_number: Some(2),
        last_sequence: Some(0),
        ..VersionEdit::default()
    };
    let mut bytes = Vec::new();
    LogWriter::new().add_record(&edit.encode(), &mut bytes);
    let fs = MemFs::new();
    fs.write("MANIFEST-000001", bytes);
    fs.write(CURRENT, &b"MANIFEST-000001\n"[..]);
    let engine = open(&fs, &tiny());
    assert!(!engine.recovered().created);
    put(&engine, b"a", b"1").unwrap();
    engine.compact_range(None, None).unwrap();
    assert!(!fs.exists("MANIFEST-000001").unwrap());
}

#[test]
fn a_missing_table_is_found_at_the_opening() {
    let fs = MemFs::new();
    let engine = open(&fs, &tiny());
    put(&engine, b"a", b"1").unwrap();
    engine.flush().unwrap();
    engine.close().unwrap();
    let table = names(&fs, ".ldb").remove(0);
    let bytes = fs.read(&table).unwrap();
    fs.remove(&table).unwrap();
    let error = refused(&fs, &tiny());
    assert_eq!(error.kind(), ErrorKind::Corruption);
    assert!(error.to_string().contains(&table), "{error}");
    // Its old name will do.
    fs.write(&table.replace(".ldb", ".sst"), bytes);
    assert_eq!(get(&open(&fs, &tiny()), b"a").unwrap(), b"1");
}

#[test]
fn torn_edit_is_left_out_and_a_bad_one_is_corruption() {
    let make = || {
        let fs = with_log(&[b"a"]);
        let engine = open(&fs, &tiny());
        put(&engine, b"b", b"2").unwrap();
        engine.close().unwrap();
        (
            fs.clone(),
            names(&fs, "")
                .into_iter()
                .find(|name| name.starts_with("MANIFEST"))
                .unwrap(),
        )
    };
    let (fs, manifest) = make();
    fs.change(&manifest, |bytes| {
        bytes.extend_from_slice(&[1, 2, 3, 4, 50]);
    })
    .unwrap();
    assert_eq!(keys(&open(&fs, &tiny())), [b"a", b"b"]);

    let mut bad = Vec::new();
    LogWriter::new().add_record(b"not an edit", &mut bad);
    bad[8] ^= 1;
    let (fs, manifest) = make();
    fs.change(&manifest, |bytes| bytes.extend_from_slice(&bad))
        .unwrap();
    assert_eq!(refused(&fs, &tiny()).kind(), ErrorKind::Corruption);
    let engine = open(&fs, &after_reboot());
    assert_eq!(keys(&engine), [b"a", b"b"]);
    assert_eq!(engine.recovered().dropped.len(), 1);

    let (fs, manifest) = make();
    fs.change(&manifest, |bytes| bytes[9] ^= 1).unwrap();
    assert_eq!(refused(&fs, &after_reboot()).kind(), ErrorKind::Corruption);
}

#[test]
fn another_comparator_is_refused() {
    let backward = Options {
        comparator: backward(),
        ..tiny()
    };
    let fs = with_log(&[b"a"]);
    assert_eq!(
        refused(&fs, &backward).kind(),
        ErrorKind::ComparatorMismatch
    );
    let fs = MemFs::new();
    let engine = open(&fs, &backward);
    for key in [b"a", b"c", b"b"] {
        put(&engine, key, b"").unwrap();
    }
    engine.compact_range(None, None).unwrap();
    let mut cursor = engine.cursor().unwrap();
    cursor.seek_to_first().unwrap();
    assert_eq!(cursor.key(), b"c");
    engine.close().unwrap();
    assert_eq!(refused(&fs, &tiny()).kind(), ErrorKind::ComparatorMismatch);
    assert_eq!(contents(&open(&fs, &backward)).len(), 3);
}

#[test]
fn only_files_that_are_leveldbs_own_and_not_needed_are_removed() {
    let fs = with_log(&[b"a"]);
    let kept = [
        "LOCK",
        "LOG",
        "LOG.old",
        "000001.dbtmp",
        "level-party.state",
        "level-party.aside-000001.log",
        "notes.txt",
        "000009.ldb.bak",
    ];
    let removed = [
        "000002.dbtmp",
        "000001.log",
        "000077.ldb",
        "000078.sst",
        "MANIFEST-000001",
    ];
    for name in kept.iter().chain(&removed) {
        fs.write(name, &b"x"[..]);
    }
    let engine = open(&fs, &tiny());
    engine.compact_range(None, None).unwrap();
    engine.close().unwrap();
    for name in kept {
        assert!(fs.exists(name).unwrap(), "{name} is kept");
    }
    for name in removed {
        assert!(!fs.exists(name).unwrap(), "{name} is removed");
    }
    // No number is used again that a file had, known or not.
    let numbers = fs.list().unwrap();
    assert!(
        numbers.iter().any(|name| name == "MANIFEST-000079"),
        "{numbers:?}"
    );
}

#[test]
fn absurd_file_number_is_refused_or_passed_over() {
    let fs = with_log(&[b"a"]);
    fs.write("18446744073709551615.ldb", &b"x"[..]);
    open(&fs, &tiny()).close().unwrap();
    let manifest = names(&fs, "")
        .into_iter()
        .find(|name| name.starts_with("MANIFEST"))
        .unwrap();
    let edit = VersionEdit {
        next_file_number: Some(u64::MAX),
        ..VersionEdit::default()
    };
    let len = fs.read(&manifest).unwrap().len() as u64;
    fs.change(&manifest, |bytes| {
        LogWriter::new_at(len).add_record(&edit.encode(), bytes);
    })
    .unwrap();
    assert_eq!(refused(&fs, &tiny()).kind(), ErrorKind::Corruption);
}

#[test]
fn a_full_log_becomes_two_tables_without_a_common_key() {
    let fs = MemFs::new();
    let options = Options::default();
    let engine = open(&fs, &options);
    // A third of the writes are to one key in the middle: its versions stay together.
    for number in 0..9_000u32 {
        let key = match number % 3 {
            0 => 50_000,
            _ => number.wrapping_mul(7_919) % 100_000,
        };
        put(
            &engine,
            format!("{key:08}").as_bytes(),
            &[number as u8; 150],
        )
        .unwrap();
    }
    let expected = contents(&engine);
    engine.close().unwrap();
    let spy = SpyFs::new(fs.clone());
    let engine = Engine::open(Arc::new(spy.clone()), options.clone()).unwrap();
    assert_eq!(contents(&engine), expected);
    let view = engine.view().unwrap();
    let [first, second] = view.version.level(0) else {
        panic!("two tables: {:?}", view.version)
    };
    let (a, b) = match first.smallest < second.smallest {
        true => (first, second),
        false => (second, first),
    };
    assert!(key::user_key(&a.largest) < key::user_key(&b.smallest));
    let calls = spy.calls();
    let renamed = calls
        .iter()
        .position(|call| matches!(call, Call::Rename(..)));
    let synced = |call: &&Call| call.is_sync(".ldb");
    assert_eq!(calls[..renamed.unwrap()].iter().filter(synced).count(), 2);
    let verified = verify(&(Arc::new(fs) as Arc<dyn Fs>), &options.comparator).unwrap();
    assert_eq!(verified.problems, []);
}
