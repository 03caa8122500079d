//! Snapshots.

use std::ptr;
use std::sync::{Arc, Weak};

use party::Snapshot;

use crate::border::{Outcome, destroy, guard_or, reference};
use crate::db::{leveldb_t, on};

/// What taking a snapshot came to: where it failed, reads through it do.
pub(crate) type Taken = Outcome<Snapshot>;

/// A moment of a database.
pub struct leveldb_snapshot_t {
    taken: Arc<Taken>,
}

impl leveldb_snapshot_t {
    /// It as read options keep it.
    pub(crate) fn named(&self) -> Weak<Taken> {
        Arc::downgrade(&self.taken)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_create_snapshot(db: *mut leveldb_t) -> *const leveldb_snapshot_t {
    guard_or(ptr::null(), || {
        // SAFETY: the caller's promise.
        let db = unsafe { reference(db, "the database") }?;
        let taken = Arc::new(on!(db, store => store.snapshot()).map_err(Into::into));
        Ok(Box::into_raw(Box::new(leveldb_snapshot_t { taken })).cast_const())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_release_snapshot(
    _db: *mut leveldb_t,
    snapshot: *const leveldb_snapshot_t,
) {
    // SAFETY: the caller's promise.
    unsafe { destroy(snapshot.cast_mut()) };
}
