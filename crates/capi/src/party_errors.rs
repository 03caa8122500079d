//! Beyond LevelDB: errors with kinds.

use std::ffi::{CStr, CString, c_char};
use std::ptr;

use crate::border::{Outcome, destroy, guard, guard_or, last_kind};
use crate::failure::{Failure, Kind};

/// Why a call failed. A call that succeeds gives null.
pub struct lp_error_t {
    pub(crate) failure: Failure,
    message: CString,
}

impl lp_error_t {
    fn new(failure: Failure) -> Self {
        let bytes = failure.message.bytes().filter(|&byte| byte != 0);
        // Nothing is left that could be refused.
        let message = CString::new(bytes.collect::<Vec<u8>>()).unwrap_or_default();
        lp_error_t { failure, message }
    }
}

/// A failure as the caller gets it, and has to destroy it.
pub(crate) fn given(failure: Failure) -> *mut lp_error_t {
    Box::into_raw(Box::new(lp_error_t::new(failure)))
}

/// What `call` comes to, as the caller gets it.
pub(crate) fn told(call: impl FnOnce() -> Outcome<()>) -> *mut lp_error_t {
    match guard(call) {
        Ok(()) => ptr::null_mut(),
        Err(failure) => given(failure),
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_error_kind(error: *const lp_error_t) -> Kind {
    // SAFETY: the caller's promise.
    unsafe { error.as_ref() }.map_or(Kind::Ok, |error| error.failure.kind)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_error_message(error: *const lp_error_t) -> *const c_char {
    // SAFETY: the caller's promise.
    let message: &CStr = unsafe { error.as_ref() }.map_or(c"", |error| &error.message);
    message.as_ptr()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_error_is_retryable(error: *const lp_error_t) -> u8 {
    // SAFETY: the caller's promise.
    u8::from(unsafe { error.as_ref() }.is_some_and(|error| error.failure.retryable))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_error_had_no_effect(error: *const lp_error_t) -> u8 {
    // SAFETY: the caller's promise.
    u8::from(unsafe { error.as_ref() }.is_some_and(|error| error.failure.had_no_effect))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_error_create(message: *const c_char) -> *mut lp_error_t {
    guard_or(ptr::null_mut(), || {
        let message = match message.is_null() {
            true => String::new(),
            // SAFETY: the caller's promise: a string.
            false => unsafe { CStr::from_ptr(message) }
                .to_string_lossy()
                .into_owned(),
        };
        Ok(given(Failure::new(Kind::Aborted, message)))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_error_destroy(error: *mut lp_error_t) {
    // SAFETY: the caller's promise.
    unsafe { destroy(error) };
}

#[unsafe(no_mangle)]
pub extern "C" fn lp_kind_name(kind: i32) -> *const c_char {
    let kind = usize::try_from(kind).ok();
    let kind = kind.and_then(|number| Kind::ALL.get(number));
    kind.map_or(c"", |kind| kind.name()).as_ptr()
}

#[unsafe(no_mangle)]
pub extern "C" fn lp_last_kind() -> Kind {
    last_kind()
}
