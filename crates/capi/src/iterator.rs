//! Iterators: one moment, walked in both directions and sought in.
//!
//! A range of `party` hands its entries out once, from each end; so there is one for each direction, and a turn is a seek of
//! the other one to the key that the iterator stands at.

use std::ffi::c_char;
use std::ptr;

use party::{Range, Readable, Snapshot};

use crate::border::{Outcome, bytes, destroy, guard, guard_or, guard_with, reference, store};
use crate::db::{leveldb_t, on};
use crate::failure::Failure;
use crate::options::leveldb_readoptions_t;

/// A walk over one moment of a database.
pub struct leveldb_iterator_t {
    moment: Outcome<Snapshot>,
    forward: Option<Range>,
    backward: Option<Range>,
    at: At,
    key: Vec<u8>,
    value: Vec<u8>,
    failure: Option<Failure>,
}

/// Where an iterator stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Nowhere,
    /// At `key`, which the forward range gave last.
    Forward,
    /// At `key`, which the backward range gave last.
    Backward,
}

impl leveldb_iterator_t {
    fn new(moment: Outcome<Snapshot>) -> Self {
        leveldb_iterator_t {
            failure: moment.as_ref().err().cloned(),
            moment,
            forward: None,
            backward: None,
            at: At::Nowhere,
            key: Vec::new(),
            value: Vec::new(),
        }
    }

    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    fn fresh(&self) -> Outcome<Range> {
        Ok(self.moment.clone()?.iter())
    }

    fn seek_to_first(&mut self) -> Outcome<()> {
        self.begin();
        self.forward = Some(self.fresh()?);
        self.step_forward()
    }

    fn seek_to_last(&mut self) -> Outcome<()> {
        self.begin();
        self.backward = Some(self.fresh()?);
        self.step_backward()
    }

    fn seek(&mut self, target: &[u8]) -> Outcome<()> {
        self.begin();
        self.turn_forward(target)?;
        self.step_forward()
    }

    fn next(&mut self) -> Outcome<()> {
        match self.at {
            At::Nowhere => Ok(()),
            At::Forward => self.step_forward(),
            At::Backward => {
                let key = std::mem::take(&mut self.key);
                self.turn_forward(&key)?;
                self.step_forward()?;
                // It stands at the same entry again, of the same moment.
                match self.at == At::Forward && self.key == key {
                    true => self.step_forward(),
                    false => Ok(()),
                }
            }
        }
    }

    fn prev(&mut self) -> Outcome<()> {
        match self.at {
            At::Nowhere => Ok(()),
            At::Backward => self.step_backward(),
            At::Forward => {
                let key = std::mem::take(&mut self.key);
                self.turn_backward(&key)?;
                self.step_backward()?;
                match self.at == At::Backward && self.key == key {
                    true => self.step_backward(),
                    false => Ok(()),
                }
            }
        }
    }

    /// It is sought anew: a failure is over, and so are ranges that ended with it.
    fn begin(&mut self) {
        if self.failure.take().is_some() {
            (self.forward, self.backward) = (None, None);
        }
        self.at = At::Nowhere;
    }

    fn turn_forward(&mut self, target: &[u8]) -> Outcome<()> {
        let mut range = match self.forward.take() {
            Some(range) => range,
            None => self.fresh()?,
        };
        range.seek(target);
        self.forward = Some(range);
        Ok(())
    }

    fn turn_backward(&mut self, target: &[u8]) -> Outcome<()> {
        let mut range = match self.backward.take() {
            Some(range) => range,
            None => self.fresh()?,
        };
        range.seek_back(target);
        self.backward = Some(range);
        Ok(())
    }

    fn step_forward(&mut self) -> Outcome<()> {
        self.step(At::Forward)
    }

    fn step_backward(&mut self) -> Outcome<()> {
        self.step(At::Backward)
    }

    /// Takes the next entry of the range of a direction.
    fn step(&mut self, direction: At) -> Outcome<()> {
        self.at = At::Nowhere;
        let (key, value) = (&mut self.key, &mut self.value);
        let keep = |found: &[u8], holds: &[u8]| {
            key.clear();
            key.extend_from_slice(found);
            value.clear();
            value.extend_from_slice(holds);
        };
        let stepped = match direction {
            At::Nowhere => None,
            At::Forward => self
                .forward
                .as_mut()
                .and_then(|range| range.next_with(keep)),
            At::Backward => self
                .backward
                .as_mut()
                .and_then(|range| range.next_back_with(keep)),
        };
        if let Some(stepped) = stepped {
            stepped?;
            self.at = direction;
        }
        Ok(())
    }
}

