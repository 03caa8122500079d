//! Databases: LevelDB's calls.

use std::ffi::{CStr, c_char, c_int};
use std::ops::Bound;
use std::{ptr, slice};

use party::{Db, Readable, Snapshot, Sublevel, WriteBatch};

use crate::batch::leveldb_writebatch_t;
use crate::border::{
    Outcome, bytes, bytes_or_none, destroy, exclusive, guard, guard_or, guard_with, malloc_bytes,
    malloc_string, path, reference, store,
};
use crate::failure::{Failure, Kind};
use crate::options::{is_synced, leveldb_options_t, leveldb_readoptions_t, leveldb_writeoptions_t};

/// A database that is open, or a sublevel of one.
pub struct leveldb_t {
    pub(crate) keys: Keys,
    /// Whether each write is synced, whatever its own options say.
    pub(crate) sync: bool,
}

/// The keyspace that a handle's calls are about.
pub(crate) enum Keys {
    Whole(Db),
    Part(Sublevel),
}

/// Makes a call that databases and sublevels have in common.
macro_rules! on {
    ($db:expr, $store:ident => $call:expr) => {
        match &$db.keys {
            $crate::db::Keys::Whole($store) => $call,
            $crate::db::Keys::Part($store) => $call,
        }
    };
}
pub(crate) use on;

impl leveldb_t {
    /// The whole database.
    pub(crate) fn whole(&self) -> &Db {
        match &self.keys {
            Keys::Whole(db) => db,
            Keys::Part(sublevel) => sublevel.db(),
        }
    }

    /// The moment that is read with `options`, if they name one.
    ///
    /// # Safety
    /// `options` is null or lives.
    pub(crate) unsafe fn moment(
        &self,
        options: *const leveldb_readoptions_t,
    ) -> Outcome<Option<Snapshot>> {
        // SAFETY: the caller's promise.
        let Some(options) = (unsafe { options.as_ref() }) else {
            return Ok(None);
        };
        let snapshot = options.snapshot()?;
        Ok(snapshot.map(|snapshot| on!(self, store => snapshot.of(store))))
    }

    /// What `read` makes of the value of `key`.
    ///
    /// # Safety
    /// `options` is null or lives.
    pub(crate) unsafe fn get<T>(
        &self,
        options: *const leveldb_readoptions_t,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> T,
    ) -> Outcome<Option<T>> {
        // SAFETY: the caller's promise.
        Ok(match unsafe { self.moment(options) }? {
            Some(moment) => moment.get_with(key, read)?,
            None => on!(self, store => store.get_with(key, read))?,
        })
    }

    pub(crate) fn put(&self, key: &[u8], value: &[u8], sync: bool) -> Outcome<()> {
        match sync || self.sync {
            true => on!(self, store => store.put_sync(key, value))?,
            false => on!(self, store => store.put(key, value))?,
        }
        Ok(())
    }

    pub(crate) fn delete(&self, key: &[u8], sync: bool) -> Outcome<()> {
        match sync {
            true => {
                let mut batch = WriteBatch::new();
                batch.delete(key);
                self.write(&mut batch, true).map(drop)
            }
            false => Ok(on!(self, store => store.delete(key))?),
        }
    }

    pub(crate) fn write(&self, batch: &mut WriteBatch, sync: bool) -> Outcome<u64> {
        batch.sync(sync || self.sync);
        Ok(on!(self, store => store.write_sequenced(batch))?)
    }
}

/// Opens the database `name`.
///
/// # Safety
/// The pointers are null or what the header says.
///
/// # Errors
/// As `party::Options::open`.
pub(crate) unsafe fn open(
    options: *const leveldb_options_t,
    name: *const c_char,
) -> Outcome<*mut leveldb_t> {
    // SAFETY: the caller's promise.
    let (options, path) = unsafe { (reference(options, "the options")?, path(name)?) };
    let db = options.chosen()?.open(&path)?;
    Ok(Box::into_raw(Box::new(leveldb_t {
        keys: Keys::Whole(db),
        sync: options.sync,
    })))
}

