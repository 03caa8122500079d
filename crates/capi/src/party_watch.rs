//! Beyond LevelDB: watches.

use std::ffi::{c_char, c_int};
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use party::{Position, Watch, WatchCloser, WatchFrom, WatchItem};

use crate::border::{Outcome, destroy, guard_or, is_null, malloc_string, reference, store, text};
use crate::db::{leveldb_t, on};
use crate::failure::{Failure, Kind};
use crate::party_calls::bounds;
use crate::party_errors::{lp_error_t, told};

/// The committed changes of a range.
pub struct lp_watch_t {
    /// Held by the one that waits for a change.
    following: Mutex<Following>,
    closer: WatchCloser,
}

struct Following {
    watch: Watch,
    /// What was told last: the caller reads it.
    item: Option<WatchItem>,
}

/// What a watch tells; as in the header.
#[repr(C)]
pub struct lp_change_t {
    kind: c_int,
    sequence: u64,
    key: *const c_char,
    keylen: usize,
    value: *const c_char,
    vallen: usize,
    resume: u64,
}

const NOTHING: c_int = 0;
const PUT: c_int = 1;
const DELETE: c_int = 2;
const GAP: c_int = 3;

impl lp_change_t {
    /// What is told of `item`, which it points into.
    fn of(item: Option<&WatchItem>) -> Self {
        let mut told = lp_change_t {
            kind: NOTHING,
            sequence: 0,
            key: ptr::null(),
            keylen: 0,
            value: ptr::null(),
            vallen: 0,
            resume: 0,
        };
        match item {
            None => {}
            Some(WatchItem::Change(change)) => {
                told.kind = DELETE;
                told.sequence = change.sequence;
                (told.key, told.keylen) = (change.key.as_ptr().cast(), change.key.len());
                if let Some(value) = &change.value {
                    told.kind = PUT;
                    (told.value, told.vallen) = (value.as_ptr().cast(), value.len());
                }
            }
            Some(WatchItem::Gap { from, resume }) => {
                (told.kind, told.sequence, told.resume) = (GAP, *from, *resume);
            }
            Some(_) => unreachable!("the two are all that a watch tells"),
        }
        told
    }
}

/// Where a watch begins.
///
/// # Safety
/// `position` is null or a string.
unsafe fn beginning(from: c_int, position: *const c_char) -> Outcome<WatchFrom> {
    match from {
        0 => Ok(WatchFrom::Now),
        1 => Ok(WatchFrom::Beginning),
        2 => {
            // SAFETY: the caller's promise.
            let position = unsafe { text(position, "the watch's position") }?;
            Ok(WatchFrom::After(position.parse::<Position>()?))
        }
        other => Err(Failure::new(
            Kind::InvalidArgument,
            format!("a watch can't begin at {other}: give one of lp_watch_from_t"),
        )),
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_watch_create(
    db: *mut leveldb_t,
    start: *const c_char,
    startlen: usize,
    limit: *const c_char,
    limitlen: usize,
    from: c_int,
    position: *const c_char,
    watch: *mut *mut lp_watch_t,
) -> *mut lp_error_t {
    told(|| {
        // SAFETY: the caller's promise.
        let (db, from, bounds) = unsafe {
            store(watch, ptr::null_mut());
            (
                reference(db, "the database")?,
                beginning(from, position)?,
                bounds((start, startlen), (limit, limitlen)),
            )
        };
        if watch.is_null() {
            return Err(is_null("the place for the watch"));
        }
        let begun = on!(db, store => store.watch(bounds, from))?;
        let begun = Box::new(lp_watch_t {
            closer: begun.closer(),
            following: Mutex::new(Following {
                watch: begun,
                item: None,
            }),
        });
        // SAFETY: the caller's promise.
        unsafe { store(watch, Box::into_raw(begun)) };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_watch_next(
    watch: *mut lp_watch_t,
    timeout_ms: i64,
    change: *mut lp_change_t,
) -> *mut lp_error_t {
    told(|| {
        // SAFETY: the caller's promise.
        let watch = unsafe {
            store(change, lp_change_t::of(None));
            reference(watch, "the watch")?
        };
        let mut following = watch
            .following
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        following.item = None;
        following.item = match u64::try_from(timeout_ms) {
            Ok(limit) => following.watch.next_timeout(Duration::from_millis(limit))?,
            // A negative limit is none.
            Err(_) => match following.watch.next().transpose()? {
                Some(item) => Some(item),
                // It is over: what ended it is told again.
                None => following.watch.try_next()?,
            },
        };
        // SAFETY: the caller's promise. What it points to stays until the next call.
        unsafe { store(change, lp_change_t::of(following.item.as_ref())) };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_watch_position(watch: *mut lp_watch_t) -> *mut c_char {
    guard_or(ptr::null_mut(), || {
        // SAFETY: the caller's promise.
        let watch = unsafe { reference(watch, "the watch") }?;
        let following = watch
            .following
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(malloc_string(&following.watch.position().to_string()))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_watch_close(watch: *mut lp_watch_t) {
    guard_or((), || {
        // SAFETY: the caller's promise.
        unsafe { reference(watch, "the watch") }?.closer.close();
        Ok(())
    });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_watch_destroy(watch: *mut lp_watch_t) {
    // SAFETY: the caller's promise.
    unsafe { destroy(watch) };
}
