//! LevelDB's options. `docs/DIFFERENCES.md` says which have no effect.

use std::ffi::c_int;
use std::ptr;
use std::sync::Weak;

use party::{Compression, Db};

use crate::border::{Outcome, destroy, exclusive, guard_or, reference};
use crate::comparator::{Chosen, leveldb_comparator_t, leveldb_filterpolicy_t};
use crate::failure::{Failure, Kind};
use crate::objects::{leveldb_cache_t, leveldb_env_t, leveldb_logger_t};
use crate::snapshot::{Taken, leveldb_snapshot_t};

/// How a database is opened.
#[derive(Clone)]
pub struct leveldb_options_t {
    pub(crate) settings: party::Options,
    /// LevelDB's default is no, which the settings' is not.
    pub(crate) create_if_missing: bool,
    pub(crate) comparator: Option<Chosen>,
    compression: c_int,
    bloom_bits_per_key: Option<u32>,
    cache: Option<usize>,
    pub(crate) sync: bool,
}

impl Default for leveldb_options_t {
    fn default() -> Self {
        leveldb_options_t {
            settings: Db::options(),
            create_if_missing: false,
            comparator: None,
            compression: SNAPPY,
            bloom_bits_per_key: None,
            cache: None,
            sync: false,
        }
    }
}

const NO_COMPRESSION: c_int = 0;
const SNAPPY: c_int = 1;
const ZLIB_RAW: c_int = 4;

impl leveldb_options_t {
    /// What the database is opened with.
    pub(crate) fn chosen(&self) -> Outcome<party::Options> {
        let mut options = self
            .settings
            .clone()
            .create_if_missing(self.create_if_missing);
        options = match self.compression {
            NO_COMPRESSION => options.compression(Compression::None),
            SNAPPY => options.compression(Compression::Snappy),
            ZLIB_RAW => options.compression(Compression::ZlibRaw),
            other => {
                return Err(Failure::new(
                    Kind::InvalidArgument,
                    format!("there is no compression with the number {other}"),
                ));
            }
        };
        if let Some(bits) = self.bloom_bits_per_key {
            options = options.bloom_bits_per_key(bits);
        }
        if let Some(bytes) = self.cache {
            options = options.block_cache_bytes(bytes);
        }
        if let Some(comparator) = &self.comparator {
            options = options.comparator(comparator.used()?);
        }
        Ok(options)
    }
}

/// Changes options; null is left alone.
///
/// # Safety
/// `options` is null, or lives and is used by nobody else meanwhile.
pub(crate) unsafe fn change(
    options: *mut leveldb_options_t,
    change: impl FnOnce(&mut leveldb_options_t),
) {
    guard_or((), || {
        // SAFETY: the caller's promise.
        change(unsafe { exclusive(options, "the options") }?);
        Ok(())
    });
}

