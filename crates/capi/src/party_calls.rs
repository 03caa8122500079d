//! Beyond LevelDB: the calls of a database with errors that have kinds, and those that LevelDB does not have.

use std::ffi::c_char;
use std::ops::Bound;
use std::ptr;

use crate::batch::leveldb_writebatch_t;
use crate::border::{
    bytes, bytes_or_none, exclusive, is_null, malloc_bytes, malloc_string, path, reference, store,
    text,
};
use crate::db::{Keys, compact, leveldb_t, on, open};
use crate::failure::{Failure, Kind};
use crate::iterator::leveldb_iterator_t;
use crate::options::{leveldb_options_t, leveldb_readoptions_t};
use crate::party_errors::{lp_error_t, told};

/// The keys from `start` on, before `limit`; null is no bound.
///
/// # Safety
/// The pointers are null, or there are so many bytes.
pub(crate) unsafe fn bounds<'a>(
    start: (*const c_char, usize),
    limit: (*const c_char, usize),
) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
    // SAFETY: the caller's promise.
    let (start, limit) = unsafe {
        (
            bytes_or_none(start.0, start.1),
            bytes_or_none(limit.0, limit.1),
        )
    };
    (
        start.map_or(Bound::Unbounded, Bound::Included),
        limit.map_or(Bound::Unbounded, Bound::Excluded),
    )
}

