use super::*;
use crate::{Engine, Fs, MemFs, Repair, Write, verify};
use level_party_format::batch::WriteBatch;
use level_party_format::table::{BLOCK_TRAILER_LEN, FOOTER_LEN, Footer, check_block};

fn zstd() -> Options {
    Options {
        zstd_that_leveldb_1_23_cannot_read: true,
        ..Options::default()
    }
}

fn key(i: u32) -> Vec<u8> {
    format!("key{i:06}").into_bytes()
}

fn value(i: u32) -> Vec<u8> {
    format!("the value of {i}, which says {i} again, ")
        .repeat(3)
        .into_bytes()
}

/// A closed database with 2,000 entries in tables.
fn filled(options: Options) -> MemFs {
    let files = MemFs::new();
    let engine = Engine::open(Arc::new(files.clone()), options).unwrap();
    for i in 0..2000 {
        let mut batch = WriteBatch::new();
        batch.put(&key(i), &value(i));
        engine.write(Write::new(batch)).unwrap();
    }
    engine.compact_range(None, None).unwrap();
    engine.close().unwrap();
    files
}

fn tables(files: &MemFs) -> Vec<String> {
    let mut names = files.list().unwrap();
    names.retain(|name| name.ends_with(".ldb"));
    names
}

/// The compression of a table's first block and of its index.
fn compressions(files: &MemFs, name: &str) -> [Compression; 2] {
    let mut bytes = Vec::new();
    files.change(name, |file| bytes.clone_from(file)).unwrap();
    let footer: &[u8; FOOTER_LEN] = bytes.last_chunk().unwrap();
    let index = Footer::decode(footer, bytes.len() as u64).unwrap().index;
    let index = &bytes[index.offset as usize..][..index.len_with_trailer() as usize];
    // The first block ends with the first place where a checksum fits.
    let first = (BLOCK_TRAILER_LEN..bytes.len())
        .find_map(|end| check_block(&bytes[..end], 0).ok())
        .unwrap();
    [first.0, check_block(index, 0).unwrap().0]
}

/// What `verify` finds wrong, and where.
fn problems(fs: &Arc<dyn Fs>) -> Vec<(String, Option<u64>)> {
    let found = verify(fs, &Comparator::default()).unwrap();
    let problems = found.problems.into_iter();
    problems.map(|found| (found.file, found.offset)).collect()
}

fn all_is_there(engine: &Engine) {
    for i in 0..2000 {
        let entry = engine.get(&key(i)).unwrap().expect("an entry");
        assert_eq!(entry.value, value(i), "{i}");
    }
}

#[test]
fn zstd_is_written_on_request_read_again_and_found_sound() {
    let files = filled(zstd());
    assert!(!tables(&files).is_empty());
    for name in tables(&files) {
        assert_eq!(
            compressions(&files, &name),
            [Compression::Zstd; 2],
            "{name}"
        );
    }
    let fs: Arc<dyn Fs> = Arc::new(files.clone());
    assert_eq!(problems(&fs), []);
    let engine = Engine::open(Arc::clone(&fs), zstd()).unwrap();
    all_is_there(&engine);
    engine.close().unwrap();
    // Without the option the tables are still read.
    let engine = Engine::open(Arc::clone(&fs), Options::default()).unwrap();
    all_is_there(&engine);
    engine.close().unwrap();
    assert_eq!(problems(&fs), []);
}

#[test]
fn the_default_writes_no_zstd() {
    let files = filled(Options::default());
    for name in tables(&files) {
        assert_eq!(
            compressions(&files, &name)[0],
            Compression::Snappy,
            "{name}"
        );
    }
}

#[test]
fn a_damaged_zstd_block_is_corruption_of_its_file() {
    let files = filled(zstd());
    for name in tables(&files) {
        files.change(&name, |bytes| bytes[20] ^= 1).unwrap();
    }
    let fs: Arc<dyn Fs> = Arc::new(files.clone());
    let engine = Engine::open(Arc::clone(&fs), zstd()).unwrap();
    let error = engine.get(&key(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
    assert_eq!(problems(&fs).len(), tables(&files).len());
    engine.close().unwrap();
}

#[test]
fn plain_zstd_is_refused_and_the_option_named() {
    let plain = Options {
        compression: Compression::Zstd,
        ..Options::default()
    };
    let files = MemFs::new();
    let opened = Engine::open(Arc::new(files.clone()), plain.clone()).map(drop);
    let repaired = Repair::new(Arc::new(files.clone()), plain).run().map(drop);
    for result in [opened, repaired] {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        let named = error
            .to_string()
            .contains("zstd_that_leveldb_1_23_cannot_read");
        assert!(named, "{error}");
    }
    assert!(files.list().unwrap().is_empty(), "nothing was made");
}
