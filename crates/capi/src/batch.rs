//! Write batches.

use std::ffi::{c_char, c_void};
use std::ptr;

use party::WriteBatch;

use crate::border::{bytes, destroy, exclusive, guard_or, reference};

/// Several writes that take effect together.
pub struct leveldb_writebatch_t {
    pub(crate) batch: WriteBatch,
}

type Put = Option<unsafe extern "C" fn(*mut c_void, *const c_char, usize, *const c_char, usize)>;
type Deleted = Option<unsafe extern "C" fn(*mut c_void, *const c_char, usize)>;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_writebatch_create() -> *mut leveldb_writebatch_t {
    guard_or(ptr::null_mut(), || {
        Ok(Box::into_raw(Box::new(leveldb_writebatch_t {
            batch: WriteBatch::new(),
        })))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_writebatch_destroy(batch: *mut leveldb_writebatch_t) {
    // SAFETY: the caller's promise.
    unsafe { destroy(batch) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_writebatch_clear(batch: *mut leveldb_writebatch_t) {
    guard_or((), || {
        // SAFETY: the caller's promise.
        unsafe { exclusive(batch, "the batch") }?.batch.clear();
        Ok(())
    });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_writebatch_put(
    batch: *mut leveldb_writebatch_t,
    key: *const c_char,
    klen: usize,
    val: *const c_char,
    vlen: usize,
) {
    guard_or((), || {
        // SAFETY: the caller's promise.
        let batch = unsafe { exclusive(batch, "the batch") }?;
        // SAFETY: the caller's promise.
        let (key, value) = unsafe { (bytes(key, klen), bytes(val, vlen)) };
        batch.batch.put(key, value);
        Ok(())
    });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_writebatch_delete(
    batch: *mut leveldb_writebatch_t,
    key: *const c_char,
    klen: usize,
) {
    guard_or((), || {
        // SAFETY: the caller's promise.
        let batch = unsafe { exclusive(batch, "the batch") }?;
        // SAFETY: the caller's promise.
        batch.batch.delete(unsafe { bytes(key, klen) });
        Ok(())
    });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_writebatch_iterate(
    batch: *const leveldb_writebatch_t,
    state: *mut c_void,
    put: Put,
    deleted: Deleted,
) {
    guard_or((), || {
        // SAFETY: the caller's promise.
        let batch = unsafe { reference(batch, "the batch") }?;
        for (key, value) in batch.batch.iter() {
            let (start, len) = (key.as_ptr().cast(), key.len());
            match (value, put, deleted) {
                // SAFETY: the caller's function, with what it is for; the slices are as long as is said.
                (Some(value), Some(put), _) => unsafe {
                    put(state, start, len, value.as_ptr().cast(), value.len());
                },
                // SAFETY: as above.
                (None, _, Some(deleted)) => unsafe { deleted(state, start, len) },
                _ => {}
            }
        }
        Ok(())
    });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_writebatch_append(
    destination: *mut leveldb_writebatch_t,
    source: *const leveldb_writebatch_t,
) {
    guard_or((), || {
        // SAFETY: the caller's promise. A copy, as the two may be one.
        let source = unsafe { reference(source, "the batch") }?.batch.clone();
        // SAFETY: the caller's promise.
        let destination = unsafe { exclusive(destination, "the batch") }?;
        destination.batch.append(&source);
        Ok(())
    });
}
