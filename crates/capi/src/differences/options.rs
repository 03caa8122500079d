//! Checks of options.

use std::fs;
use std::path::{Path, PathBuf};

use super::program::{Database, Options, files, kind, run};
use crate::db::leveldb_compact_range;
use crate::failure::Kind;
use crate::objects::{leveldb_cache_create_lru, leveldb_cache_destroy};
use crate::options::*;
use crate::party_options::{lp_options_set_raise_descriptor_limit, lp_options_set_timeout};

pub fn settings_are_the_first_openers(dir: &Path) {
    // SAFETY: the options live.
    let large = Options::with(|options| unsafe { leveldb_options_set_block_size(options, 65_536) });
    let db = Database::open(dir, &large).unwrap();
    assert_eq!(db.settings_not_in_force(), Vec::<String>::new());
    run("asks_for_other_settings", dir);
}

pub fn asks_for_other_settings(dir: &Path) {
    // SAFETY: the options live.
    let small = Options::with(|options| unsafe { leveldb_options_set_block_size(options, 1024) });
    let db = Database::open(dir, &small).unwrap();
    let told = db.settings_not_in_force();
    assert!(told.len() == 1 && told[0].contains("65536"), "{told:?}");
}

/// The tables in `dir`.
fn tables(dir: &Path) -> Vec<PathBuf> {
    let names = files(dir).into_iter();
    let tables = names.filter(|name| Path::new(name).extension().is_some_and(|end| end == "ldb"));
    tables.map(|name| dir.join(name)).collect()
}

/// The table that a compaction of everything made; older ones may be there that are removed later.
fn newest_table(dir: &Path) -> PathBuf {
    tables(dir).pop().expect("a table")
}

pub fn damage_is_found_without_asking(dir: &Path) {
    // SAFETY: the options live.
    let plain = Options::with(|options| unsafe { leveldb_options_set_compression(options, 0) });
    let db = Database::open(dir, &plain).unwrap();
    db.put(b"key", b"a value that is damaged").unwrap();
    db.compact();
    drop(db);
    let table = newest_table(dir);
    let mut bytes = fs::read(&table).unwrap();
    let at = bytes.windows(7).position(|bytes| bytes == b"damaged");
    bytes[at.expect("the value is in the table")] ^= 1;
    fs::write(&table, bytes).unwrap();
    let message = Database::open(dir, &plain)
        .unwrap()
        .get(b"key")
        .unwrap_err();
    assert!(message.starts_with("Corruption: "), "{message}");
}

pub fn max_open_files_has_no_effect(dir: &Path) {
    // SAFETY: the options live.
    let few = Options::with(|options| unsafe { leveldb_options_set_max_open_files(options, 1) });
    let db = Database::open(dir, &few).unwrap();
    for number in 0..20_u8 {
        let key = [number];
        db.put(&key, b"value").unwrap();
        let key = key.as_ptr().cast();
        // SAFETY: the database is open, and the key has one byte.
        unsafe { leveldb_compact_range(db.0, key, 1, key, 1) };
    }
    for number in 0..20_u8 {
        assert!(db.get(&[number]).unwrap().is_some());
    }
    let open = fs::read_dir("/proc/self/fd").unwrap();
    let open = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let tables = tables(dir);
    let open = open.filter(|file| tables.contains(file)).count();
    assert!(open > 10, "{open} of {} tables are open", tables.len());
}

pub fn block_restart_interval_has_no_effect(dir: &Path) {
    let table_with = |name: &str, options: &Options| {
        let dir = dir.with_extension(name);
        let db = Database::open(&dir, options).unwrap();
        for number in 0..1000 {
            db.put(format!("key {number:04}").as_bytes(), b"value")
                .unwrap();
        }
        db.compact();
        drop(db);
        fs::read(newest_table(&dir)).unwrap()
    };
    // SAFETY: the options live.
    let one =
        Options::with(|options| unsafe { leveldb_options_set_block_restart_interval(options, 1) });
    assert_eq!(
        table_with("one", &one),
        table_with("default", &Options::new())
    );
}

pub fn waiting_writes_have_a_deadline(dir: &Path) {
    let shown = Options::new().shown();
    assert!(shown.contains(" timeout: 30s"), "{shown}");
    // SAFETY: the options live.
    let no_time = Options::with(|options| unsafe { lp_options_set_timeout(options, 0) });
    let db = Database::open(dir, &no_time).unwrap();
    let message = db.put(b"key", b"value").unwrap_err();
    assert!(message.starts_with("IO error: "), "{message}");
    assert_eq!(kind(), Kind::Timeout);
    assert_eq!(db.get(b"key").unwrap(), None);
}

pub fn databases_do_not_share_a_cache(_: &Path) {
    // SAFETY: the cache lives until both options have it.
    unsafe {
        let cache = leveldb_cache_create_lru(12_345);
        let with = || Options::with(|options| leveldb_options_set_cache(options, cache));
        let (one, other) = (with(), with());
        leveldb_cache_destroy(cache);
        for options in [one, other] {
            let shown = options.shown();
            assert!(shown.contains("block_cache_bytes: 12345"), "{shown}");
        }
    }
}

fn descriptor_limit() -> libc::rlimit {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the call writes one such structure.
    let got = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    assert_eq!(got, 0, "getrlimit");
    limit
}

pub fn descriptor_limit_is_raised(dir: &Path) {
    run("has_few_descriptors", dir); // for the limit is raised once in a process
}

pub fn has_few_descriptors(dir: &Path) {
    let hard = descriptor_limit().rlim_max;
    let few = libc::rlimit {
        rlim_cur: 128,
        rlim_max: hard,
    };
    assert!(hard > few.rlim_cur);
    // SAFETY: the call reads one such structure.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const few) };
    assert_eq!(set, 0, "setrlimit");
    // SAFETY: the options live.
    let modest =
        Options::with(|options| unsafe { lp_options_set_raise_descriptor_limit(options, 0) });
    drop(Database::open(dir, &modest).unwrap());
    assert_eq!(descriptor_limit().rlim_cur, few.rlim_cur);
    drop(Database::open(dir, &Options::new()).unwrap());
    assert_eq!(descriptor_limit().rlim_cur, hard);
}
