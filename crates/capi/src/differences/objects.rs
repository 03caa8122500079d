//! Checks of comparators, filter policies and snapshots.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::program::{Database, Options, kind, run};
use crate::comparator::*;
use crate::failure::Kind;
use crate::options::*;
use crate::snapshot::{leveldb_create_snapshot, leveldb_release_snapshot};

/// The order of bytes; the state is the comparator's name, and a count of how often it was destroyed.
struct Named {
    name: &'static CStr,
    destroyed: AtomicUsize,
}

impl Named {
    fn new(name: &'static CStr) -> Named {
        Named {
            name,
            destroyed: AtomicUsize::new(0),
        }
    }

    fn comparator(&self) -> *mut leveldb_comparator_t {
        let state = ptr::from_ref(self).cast_mut().cast();
        // SAFETY: the callbacks are for this state, which outlives the comparator.
        unsafe { leveldb_comparator_create(state, Some(destroyed), Some(compare), Some(name)) }
    }

    fn is_destroyed(&self) -> bool {
        self.destroyed.load(Ordering::Relaxed) == 1
    }
}

unsafe extern "C" fn destroyed(named: *mut c_void) {
    // SAFETY: the state of a comparator of `Named`.
    let named = unsafe { &*named.cast::<Named>() };
    named.destroyed.fetch_add(1, Ordering::Relaxed);
}

unsafe extern "C" fn name(named: *mut c_void) -> *const c_char {
    // SAFETY: the state of a comparator of `Named`.
    unsafe { &*named.cast::<Named>() }.name.as_ptr()
}

unsafe extern "C" fn compare(
    _: *mut c_void,
    a: *const c_char,
    alen: usize,
    b: *const c_char,
    blen: usize,
) -> c_int {
    // SAFETY: the library gives two keys.
    let (a, b) = unsafe { (crate::border::bytes(a, alen), crate::border::bytes(b, blen)) };
    a.cmp(b) as c_int
}

/// Opens with a comparator, which is destroyed at once.
fn open_with(dir: &Path, named: &Named) -> Result<Database, String> {
    let comparator = named.comparator();
    // SAFETY: the comparator and the options live until the database is open.
    unsafe {
        let options = Options::with(|options| leveldb_options_set_comparator(options, comparator));
        let opened = Database::open(dir, &options);
        leveldb_comparator_destroy(comparator);
        opened
    }
}

pub fn comparator_lives_as_long_as_its_databases(dir: &Path) {
    let named = Named::new(c"test.Named");
    let db = open_with(dir, &named).unwrap();
    assert!(!named.is_destroyed());
    db.put(b"key", b"value").unwrap();
    drop(db);
    assert!(named.is_destroyed());
}

pub fn comparator_of_another_name_is_refused(dir: &Path) {
    let named = Named::new(c"test.Named");
    let db = open_with(dir, &named).unwrap();
    run("has_another_comparator", dir);
    db.put(b"key", b"value").unwrap();
}

pub fn has_another_comparator(dir: &Path) {
    let message = open_with(dir, &Named::new(c"test.Other")).err().unwrap();
    assert!(message.starts_with("Invalid argument: "), "{message}");
    assert!(message.contains("test.Other"), "{message}");
}

/// How often a filter policy was asked.
static ASKED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn create_filter(
    _: *mut c_void,
    _: *const *const c_char,
    _: *const usize,
    _: c_int,
    length: *mut usize,
) -> *mut c_char {
    ASKED.fetch_add(1, Ordering::Relaxed);
    // SAFETY: LevelDB frees what it is given; the length's place is the caller's.
    unsafe {
        *length = 0;
        libc::malloc(1).cast()
    }
}

unsafe extern "C" fn key_may_match(
    _: *mut c_void,
    _: *const c_char,
    _: usize,
    _: *const c_char,
    _: usize,
) -> u8 {
    ASKED.fetch_add(1, Ordering::Relaxed);
    0
}

pub fn own_filter_policy_is_not_asked(dir: &Path) {
    let named = Named::new(c"test.Filter");
    let state = ptr::from_ref(&named).cast_mut().cast();
    // SAFETY: the policy outlives the database; its callbacks are for this state.
    unsafe {
        let policy = leveldb_filterpolicy_create(
            state,
            Some(destroyed),
            Some(create_filter),
            Some(key_may_match),
            Some(name),
        );
        let options = Options::with(|options| leveldb_options_set_filter_policy(options, policy));
        let db = Database::open(dir, &options).unwrap();
        db.put(b"key", b"value").unwrap();
        db.compact();
        assert_eq!(db.get(b"key").unwrap().as_deref(), Some(&b"value"[..]));
        drop(db);
        leveldb_filterpolicy_destroy(policy);
    }
    assert_eq!(ASKED.load(Ordering::Relaxed), 0);
    assert!(named.is_destroyed());
}

pub fn read_at_a_released_snapshot_fails(dir: &Path) {
    let db = Database::open(dir, &Options::new()).unwrap();
    db.put(b"key", b"value").unwrap();
    // SAFETY: the snapshot is released once, and the read options are destroyed once.
    unsafe {
        let snapshot = leveldb_create_snapshot(db.0);
        let options = leveldb_readoptions_create();
        leveldb_readoptions_set_snapshot(options, snapshot);
        assert!(db.get_with(options, b"key").unwrap().is_some());
        leveldb_release_snapshot(db.0, snapshot);
        let message = db.get_with(options, b"key").unwrap_err();
        assert!(message.starts_with("Invalid argument: "), "{message}");
        assert_eq!(kind(), Kind::InvalidArgument);
        leveldb_readoptions_destroy(options);
    }
}