/// Changes what is kept for `party::Options`.
///
/// # Safety
/// As [`change`].
pub(crate) unsafe fn set(
    options: *mut leveldb_options_t,
    to: impl FnOnce(party::Options) -> party::Options,
) {
    // SAFETY: the caller's promise.
    unsafe {
        change(options, |options| {
            options.settings = to(options.settings.clone());
        });
    };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_options_create() -> *mut leveldb_options_t {
    guard_or(ptr::null_mut(), || {
        Ok(Box::into_raw(Box::new(leveldb_options_t::default())))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_options_destroy(options: *mut leveldb_options_t) {
    // SAFETY: the caller's promise.
    unsafe { destroy(options) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_options_set_comparator(
    options: *mut leveldb_options_t,
    comparator: *mut leveldb_comparator_t,
) {
    // SAFETY: the caller's promise.
    let comparator = unsafe { comparator.as_ref() }.map(leveldb_comparator_t::chosen);
    // SAFETY: the caller's promise.
    unsafe { change(options, |options| options.comparator = comparator) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_options_set_filter_policy(
    options: *mut leveldb_options_t,
    policy: *mut leveldb_filterpolicy_t,
) {
    // SAFETY: the caller's promise.
    let bits = unsafe { policy.as_ref() }.and_then(|policy| policy.bloom_bits_per_key);
    // SAFETY: the caller's promise.
    unsafe { change(options, |options| options.bloom_bits_per_key = bits) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_options_set_create_if_missing(
    options: *mut leveldb_options_t,
    yes: u8,
) {
    // SAFETY: the caller's promise.
    unsafe { change(options, |options| options.create_if_missing = yes != 0) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_options_set_error_if_exists(
    options: *mut leveldb_options_t,
    yes: u8,
) {
    // SAFETY: the caller's promise.
    unsafe { set(options, |settings| settings.error_if_exists(yes != 0)) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_options_set_write_buffer_size(
    options: *mut leveldb_options_t,
    bytes: usize,
) {
    // SAFETY: the caller's promise.
    unsafe { set(options, |settings| settings.write_buffer_size(bytes)) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_options_set_cache(
    options: *mut leveldb_options_t,
    cache: *mut leveldb_cache_t,
) {
    // SAFETY: the caller's promise.
    let capacity = unsafe { cache.as_ref() }.map(|cache| cache.capacity);
    // SAFETY: the caller's promise.
    unsafe { change(options, |options| options.cache = capacity) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_options_set_block_size(
    options: *mut leveldb_options_t,
    bytes: usize,
) {
    // SAFETY: the caller's promise.
    unsafe { set(options, |settings| settings.block_size(bytes)) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_options_set_max_file_size(
    options: *mut leveldb_options_t,
    bytes: usize,
) {
    // SAFETY: the caller's promise.
    unsafe { set(options, |settings| settings.max_file_size(bytes)) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_options_set_compression(
    options: *mut leveldb_options_t,
    number: c_int,
) {
    // SAFETY: the caller's promise.
    unsafe { change(options, |options| options.compression = number) };
}

/// How a read is made.
#[derive(Default)]
pub struct leveldb_readoptions_t {
    snapshot: Option<Weak<Taken>>,
}

impl leveldb_readoptions_t {
    /// The snapshot to read, if one is set.
    pub(crate) fn snapshot(&self) -> Outcome<Option<party::Snapshot>> {
        let Some(snapshot) = &self.snapshot else {
            return Ok(None);
        };
        let taken = snapshot.upgrade().ok_or_else(|| {
            Failure::new(
                Kind::InvalidArgument,
                "the snapshot of the read options was released",
            )
        })?;
        (*taken).clone().map(Some)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_readoptions_create() -> *mut leveldb_readoptions_t {
    guard_or(ptr::null_mut(), || {
        Ok(Box::into_raw(Box::new(leveldb_readoptions_t::default())))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_readoptions_destroy(options: *mut leveldb_readoptions_t) {
    // SAFETY: the caller's promise.
    unsafe { destroy(options) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_readoptions_set_snapshot(
    options: *mut leveldb_readoptions_t,
    snapshot: *const leveldb_snapshot_t,
) {
    guard_or((), || {
        // SAFETY: the caller's promise.
        let snapshot = unsafe { snapshot.as_ref() }.map(leveldb_snapshot_t::named);
        // SAFETY: the caller's promise.
        unsafe { exclusive(options, "the read options") }?.snapshot = snapshot;
        Ok(())
    });
}

/// How a write is made.
#[derive(Default)]
pub struct leveldb_writeoptions_t {
    sync: bool,
}

/// Whether a write is synced.
///
/// # Safety
/// `options` is null or lives.
pub(crate) unsafe fn is_synced(options: *const leveldb_writeoptions_t) -> bool {
    // SAFETY: the caller's promise.
    unsafe { options.as_ref() }.is_some_and(|options| options.sync)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_writeoptions_create() -> *mut leveldb_writeoptions_t {
    guard_or(ptr::null_mut(), || {
        Ok(Box::into_raw(Box::new(leveldb_writeoptions_t::default())))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_writeoptions_destroy(options: *mut leveldb_writeoptions_t) {
    // SAFETY: the caller's promise.
    unsafe { destroy(options) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn leveldb_writeoptions_set_sync(
    options: *mut leveldb_writeoptions_t,
    yes: u8,
) {
    guard_or((), || {
        // SAFETY: the caller's promise.
        unsafe { exclusive(options, "the write options") }?.sync = yes != 0;
        Ok(())
    });
}

/// Functions that take what LevelDB's do and change nothing; `docs/DIFFERENCES.md` says why of each.
macro_rules! without_effect {
    ($(fn $name:ident($options:ty, $value:ty);)*) => { $(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(options: *mut $options, _value: $value) {
            guard_or((), || {
                // SAFETY: the caller's promise.
                unsafe { reference(options, "the options") }.map(drop)
            });
        }
    )* };
}

without_effect! {
    fn leveldb_options_set_env(leveldb_options_t, *mut leveldb_env_t);
    fn leveldb_options_set_info_log(leveldb_options_t, *mut leveldb_logger_t);
    fn leveldb_options_set_paranoid_checks(leveldb_options_t, u8);
    fn leveldb_options_set_max_open_files(leveldb_options_t, c_int);
    fn leveldb_options_set_block_restart_interval(leveldb_options_t, c_int);
    fn leveldb_readoptions_set_verify_checksums(leveldb_readoptions_t, u8);
    fn leveldb_readoptions_set_fill_cache(leveldb_readoptions_t, u8);
}

#[cfg(test)]
mod tests;
