//! How many tables are open at once, whatever their number.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use level_party_engine::{Engine, Fs, LogFile, MemFs, Options, ReadFile, WriteFile};

use crate::support::{Rng, contents, get, put, settle, tiny};

/// Counts the files that are open for reading.
#[derive(Clone, Default)]
struct CountingFs {
    files: MemFs,
    open: Arc<AtomicI64>,
    most: Arc<AtomicI64>,
}

struct Counted {
    file: Arc<dyn ReadFile>,
    open: Arc<AtomicI64>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl ReadFile for Counted {
    fn len(&self) -> u64 {
        self.file.len()
    }
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_at(buf, offset)
    }
}

impl Fs for CountingFs {
    forward!(list read create logs names exists);

    fn open_read(&self, name: &str) -> io::Result<Arc<dyn ReadFile>> {
        let file = self.files.open_read(name)?;
        let now = self.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let open = Arc::clone(&self.open);
        Ok(Arc::new(Counted { file, open }))
    }
}

#[test]
fn a_database_of_thousands_of_tables_keeps_few_of_them_open() {
    const LIMIT: usize = 20;
    const KEYS: u64 = 40_000;
    let fs = CountingFs::default();
    let options = Options {
        max_open_files: LIMIT,
        max_file_size: 1 << 10,
        write_buffer_size: 256 << 10,
        ..tiny()
    };
    let engine = Engine::open(Arc::new(fs.clone()), options.clone()).unwrap();
    let mut rng = Rng(5);
    // The second half falls between the first, so that compactions split what a memtable became: nothing in the way
    // of a large table lets it go down whole.
    for number in (0..KEYS).step_by(2).chain((1..KEYS).step_by(2)) {
        let value: Vec<u8> = (0..40).map(|_| rng.next() as u8).collect();
        // Not in their order: tables of keys in order are moved down whole, as large as they were flushed.
        let number = number * 7_919 % KEYS;
        put(&engine, format!("{number:06}").as_bytes(), &value).unwrap();
    }
    engine.compact_range(None, None).unwrap();
    settle(&engine, options.max_file_size);
    let tables: usize = engine.stats().files_per_level.iter().sum();
    assert!(tables > 1_000, "{tables}");
    for _ in 0..5_000 {
        let number = rng.below(KEYS);
        assert!(get(&engine, format!("{number:06}").as_bytes()).is_some());
    }
    assert_eq!(contents(&engine).len(), KEYS as usize);
    // Those in use beside the limit: a compaction's inputs on level 0, one table of each level, a reader's own.
    let most = fs.most.load(Ordering::SeqCst);
    assert!(most <= LIMIT as i64 + 40, "{most}");
    let now = fs.open.load(Ordering::SeqCst);
    assert!(now <= LIMIT as i64 + 2, "{now}");
}
