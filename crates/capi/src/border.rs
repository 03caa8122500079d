//! What crosses the border: bytes, strings and handles in, memory of `malloc` and errors out; panics never.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::ptr;

use crate::failure::{Failure, Kind};

/// What a call inside the library comes to.
pub(crate) type Outcome<T> = Result<T, Failure>;

thread_local! {
    /// The kind of the error that a call of this thread gave last.
    static LAST_KIND: Cell<Kind> = const { Cell::new(Kind::Ok) };
}

/// The kind of the error that a call of this thread gave last.
pub(crate) fn last_kind() -> Kind {
    LAST_KIND.get()
}

/// What `call` gives; a panic in it is an error.
pub(crate) fn guard<T>(call: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    // What a panic may leave half done is behind locks of the crates below, which are made for that.
    let outcome = catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned());
        Err(Failure::new(
            Kind::Internal,
            format!(
                "liblevel_party failed in itself, which is a bug: {}",
                message.unwrap_or_default()
            ),
        ))
    });
    if let Err(failure) = &outcome {
        LAST_KIND.set(failure.kind);
    }
    outcome
}

/// What `call` gives; `otherwise` where it panics or fails.
pub(crate) fn guard_or<T>(otherwise: T, call: impl FnOnce() -> Outcome<T>) -> T {
    guard(call).unwrap_or(otherwise)
}

/// What `call` gives. Where it fails, its error in LevelDB's words is left at `errptr`, whose old one is freed.
///
/// # Safety
/// `errptr` is null, or points to null or to a string made by `malloc`.
pub(crate) unsafe fn guard_with<T>(
    errptr: *mut *mut c_char,
    otherwise: T,
    call: impl FnOnce() -> Outcome<T>,
) -> T {
    match guard(call) {
        Ok(value) => value,
        Err(failure) => {
            // SAFETY: the caller's promise.
            if let Some(slot) = unsafe { errptr.as_mut() } {
                // SAFETY: it is null or of `malloc`.
                unsafe { libc::free(slot.cast()) };
                *slot = malloc_string(&failure.status());
            }
            otherwise
        }
    }
}

/// The `len` bytes at `start`; none where it is null.
///
/// # Safety
/// `start` is null, or there are so many bytes there, which nobody changes while the slice is used.
pub(crate) unsafe fn bytes<'a>(start: *const c_char, len: usize) -> &'a [u8] {
    if start.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: the caller's promise; a `char` is a byte.
    unsafe { std::slice::from_raw_parts(start.cast(), len) }
}

/// The `len` bytes at `start`, or `None` where it is null.
///
/// # Safety
/// As [`bytes`].
pub(crate) unsafe fn bytes_or_none<'a>(start: *const c_char, len: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!start.is_null()).then(|| unsafe { bytes(start, len) })
}

/// What `pointer` points to.
///
/// # Safety
/// It is null, or points to a `T` that lives, unchanged by others, while the reference is used.
///
/// # Errors
/// `InvalidArgument`: it is null.
pub(crate) unsafe fn reference<'a, T>(pointer: *const T, what: &str) -> Outcome<&'a T> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_ref() }.ok_or_else(|| is_null(what))
}

/// The same, to be changed.
///
/// # Safety
/// As [`reference`], and nobody else uses it meanwhile.
pub(crate) unsafe fn exclusive<'a, T>(pointer: *mut T, what: &str) -> Outcome<&'a mut T> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_mut() }.ok_or_else(|| is_null(what))
}

pub(crate) fn is_null(what: &str) -> Failure {
    Failure::new(Kind::InvalidArgument, format!("{what} is NULL"))
}

/// A string that the caller gave.
///
/// # Safety
/// `text` is null or a string with a zero at its end.
///
/// # Errors
/// `InvalidArgument`: it is null, or not UTF-8.
pub(crate) unsafe fn text<'a>(text: *const c_char, what: &str) -> Outcome<&'a str> {
    // SAFETY: the caller's promise.
    let text = unsafe { c_string(text, what) }?;
    text.to_str()
        .map_err(|_| Failure::new(Kind::InvalidArgument, format!("{what} is not UTF-8")))
}

/// A path that the caller gave: on Unix any bytes, elsewhere UTF-8.
///
/// # Safety
/// As [`text`].
///
/// # Errors
/// `InvalidArgument`.
pub(crate) unsafe fn path(name: *const c_char) -> Outcome<PathBuf> {
    // SAFETY: the caller's promise.
    let name = unsafe { c_string(name, "the database's name") }?;
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        Ok(PathBuf::from(std::ffi::OsStr::from_bytes(name.to_bytes())))
    }
    #[cfg(not(unix))]
    {
        let name = name.to_str();
        name.map(PathBuf::from)
            .map_err(|_| Failure::new(Kind::InvalidArgument, "the database's name is not UTF-8"))
    }
}

unsafe fn c_string<'a>(text: *const c_char, what: &str) -> Outcome<&'a CStr> {
    match text.is_null() {
        true => Err(is_null(what)),
        // SAFETY: it is not null, and ends with a zero by the caller's promise.
        false => Ok(unsafe { CStr::from_ptr(text) }),
    }
}

/// A copy of `bytes` and a zero behind it, made by `malloc`.
pub(crate) fn malloc_bytes(bytes: &[u8]) -> *mut c_char {
    // SAFETY: `malloc` may be called with any size.
    let copy: *mut u8 = unsafe { libc::malloc(bytes.len() + 1) }.cast();
    if copy.is_null() {
        std::process::abort(); // As an allocation of Rust's own ends.
    }
    // SAFETY: `copy` is new and has one byte more than `bytes`.
    unsafe {
        ptr::copy_nonoverlapping(bytes.as_ptr(), copy, bytes.len());
        copy.add(bytes.len()).write(0);
    }
    copy.cast()
}

/// The same of a string, whose zeros are left out.
pub(crate) fn malloc_string(text: &str) -> *mut c_char {
    let bytes: Vec<u8> = text.bytes().filter(|&byte| byte != 0).collect();
    malloc_bytes(&bytes)
}

/// Stores `value` where the caller wants it, if anywhere.
///
/// # Safety
/// `place` is null or may be written.
pub(crate) unsafe fn store<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: the caller's promise.
        unsafe { place.write(value) };
    }
}

/// Gives back what [`Box::into_raw`] gave out; null is nothing.
///
/// # Safety
/// `object` is null, or was given out so and is used by nobody any more.
pub(crate) unsafe fn destroy<T>(object: *mut T) {
    guard_or((), || {
        if !object.is_null() {
            // SAFETY: the caller's promise.
            drop(unsafe { Box::from_raw(object) });
        }
        Ok(())
    });
}

/// Calls `free(ptr)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_free(ptr: *mut c_void) {
    // SAFETY: the caller's promise: it is null or of `malloc`.
    unsafe { libc::free(ptr) };
}