/// A failure to open the database `name`, with the sentences and the class of LevelDB that programs look for.
///
/// # Safety
/// As [`open`].
unsafe fn told_as_leveldb_does(
    failure: Failure,
    options: *const leveldb_options_t,
    name: *const c_char,
) -> Failure {
    // SAFETY: the caller's promise.
    let (options, path) = unsafe { (options.as_ref(), path(name)) };
    let (Some(options), Ok(path)) = (options, path) else {
        return failure;
    };
    let name = path.display();
    match failure.kind {
        Kind::NotFound if !options.create_if_missing => failure.told_as_invalid(format!(
            "{name}: does not exist (create_if_missing is false)"
        )),
        Kind::NotFound => failure.told_as_not_found(),
        Kind::AlreadyExists => {
            failure.told_as_invalid(format!("{name}: exists (error_if_exists is true)"))
        }
        _ => failure,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_open(
    options: *const leveldb_options_t,
    name: *const c_char,
    errptr: *mut *mut c_char,
) -> *mut leveldb_t {
    let call = || {
        // SAFETY: the caller's promise.
        unsafe {
            open(options, name).map_err(|failure| told_as_leveldb_does(failure, options, name))
        }
    };
    // SAFETY: the caller's promise.
    unsafe { guard_with(errptr, ptr::null_mut(), call) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_close(db: *mut leveldb_t) {
    // A failure has nobody to be told to.
    let _ = guard(|| {
        // SAFETY: the caller's promise.
        let open = unsafe { reference(db, "the database") }?;
        if let Keys::Whole(whole) = &open.keys {
            whole.close()?;
        }
        // SAFETY: the caller's promise: it was given out by an open, and is used no more.
        unsafe { destroy(db) };
        Ok(())
    });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_put(
    db: *mut leveldb_t,
    options: *const leveldb_writeoptions_t,
    key: *const c_char,
    keylen: usize,
    val: *const c_char,
    vallen: usize,
    errptr: *mut *mut c_char,
) {
    let call = || {
        // SAFETY: the caller's promise.
        let (db, sync) = unsafe { (reference(db, "the database")?, is_synced(options)) };
        // SAFETY: the caller's promise.
        let (key, value) = unsafe { (bytes(key, keylen), bytes(val, vallen)) };
        db.put(key, value, sync)
    };
    // SAFETY: the caller's promise.
    unsafe { guard_with(errptr, (), call) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_delete(
    db: *mut leveldb_t,
    options: *const leveldb_writeoptions_t,
    key: *const c_char,
    keylen: usize,
    errptr: *mut *mut c_char,
) {
    let call = || {
        // SAFETY: the caller's promise.
        let (db, sync) = unsafe { (reference(db, "the database")?, is_synced(options)) };
        // SAFETY: the caller's promise.
        db.delete(unsafe { bytes(key, keylen) }, sync || db.sync)
    };
    // SAFETY: the caller's promise.
    unsafe { guard_with(errptr, (), call) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_write(
    db: *mut leveldb_t,
    options: *const leveldb_writeoptions_t,
    batch: *mut leveldb_writebatch_t,
    errptr: *mut *mut c_char,
) {
    let call = || {
        // SAFETY: the caller's promise.
        let (db, sync) = unsafe { (reference(db, "the database")?, is_synced(options)) };
        // SAFETY: the caller's promise.
        let batch = unsafe { exclusive(batch, "the batch") }?;
        db.write(&mut batch.batch, sync).map(drop)
    };
    // SAFETY: the caller's promise.
    unsafe { guard_with(errptr, (), call) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_get(
    db: *mut leveldb_t,
    options: *const leveldb_readoptions_t,
    key: *const c_char,
    keylen: usize,
    vallen: *mut usize,
    errptr: *mut *mut c_char,
) -> *mut c_char {
    let nothing = (ptr::null_mut(), 0);
    let call = || {
        // SAFETY: the caller's promise.
        let (db, key) = unsafe { (reference(db, "the database")?, bytes(key, keylen)) };
        let copy = |value: &[u8]| (malloc_bytes(value), value.len());
        // SAFETY: the caller's promise.
        Ok(unsafe { db.get(options, key, copy) }?.unwrap_or(nothing))
    };
    // SAFETY: the caller's promise.
    unsafe {
        let (value, len) = guard_with(errptr, nothing, call);
        store(vallen, len);
        value
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_property_value(
    db: *mut leveldb_t,
    propname: *const c_char,
) -> *mut c_char {
    guard_or(ptr::null_mut(), || {
        // SAFETY: the caller's promise.
        let db = unsafe { reference(db, "the database") }?;
        if propname.is_null() {
            return Ok(ptr::null_mut());
        }
        // SAFETY: the caller's promise.
        let name = unsafe { CStr::from_ptr(propname) };
        let value = match name.to_str() {
            Ok(name) => db.whole().property(name)?,
            Err(_) => None,
        };
        Ok(value.map_or(ptr::null_mut(), |value| malloc_string(&value)))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_approximate_sizes(
    db: *mut leveldb_t,
    num_ranges: c_int,
    range_start_key: *const *const c_char,
    range_start_key_len: *const usize,
    range_limit_key: *const *const c_char,
    range_limit_key_len: *const usize,
    sizes: *mut u64,
) {
    let count = usize::try_from(num_ranges).unwrap_or(0);
    if count == 0 || sizes.is_null() {
        return;
    }
    // SAFETY: the caller's promise: there are so many.
    let sizes = unsafe { slice::from_raw_parts_mut(sizes, count) };
    // What can't be told is nothing, as in LevelDB.
    sizes.fill(0);
    let _ = guard(|| {
        // SAFETY: the caller's promise: there are so many of each.
        let (db, starts, start_lens, limits, limit_lens) = unsafe {
            (
                reference(db, "the database")?,
                array(range_start_key, count)?,
                array(range_start_key_len, count)?,
                array(range_limit_key, count)?,
                array(range_limit_key_len, count)?,
            )
        };
        for (number, size) in sizes.iter_mut().enumerate() {
            // SAFETY: the caller's promise of each range.
            let (start, limit) = unsafe {
                (
                    bytes(starts[number], start_lens[number]),
                    bytes(limits[number], limit_lens[number]),
                )
            };
            let bounds = (Bound::Included(start), Bound::Excluded(limit));
            *size = on!(db, store => store.approximate_size(bounds))?;
        }
        Ok(())
    });
}

/// # Safety
/// `start` is null or there are so many, which nobody changes meanwhile.
unsafe fn array<'a, T>(start: *const T, count: usize) -> Outcome<&'a [T]> {
    // SAFETY: the caller's promise.
    unsafe {
        reference(start, "an array of ranges")?;
        Ok(slice::from_raw_parts(start, count))
    }
}

/// # Safety
/// The pointers are null or what the header says.
pub(crate) unsafe fn compact(
    db: *mut leveldb_t,
    start: (*const c_char, usize),
    limit: (*const c_char, usize),
) -> Outcome<()> {
    // SAFETY: the caller's promise.
    let (db, start, limit) = unsafe {
        (
            reference(db, "the database")?,
            bytes_or_none(start.0, start.1),
            bytes_or_none(limit.0, limit.1),
        )
    };
    let bound = |key: Option<_>| key.map_or(Bound::Unbounded, Bound::Included);
    on!(db, store => store.compact_range((bound(start), bound(limit))))?;
    Ok(())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_compact_range(
    db: *mut leveldb_t,
    start_key: *const c_char,
    start_key_len: usize,
    limit_key: *const c_char,
    limit_key_len: usize,
) {
    // SAFETY: the caller's promise. LevelDB tells no failure of it either; `lp_compact_range` does.
    let _ =
        guard(|| unsafe { compact(db, (start_key, start_key_len), (limit_key, limit_key_len)) });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_destroy_db(
    _options: *const leveldb_options_t,
    name: *const c_char,
    errptr: *mut *mut c_char,
) {
    let call = || {
        // SAFETY: the caller's promise.
        let path = unsafe { path(name) }?;
        match Db::destroy(&path).map_err(Failure::from) {
            // As LevelDB, for which that is no failure.
            Err(failure) if failure.kind == Kind::NotFound => Ok(()),
            destroyed => destroyed.map(drop),
        }
    };
    // SAFETY: the caller's promise.
    unsafe { guard_with(errptr, (), call) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_repair_db(
    options: *const leveldb_options_t,
    name: *const c_char,
    errptr: *mut *mut c_char,
) {
    let call = || {
        // SAFETY: the caller's promise.
        let (options, path) = unsafe { (options.as_ref(), path(name)?) };
        let mut repair = Db::repair_options();
        if let Some(comparator) = options.and_then(|options| options.comparator.as_ref()) {
            repair = repair.comparator(comparator.used()?);
        }
        repair.run(&path)?;
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guard_with(errptr, (), call) };
}