/// Moves an iterator; a failure is kept in it.
///
/// # Safety
/// `iterator` is null, or lives and is used by nobody else meanwhile.
unsafe fn moved(
    iterator: *mut leveldb_iterator_t,
    go: impl FnOnce(&mut leveldb_iterator_t) -> Outcome<()>,
) {
    // SAFETY: the caller's promise.
    let Some(iterator) = (unsafe { iterator.as_mut() }) else {
        return;
    };
    if let Err(failure) = guard(|| go(iterator)) {
        iterator.at = At::Nowhere;
        iterator.failure = Some(failure);
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_create_iterator(
    db: *mut leveldb_t,
    options: *const leveldb_readoptions_t,
) -> *mut leveldb_iterator_t {
    let moment = guard(|| {
        // SAFETY: the caller's promise.
        let db = unsafe { reference(db, "the database") }?;
        // SAFETY: the caller's promise.
        match unsafe { db.moment(options) }? {
            Some(moment) => Ok(moment),
            None => Ok(on!(db, store => store.snapshot())?),
        }
    });
    guard_or(ptr::null_mut(), || {
        Ok(Box::into_raw(Box::new(leveldb_iterator_t::new(moment))))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_iter_destroy(iterator: *mut leveldb_iterator_t) {
    // SAFETY: the caller's promise.
    unsafe { destroy(iterator) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_iter_valid(iterator: *const leveldb_iterator_t) -> u8 {
    // SAFETY: the caller's promise.
    let iterator = unsafe { iterator.as_ref() };
    u8::from(iterator.is_some_and(|iterator| iterator.at != At::Nowhere))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_iter_seek_to_first(iterator: *mut leveldb_iterator_t) {
    // SAFETY: the caller's promise.
    unsafe { moved(iterator, leveldb_iterator_t::seek_to_first) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_iter_seek_to_last(iterator: *mut leveldb_iterator_t) {
    // SAFETY: the caller's promise.
    unsafe { moved(iterator, leveldb_iterator_t::seek_to_last) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_iter_seek(
    iterator: *mut leveldb_iterator_t,
    k: *const c_char,
    klen: usize,
) {
    // SAFETY: the caller's promise.
    unsafe { moved(iterator, |iterator| iterator.seek(bytes(k, klen))) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_iter_next(iterator: *mut leveldb_iterator_t) {
    // SAFETY: the caller's promise.
    unsafe { moved(iterator, leveldb_iterator_t::next) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_iter_prev(iterator: *mut leveldb_iterator_t) {
    // SAFETY: the caller's promise.
    unsafe { moved(iterator, leveldb_iterator_t::prev) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_iter_key(
    iterator: *const leveldb_iterator_t,
    klen: *mut usize,
) -> *const c_char {
    // SAFETY: the caller's promise.
    unsafe { part(iterator, klen, |iterator| &iterator.key) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_iter_value(
    iterator: *const leveldb_iterator_t,
    vlen: *mut usize,
) -> *const c_char {
    // SAFETY: the caller's promise.
    unsafe { part(iterator, vlen, |iterator| &iterator.value) }
}

/// What `of` gives of an iterator that stands somewhere; else null.
///
/// # Safety
/// `iterator` is null or lives, `len` is null or may be written.
unsafe fn part(
    iterator: *const leveldb_iterator_t,
    len: *mut usize,
    of: impl FnOnce(&leveldb_iterator_t) -> &Vec<u8>,
) -> *const c_char {
    // SAFETY: the caller's promise.
    let iterator = unsafe { iterator.as_ref() };
    let part = iterator
        .filter(|iterator| iterator.at != At::Nowhere)
        .map(of);
    // SAFETY: the caller's promise.
    unsafe { store(len, part.map_or(0, Vec::len)) };
    part.map_or(ptr::null(), |part| part.as_ptr().cast())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_iter_get_error(
    iterator: *const leveldb_iterator_t,
    errptr: *mut *mut c_char,
) {
    let call = || {
        // SAFETY: the caller's promise.
        let iterator = unsafe { reference(iterator, "the iterator") }?;
        match iterator.failure() {
            Some(failure) => Err(failure.clone()),
            None => Ok(()),
        }
    };
    // SAFETY: the caller's promise.
    unsafe { guard_with(errptr, (), call) };
}
