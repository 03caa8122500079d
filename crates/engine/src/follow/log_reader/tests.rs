//! Records of a log that others write meanwhile: whole or in pieces, cut and overwritten, damaged.

use std::sync::Arc;

use level_party_format::log::LogWriter;

use super::*;
use crate::base::fs::MemFs;
use crate::planted::{Bug, switch_on};
use crate::testing::Rng;

const LOG: u64 = 7;

/// A log that is written as a member would.
struct Writer {
    fs: MemFs,
    file: Box<dyn LogFile>,
    end: u64,
    last: Sequence,
}

impl Writer {
    fn new() -> Writer {
        let fs = MemFs::new();
        let file = fs.create_log(&filename::log(LOG)).unwrap();
        Writer {
            fs,
            file,
            end: 0,
            last: 0,
        }
    }

    /// A record of `count` operations that follows all others, as it will lie at the end.
    fn record(&self, count: u64, len: usize) -> Vec<u8> {
        let mut batch = WriteBatch::new();
        for number in 1..=count {
            batch.put(&(self.last + number).to_be_bytes(), &vec![count as u8; len]);
        }
        batch.set_sequence(self.last + 1);
        let mut bytes = Vec::new();
        LogWriter::new_at(self.end).add_record(batch.as_bytes(), &mut bytes);
        bytes
    }

    /// Appends and commits it.
    fn commit(&mut self, count: u64, len: usize) {
        let bytes = self.record(count, len);
        self.file.write_at(&bytes, self.end).unwrap();
        self.end += bytes.len() as u64;
        self.last += count;
    }

    fn records(&self) -> LogRecords {
        LogRecords::open(&self.fs, LOG).unwrap().unwrap()
    }
}

/// The keys of the record that has a sequence.
fn keys(records: &mut LogRecords, sequence: Sequence, committed: Sequence) -> Vec<u64> {
    match records.find(sequence, committed).unwrap() {
        Found::Missing { resume } => panic!("{sequence} is missing, up to {resume}"),
        Found::Record(batch) => {
            let keys = batch.iter().map(|op| op.key().try_into().unwrap());
            keys.map(u64::from_be_bytes).collect()
        }
    }
}

fn missing(records: &mut LogRecords, sequence: Sequence, committed: Sequence) -> Sequence {
    match records.find(sequence, committed).unwrap() {
        Found::Missing { resume } => resume,
        Found::Record(batch) => panic!("{batch:?}"),
    }
}

#[test]
fn records_of_every_size_are_given_as_they_are_committed() {
    let mut random = Rng::new(3);
    for read_each in [1, 3, 50] {
        let mut writer = Writer::new();
        let mut records = writer.records();
        let mut next = 1;
        for number in 0..200 {
            let len = [0, 10, 1_000, 40_000, 600_000][random.below(5) * random.below(2)];
            writer.commit(1 + random.next() % 3, len);
            if number % read_each > 0 {
                continue;
            }
            while next <= writer.last {
                let keys = keys(&mut records, next, writer.last);
                assert_eq!(keys[0], next);
                next += keys.len() as u64;
            }
        }
        // Another one begins in the middle, also inside of a record.
        let from = writer.last / 2;
        let keys = keys(&mut writer.records(), from, writer.last);
        assert!(keys.contains(&from));
    }
}

/// A record is read before it is committed, then cut, and another one committed in its place.
fn overwritten_record_is_read_again() {
    for len in [10, 100, 50_000] {
        let mut writer = Writer::new();
        writer.commit(1, 10);
        let failed = writer.record(1, 200);
        writer.file.write_at(&failed, writer.end).unwrap();
        let mut records = writer.records();
        assert_eq!(keys(&mut records, 1, 1), [1]);
        writer.file.set_len(writer.end).unwrap();
        writer.commit(2, len);
        assert_eq!(keys(&mut records, 2, 3), [2, 3]);
    }
}

#[test]
fn record_cut_and_overwritten_is_read_again() {
    overwritten_record_is_read_again();
}

#[test]
fn unpublished_bytes_kept_are_caught() {
    let caught = std::thread::spawn(|| {
        switch_on(Bug::UnpublishedBytesKept);
        overwritten_record_is_read_again();
    });
    assert!(caught.join().is_err());
}

#[test]
fn nothing_beyond_what_is_committed_is_given() {
    let mut writer = Writer::new();
    writer.commit(2, 10);
    writer.commit(2, 10);
    let mut records = writer.records();
    assert_eq!(keys(&mut records, 1, 2), [1, 2]);
    let mut records = writer.records();
    assert_eq!(missing(&mut records, 3, 3), 4, "its record ends at 4");
    // A log that ends before what is committed.
    assert_eq!(missing(&mut records, 9, 9), 10);
}

#[test]
fn damaged_record_is_missing_and_those_behind_it_are_given() {
    let mut writer = Writer::new();
    writer.commit(2, 10);
    let bad = writer.end;
    writer.commit(2, 10);
    writer.commit(2, 10);
    let name = filename::log(LOG);
    writer
        .fs
        .change(&name, |bytes| bytes[bad as usize + 20] ^= 1)
        .unwrap();
    let mut records = writer.records();
    assert_eq!(keys(&mut records, 1, 6), [1, 2]);
    assert_eq!(missing(&mut records, 3, 6), 5);
    assert_eq!(keys(&mut records, 5, 6), [5, 6]);
}

#[test]
fn head_tells_an_empty_log_and_a_beginning_that_is_alone() {
    let mut writer = Writer::new();
    let head = |writer: &Writer| writer.records().head().unwrap();
    assert!(head(&writer).is_none());
    writer.last = 8;
    writer.commit(0, 0);
    let alone = head(&writer).unwrap();
    assert_eq!((alone.first, alone.is_alone), (9, true));
    writer.commit(1, 10);
    let mut records = writer.records();
    let followed = records.head().unwrap().unwrap();
    assert_eq!((followed.first, followed.is_alone), (9, false));
    assert_eq!(keys(&mut records, 9, 9), [9]);
}

#[test]
fn missing_log_is_none_and_unreadable_log_an_error() {
    let writer = Writer::new();
    assert!(LogRecords::open(&writer.fs, LOG + 1).unwrap().is_none());
    struct Unreadable;
    impl LogFile for Unreadable {
        fn len(&self) -> io::Result<u64> {
            Ok(1)
        }
        fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
            Ok(())
        }
        fn read_some(&self, _buf: &mut [u8], _offset: u64) -> io::Result<usize> {
            Err(io::Error::other("the disk can't read this"))
        }
        fn set_len(&self, _len: u64) -> io::Result<()> {
            Ok(())
        }
        fn sync(&self) -> io::Result<()> {
            Ok(())
        }
        fn sync_all(&self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut records = writer.records();
    records.file = Box::new(Unreadable);
    let error = records.find(1, 1).err().unwrap();
    assert!(error.to_string().contains("000007.log"), "{error}");
    // It can be tried again.
    let fs: Arc<dyn Fs> = Arc::new(writer.fs.clone());
    records.file = fs.open_log(&filename::log(LOG)).unwrap();
    assert_eq!(missing(&mut records, 1, 1), 2);
}
