//! Beyond LevelDB: how a process takes part.

use std::ffi::c_int;
use std::time::Duration;

use party::Lead;

use crate::options::{change, leveldb_options_t, set};

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_options_set_lead(options: *mut leveldb_options_t, lead: c_int) {
    let lead = match lead {
        1 => Lead::Never,
        2 => Lead::Join,
        _ => Lead::Auto,
    };
    // SAFETY: the caller's promise.
    unsafe { set(options, |settings| settings.lead(lead)) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_options_set_open_timeout(options: *mut leveldb_options_t, ms: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        set(options, |settings| {
            settings.open_timeout(Duration::from_millis(ms))
        });
    };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_options_set_timeout(options: *mut leveldb_options_t, ms: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        set(options, |settings| {
            settings.timeout(Duration::from_millis(ms))
        });
    };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_options_set_reject_writes(options: *mut leveldb_options_t, yes: u8) {
    // SAFETY: the caller's promise.
    unsafe { set(options, |settings| settings.reject_writes(yes != 0)) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_options_set_retry(options: *mut leveldb_options_t, yes: u8) {
    // SAFETY: the caller's promise.
    unsafe { set(options, |settings| settings.retry(yes != 0)) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_options_set_sync(options: *mut leveldb_options_t, yes: u8) {
    // SAFETY: the caller's promise.
    unsafe {
        change(options, |options| {
            options.sync = yes != 0;
            options.settings = options.settings.clone().sync(yes != 0);
        });
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_options_set_watch_history(
    options: *mut leveldb_options_t,
    bytes: usize,
) {
    // SAFETY: the caller's promise.
    unsafe { set(options, |settings| settings.watch_history_bytes(bytes)) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_options_set_queue_bytes(options: *mut leveldb_options_t, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe { set(options, |settings| settings.queue_bytes(bytes)) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_options_set_map_tables(options: *mut leveldb_options_t, yes: u8) {
    // SAFETY: the caller's promise.
    unsafe { set(options, |settings| settings.map_tables(yes != 0)) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lp_options_set_raise_descriptor_limit(
    options: *mut leveldb_options_t,
    yes: u8,
) {
    // SAFETY: the caller's promise.
    unsafe {
        set(options, |settings| {
            settings.raise_descriptor_limit(yes != 0)
        });
    };
}
