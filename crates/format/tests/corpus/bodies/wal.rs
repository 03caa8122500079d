//! A write-ahead log: the log reader, and batches in its records.

use level_party_format::log::{BLOCK_LEN, HEADER_LEN, LogItem, LogReader, LogWriter};

use super::{batch, log_model, signing};

/// Reads `data` as a log, once as it is and once placed and signed. Gives the number of batches in it.
pub fn run(data: &[u8]) -> usize {
    let mut found = 0;
    for_each_log(data, |payload| {
        found += usize::from(batch::run(payload) > 0);
    });
    found
}

/// Calls `each` with every record of both readings.
pub fn for_each_log(data: &[u8], mut each: impl FnMut(&[u8])) {
    read(data).iter().for_each(|payload| each(payload));
    if let Some((file, start)) = signing::placed_log(data) {
        let skip = usize::from(start > 0);
        let records = read(&file);
        records.iter().skip(skip).for_each(|payload| each(payload));
    }
}

/// Reads a log, checks every item, and gives the records.
fn read(file: &[u8]) -> Vec<Vec<u8>> {
    let len = file.len() as u64;
    let mut records = Vec::new();
    let (mut before, mut items, mut torn) = (0, 0, false);
    for item in LogReader::new(file) {
        assert!(!torn, "a torn record is the last item");
        let (offset, end) = match item {
            LogItem::Record {
                payload,
                offset,
                end,
            } => {
                assert!(payload.len() as u64 + HEADER_LEN as u64 <= end - offset);
                records.push(payload.into_owned());
                (offset, end)
            }
            LogItem::Torn { offset, bytes } => {
                torn = true;
                assert_eq!(offset + bytes, len);
                (offset, offset + bytes)
            }
            LogItem::Bad { offset, bytes, .. } => (offset, offset + bytes),
        };
        assert!(before <= offset && offset < end && end <= len);
        assert!(
            says_nothing(file, before, offset),
            "all that is dropped is told"
        );
        before = end;
        items += 1;
    }
    assert!(
        says_nothing(file, before, len),
        "all that is dropped is told"
    );
    assert!(items <= file.len() / HEADER_LEN + 1);
    assert_eq!(records, log_model::records(file));
    write_again(&records);
    records
}

/// What may lie between items: blocks' trailers, and fragments of length 0 of a record that began anew.
fn says_nothing(file: &[u8], from: u64, to: u64) -> bool {
    let (mut at, to) = (from as usize, to as usize);
    while at < to {
        let block_end = (at / BLOCK_LEN + 1) * BLOCK_LEN;
        at = match file.get(at..at + HEADER_LEN) {
            _ if block_end - at < HEADER_LEN => block_end.min(file.len()),
            Some([_, _, _, _, 0, 0, 2 | 3]) => at + HEADER_LEN,
            _ => return false,
        };
    }
    at == to
}

/// Records written again are read as they are.
fn write_again(records: &[Vec<u8>]) {
    let mut file = Vec::new();
    let mut writer = LogWriter::new();
    for record in records {
        writer.add_record(record, &mut file);
    }
    let read = LogReader::new(&file).map(|item| match item {
        LogItem::Record { payload, .. } => payload.into_owned(),
        other => panic!("a whole log holds {other:?}"),
    });
    assert!(read.eq(records.iter().cloned()));
}
