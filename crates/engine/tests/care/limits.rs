//! The largest things that may be written.

use level_party_engine::{
    Compression, ErrorKind, MAX_KEY_BYTES, MAX_VALUE_BYTES, MemFs, Options, Write, WriteBatch,
};

use crate::support::{get, open, put};

/// A value as large as the engine's page promises for: beside the files in memory, the test needs about four times this.
const LARGE: usize = 256 << 20;

#[test]
fn a_value_of_256_mib_comes_back_from_memtable_log_and_table() {
    let fs = MemFs::new();
    let options = Options {
        compression: Compression::None,
        ..Options::default()
    };
    let mut value = vec![7; LARGE];
    value[LARGE - 1] = 9;
    let engine = open(&fs, &options);
    put(&engine, b"small", b"before").unwrap();
    put(&engine, b"large", &value).unwrap();
    assert!(get(&engine, b"large").is_some_and(|found| found == value));
    engine.close().unwrap();
    drop(engine);
    let engine = open(&fs, &options);
    assert!(engine.recovered().dropped.is_empty());
    assert!(get(&engine, b"large").is_some_and(|found| found == value));
    assert_eq!(get(&engine, b"small").unwrap(), b"before");
}

#[test]
fn a_key_beyond_the_limit_is_refused_and_one_at_it_is_not() {
    let engine = open(&MemFs::new(), &Options::default());
    let long = vec![b'k'; MAX_KEY_BYTES + 1];
    let error = put(&engine, &long, b"").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    put(&engine, &long[1..], b"value").unwrap();
    assert_eq!(get(&engine, &long[1..]).unwrap(), b"value");
}

#[test]
fn oversized_value_is_refused_alone_in_its_group() {
    let engine = open(&MemFs::new(), &Options::default());
    let mut beyond = WriteBatch::new();
    // Zeroes that are never touched before the limit is asked would cost nothing; the batch copies them once.
    beyond.put(b"large", &vec![0; MAX_VALUE_BYTES + 1]);
    let mut small = WriteBatch::new();
    small.put(b"small", b"1");
    let answers = engine.write_all(vec![Write::new(beyond), Write::new(small)]);
    let error = answers[0].as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(*answers[1].as_ref().unwrap(), 1);
}