/// Gives a value that the caller frees, or null.
///
/// # Safety
/// Both places are null or may be written.
pub(crate) unsafe fn give(found: Option<&[u8]>, value: *mut *mut c_char, vallen: *mut usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if !value.is_null() {
            store(value, found.map_or(ptr::null_mut(), malloc_bytes));
        }
        store(vallen, found.map_or(0, <[u8]>::len));
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_open(
    options: *const leveldb_options_t,
    name: *const c_char,
    db: *mut *mut leveldb_t,
) -> *mut lp_error_t {
    told(|| {
        // SAFETY: the caller's promise.
        unsafe {
            store(db, ptr::null_mut());
            if db.is_null() {
                return Err(is_null("the place for the database"));
            }
            store(db, open(options, name)?);
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_sublevel(
    db: *mut leveldb_t,
    name: *const c_char,
    sublevel: *mut *mut leveldb_t,
) -> *mut lp_error_t {
    told(|| {
        // SAFETY: the caller's promise.
        let (db, name) = unsafe {
            store(sublevel, ptr::null_mut());
            (
                reference(db, "the database")?,
                text(name, "the sublevel's name")?,
            )
        };
        if sublevel.is_null() {
            return Err(is_null("the place for the sublevel"));
        }
        let part = on!(db, store => store.sublevel(name))?;
        let part = leveldb_t {
            keys: Keys::Part(part),
            sync: db.sync,
        };
        // SAFETY: the caller's promise.
        unsafe { store(sublevel, Box::into_raw(Box::new(part))) };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_get(
    db: *mut leveldb_t,
    options: *const leveldb_readoptions_t,
    key: *const c_char,
    keylen: usize,
    value: *mut *mut c_char,
    vallen: *mut usize,
) -> *mut lp_error_t {
    told(|| {
        // SAFETY: the caller's promise.
        unsafe {
            give(None, value, vallen);
            let (db, key) = (reference(db, "the database")?, bytes(key, keylen));
            db.get(options, key, |found| give(Some(found), value, vallen))?;
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_put(
    db: *mut leveldb_t,
    key: *const c_char,
    keylen: usize,
    val: *const c_char,
    vallen: usize,
    sync: u8,
) -> *mut lp_error_t {
    told(|| {
        // SAFETY: the caller's promise.
        let db = unsafe { reference(db, "the database") }?;
        // SAFETY: the caller's promise.
        let (key, value) = unsafe { (bytes(key, keylen), bytes(val, vallen)) };
        db.put(key, value, sync != 0)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_delete(
    db: *mut leveldb_t,
    key: *const c_char,
    keylen: usize,
    sync: u8,
) -> *mut lp_error_t {
    told(|| {
        // SAFETY: the caller's promise.
        let (db, key) = unsafe { (reference(db, "the database")?, bytes(key, keylen)) };
        db.delete(key, sync != 0 || db.sync)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_write(
    db: *mut leveldb_t,
    batch: *mut leveldb_writebatch_t,
    sync: u8,
    sequence: *mut u64,
) -> *mut lp_error_t {
    told(|| {
        // SAFETY: the caller's promise.
        unsafe {
            let db = reference(db, "the database")?;
            let batch = exclusive(batch, "the batch")?;
            store(sequence, db.write(&mut batch.batch, sync != 0)?);
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_compare_and_swap(
    db: *mut leveldb_t,
    key: *const c_char,
    keylen: usize,
    expected: *const c_char,
    expectedlen: usize,
    new_value: *const c_char,
    newlen: usize,
    swapped: *mut u8,
    held: *mut *mut c_char,
    heldlen: *mut usize,
) -> *mut lp_error_t {
    told(|| {
        // SAFETY: the caller's promise.
        unsafe {
            store(swapped, 0);
            give(None, held, heldlen);
        }
        // SAFETY: the caller's promise.
        let (db, key, expected, new) = unsafe {
            (
                reference(db, "the database")?,
                bytes(key, keylen),
                bytes_or_none(expected, expectedlen),
                bytes_or_none(new_value, newlen),
            )
        };
        let outcome = on!(db, store => store.compare_and_swap(key, expected, new))?;
        // SAFETY: the caller's promise.
        unsafe {
            match outcome {
                Ok(()) => store(swapped, 1),
                Err(found) => give(found.as_deref(), held, heldlen),
            }
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_clear(
    db: *mut leveldb_t,
    start: *const c_char,
    startlen: usize,
    limit: *const c_char,
    limitlen: usize,
    count: *mut u64,
) -> *mut lp_error_t {
    told(|| {
        // SAFETY: the caller's promise.
        unsafe {
            store(count, 0);
            let db = reference(db, "the database")?;
            let bounds = bounds((start, startlen), (limit, limitlen));
            store(count, on!(db, store => store.clear(bounds))?);
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_compact_range(
    db: *mut leveldb_t,
    start: *const c_char,
    startlen: usize,
    limit: *const c_char,
    limitlen: usize,
) -> *mut lp_error_t {
    // SAFETY: the caller's promise.
    told(|| unsafe { compact(db, (start, startlen), (limit, limitlen)) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_iter_error(iterator: *const leveldb_iterator_t) -> *mut lp_error_t {
    told(|| {
        // SAFETY: the caller's promise.
        let iterator = unsafe { reference(iterator, "the iterator") }?;
        iterator.failure().cloned().map_or(Ok(()), Err)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_checkpoint(
    db: *mut leveldb_t,
    name: *const c_char,
    sequence: *mut u64,
) -> *mut lp_error_t {
    told(|| {
        // SAFETY: the caller's promise.
        unsafe {
            let (db, path) = (reference(db, "the database")?, path(name)?);
            store(sequence, db.whole().checkpoint(path)?);
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_status(db: *mut leveldb_t, json: *mut *mut c_char) -> *mut lp_error_t {
    told(|| {
        // SAFETY: the caller's promise.
        unsafe { store(json, ptr::null_mut()) };
        // SAFETY: the caller's promise.
        let db = unsafe { reference(db, "the database") }?;
        if json.is_null() {
            return Err(is_null("the place for the status"));
        }
        let status = serde_json::to_string(&db.whole().status()?);
        let status = status.map_err(|error| {
            Failure::new(Kind::Internal, format!("the status has no JSON: {error}"))
        })?;
        // SAFETY: the caller's promise.
        unsafe { store(json, malloc_string(&status)) };
        Ok(())
    })
}
