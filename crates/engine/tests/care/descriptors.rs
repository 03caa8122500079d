//! Tables that outnumber the file descriptors a directory may use for them.

use std::path::Path;
use std::sync::Arc;

use level_party_engine::{Engine, Options, StdFs, Write, WriteBatch};
use level_party_testkit::ManyTables;

use crate::support::contents;

const TABLES: usize = 400;
const LIMIT: usize = 8;

fn open(dir: &Path) -> Engine {
    let options = Options {
        max_open_files: LIMIT,
        ..Options::default()
    };
    Engine::open(Arc::new(StdFs::new(dir)), options).unwrap()
}

/// How many tables of `dir` this process has open now.
#[cfg(target_os = "linux")]
fn open_tables(dir: &Path) -> usize {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    let names = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let dir = dir.canonicalize().unwrap();
    let is_table = |name: &std::path::PathBuf| {
        name.starts_with(&dir) && name.extension().is_some_and(|end| end == "ldb")
    };
    names.filter(is_table).count()
}

#[test]
fn a_merge_of_hundreds_of_tables_holds_few_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let many = ManyTables::new(TABLES);
    many.write(dir.path());
    let engine = open(dir.path());
    // The view keeps its tables although the engine compacts them meanwhile.
    let view = engine.view().unwrap();
    let mut cursor = view.cursor(view.last_sequence());
    cursor.seek_to_first().unwrap();
    let mut keys = 0;
    while cursor.valid() {
        keys += 1;
        if keys % 50 == 0 {
            // Besides the pool: what a read, the compaction and a table being written use just now.
            #[cfg(target_os = "linux")]
            assert!(open_tables(dir.path()) <= LIMIT + 4);
        }
        cursor.next().unwrap();
    }
    assert_eq!(keys, many.keys());
    cursor.seek_to_last().unwrap();
    while cursor.valid() {
        keys -= 1;
        cursor.prev().unwrap();
    }
    assert_eq!(keys, 0);
    drop((cursor, view));

    engine.compact_range(None, None).unwrap();
    let mut batch = WriteBatch::new();
    batch.put(b"b", b"new");
    engine.write(Write::new(batch)).unwrap();
    engine.flush().unwrap();
    let found = contents(&engine);
    assert_eq!(found.len(), many.keys() + 1);
    assert_eq!(found[&b"a"[..]], many.newest().as_bytes());
    assert_eq!(engine.stats().files_per_level[0], 1);
    engine.close().unwrap();
}
