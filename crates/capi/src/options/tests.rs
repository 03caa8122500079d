//! Each option with an effect has it.

use super::*;

fn changed(set: impl FnOnce(*mut leveldb_options_t)) -> String {
    let mut options = leveldb_options_t::default();
    set(&raw mut options);
    format!("{:?}", options.chosen().unwrap())
}

fn as_created() -> String {
    changed(|_| {})
}

#[test]
fn options_with_an_effect_change_how_a_database_is_opened() {
    use crate::comparator::*;
    use crate::objects::*;
    extern "C" fn compare(
        _: *mut std::ffi::c_void,
        _: *const std::ffi::c_char,
        _: usize,
        _: *const std::ffi::c_char,
        _: usize,
    ) -> c_int {
        0
    }
    extern "C" fn name(_: *mut std::ffi::c_void) -> *const std::ffi::c_char {
        c"test.Comparator".as_ptr()
    }
    // SAFETY: each object is made here and destroyed at the end.
    unsafe {
        let comparator =
            leveldb_comparator_create(ptr::null_mut(), None, Some(compare), Some(name));
        let bloom = leveldb_filterpolicy_create_bloom(10);
        let cache = leveldb_cache_create_lru(12_345);
        let ways = [
            changed(|o| leveldb_options_set_comparator(o, comparator)),
            changed(|o| leveldb_options_set_filter_policy(o, bloom)),
            changed(|o| leveldb_options_set_create_if_missing(o, 1)),
            changed(|o| leveldb_options_set_error_if_exists(o, 1)),
            changed(|o| leveldb_options_set_write_buffer_size(o, 12_345)),
            changed(|o| leveldb_options_set_cache(o, cache)),
            changed(|o| leveldb_options_set_block_size(o, 12_345)),
            changed(|o| leveldb_options_set_max_file_size(o, 12_345)),
            changed(|o| leveldb_options_set_compression(o, NO_COMPRESSION)),
        ];
        for (number, way) in ways.iter().enumerate() {
            assert_ne!(*way, as_created(), "{number}");
            assert!(!ways[..number].contains(way), "{number} is another's");
        }
        leveldb_comparator_destroy(comparator);
        leveldb_filterpolicy_destroy(bloom);
        leveldb_cache_destroy(cache);
    }
}

#[test]
fn options_without_an_effect_change_nothing() {
    // SAFETY: the options live; what is not looked at may be null.
    unsafe {
        let ways = [
            changed(|o| leveldb_options_set_env(o, ptr::null_mut())),
            changed(|o| leveldb_options_set_info_log(o, ptr::null_mut())),
            changed(|o| leveldb_options_set_paranoid_checks(o, 1)),
            changed(|o| leveldb_options_set_max_open_files(o, 7)),
            changed(|o| leveldb_options_set_block_restart_interval(o, 7)),
        ];
        assert!(ways.iter().all(|way| *way == as_created()));
    }
}

#[test]
fn unknown_compression_is_refused_at_open() {
    let mut options = leveldb_options_t::default();
    // SAFETY: the options live.
    unsafe { leveldb_options_set_compression(&raw mut options, 7) };
    assert_eq!(options.chosen().unwrap_err().kind, Kind::InvalidArgument);
}

#[test]
fn comparator_that_was_destroyed_is_refused_at_open() {
    let mut options = leveldb_options_t::default();
    // SAFETY: the comparator is destroyed once.
    unsafe {
        let comparator =
            crate::comparator::leveldb_comparator_create(ptr::null_mut(), None, None, None);
        leveldb_options_set_comparator(&raw mut options, comparator);
        assert_eq!(options.chosen().unwrap_err().kind, Kind::InvalidArgument);
        crate::comparator::leveldb_comparator_destroy(comparator);
    }
    let failure = options.chosen().unwrap_err();
    assert!(failure.message.contains("destroyed"), "{}", failure.message);
}
