//! Caches, the environment, and the version: objects that programs make because LevelDB asks for them.

use std::ffi::{c_char, c_int};
use std::path::PathBuf;
use std::ptr;

use crate::border::{destroy, guard_or, malloc_bytes, reference};

/// How much of a database's blocks is kept in memory. Each database opened with it has so much for itself.
pub struct leveldb_cache_t {
    pub(crate) capacity: usize,
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_cache_create_lru(capacity: usize) -> *mut leveldb_cache_t {
    guard_or(ptr::null_mut(), || {
        Ok(Box::into_raw(Box::new(leveldb_cache_t { capacity })))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_cache_destroy(cache: *mut leveldb_cache_t) {
    // SAFETY: the caller's promise.
    unsafe { destroy(cache) };
}

/// The system's own environment; there is no other.
pub struct leveldb_env_t {
    _nothing: u8,
}

/// There is no function that makes one.
pub struct leveldb_logger_t {
    _nothing: u8,
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_create_default_env() -> *mut leveldb_env_t {
    guard_or(ptr::null_mut(), || {
        Ok(Box::into_raw(Box::new(leveldb_env_t { _nothing: 0 })))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_env_destroy(env: *mut leveldb_env_t) {
    // SAFETY: the caller's promise.
    unsafe { destroy(env) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_env_get_test_directory(env: *mut leveldb_env_t) -> *mut c_char {
    guard_or(ptr::null_mut(), || {
        // SAFETY: the caller's promise.
        unsafe { reference(env, "the environment") }?;
        let directory = test_directory();
        // It may be there; else what opens a database in it says what is wrong.
        let _ = std::fs::create_dir(&directory);
        Ok(malloc_bytes(directory.as_os_str().as_encoded_bytes()))
    })
}

/// `TEST_TMPDIR`, or a directory of this user's among the temporary ones.
fn test_directory() -> PathBuf {
    match std::env::var_os("TEST_TMPDIR").filter(|named| !named.is_empty()) {
        Some(named) => PathBuf::from(named),
        None => {
            #[cfg(unix)]
            {
                // SAFETY: the call has no preconditions and can't fail.
                let user = unsafe { libc::geteuid() };
                PathBuf::from(format!("/tmp/leveldbtest-{user}"))
            }
            #[cfg(not(unix))]
            std::env::temp_dir().join("leveldbtest")
        }
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn leveldb_major_version() -> c_int {
    1
}

#[unsafe(no_mangle)]
pub extern "C" fn leveldb_minor_version() -> c_int {
    23
}
