use std::io::ErrorKind;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::*;

/// Longer than the memory of most machines may be committed, but sparse.
const LEN: usize = if cfg!(target_pointer_width = "64") {
    4 << 30
} else {
    256 << 20
};
const SMALL: usize = 8 << 20;

fn copy(handle: BorrowedHandle<'_>) -> OwnedHandle {
    handle.try_clone_to_owned().unwrap()
}

fn word(segment: &SharedSegment, at: usize) -> &AtomicU64 {
    &segment.words()[at / 8]
}

#[test]
fn segment_is_zero_and_both_mappings_see_both_ways() {
    let ours = SharedSegment::create(LEN).unwrap();
    let theirs = SharedSegment::from_handle(copy(ours.as_handle()), LEN).unwrap();
    assert_eq!((ours.len(), ours.words().len()), (LEN, LEN / 8));
    for at in [0, LEN / 2, LEN - 4096] {
        ours.reserve(at, 4096).unwrap();
        theirs.accept(at, 4096).unwrap();
        assert_eq!(word(&theirs, at + 4088).load(Relaxed), 0);
        word(&ours, at).store(at as u64 + 1, Release);
        assert_eq!(word(&theirs, at).load(Acquire), at as u64 + 1);
        word(&theirs, at + 8).store(9, Release);
        assert_eq!(word(&ours, at + 8).load(Acquire), 9);
    }
    drop(ours);
    assert_eq!(word(&theirs, LEN - 4096).load(Acquire), LEN as u64 - 4095);
}

#[test]
fn reserving_again_keeps_contents_and_takes_any_range() {
    let segment = SharedSegment::create(SMALL).unwrap();
    segment.reserve(0, SMALL).unwrap();
    for (n, word) in segment.words().iter().enumerate() {
        word.store(n as u64, Relaxed);
    }
    let ranges = [
        (0, SMALL),
        (1, 1),
        (4095, 2),
        (RESERVE_STEP - 1, 2),
        (SMALL, 0),
        (SMALL - 1, 1),
    ];
    for (offset, len) in ranges {
        segment.reserve(offset, len).unwrap();
        segment.accept(offset, len).unwrap();
    }
    let kept = segment.words().iter().enumerate();
    assert!(
        kept.into_iter()
            .all(|(n, word)| word.load(Relaxed) == n as u64)
    );
}

#[test]
fn ranges_beyond_the_segment_are_refused() {
    let segment = SharedSegment::create(SMALL).unwrap();
    for (offset, len) in [(0, SMALL + 1), (SMALL, 1), (usize::MAX, 1), (1, usize::MAX)] {
        let is_refused = |error: io::Error| error.kind() == ErrorKind::InvalidInput;
        for result in [segment.reserve(offset, len), segment.accept(offset, len)] {
            let Err(SegmentError::Io(error)) = result else {
                panic!("{offset} {len}: {result:?}")
            };
            assert!(is_refused(error));
        }
        assert!(is_refused(segment.punch(offset, len).unwrap_err()));
    }
}

#[test]
fn odd_lengths_are_refused() {
    for len in [0, 1, 4095, usize::MAX, usize::MAX - 7] {
        let Err(SegmentError::Io(error)) = SharedSegment::create(len) else {
            panic!("{len}")
        };
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn lengths_beyond_the_address_space_are_typed_errors() {
    let len = isize::MAX.unsigned_abs() & !7;
    let error = SharedSegment::create(len).unwrap_err();
    assert!(!matches!(error, SegmentError::Refused(_)), "{error}");
    assert!(!error.to_string().is_empty());
}

#[test]
fn segment_of_another_length_is_refused() {
    let segment = SharedSegment::create(SMALL).unwrap();
    for len in [SMALL / 2, 2 * SMALL] {
        let refused = SharedSegment::from_handle(copy(segment.as_handle()), len);
        assert!(
            matches!(refused, Err(SegmentError::Refused(_))),
            "{refused:?}"
        );
    }
}

#[test]
fn file_directory_and_waker_are_refused_as_segments() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(SMALL as u64).unwrap();
    let tmp = tempfile::tempdir().unwrap();
    let dir = crate::DataDir::open(tmp.path()).unwrap();
    let waker = crate::Waker::new().unwrap();
    #[cfg(unix)]
    let waker = waker.poll_fd();
    #[cfg(windows)]
    let waker = waker.event();
    for handle in [OwnedHandle::from(file), copy(dir.as_handle()), copy(waker)] {
        let refused = SharedSegment::from_handle(handle, SMALL);
        assert!(
            matches!(refused, Err(SegmentError::Refused(_))),
            "{refused:?}"
        );
    }
}

#[test]
#[cfg(windows)]
fn section_of_a_file_is_refused_as_segment() {
    use std::os::windows::io::AsRawHandle;
    use windows_sys::Win32::System::Memory::{CreateFileMappingW, PAGE_READWRITE};
    let file = tempfile::tempfile().unwrap();
    file.set_len(SMALL as u64).unwrap();
    // SAFETY: no attributes, no name; the handle is new.
    let section = unsafe {
        crate::windows::made(CreateFileMappingW(
            file.as_raw_handle(),
            std::ptr::null(),
            PAGE_READWRITE,
            0,
            SMALL as u32,
            std::ptr::null(),
        ))
    };
    let refused = SharedSegment::from_handle(section.unwrap(), SMALL);
    assert!(
        matches!(refused, Err(SegmentError::Refused(_))),
        "{refused:?}"
    );
}

#[test]
#[cfg(not(target_os = "linux"))]
fn nothing_is_punched_where_the_system_has_no_call() {
    assert!(!SharedSegment::can_punch());
    let segment = SharedSegment::create(SMALL).unwrap();
    let error = segment.punch(0, 4096).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(segment.punch(0, 0).is_ok());
}

#[cfg(target_os = "linux")]
mod linux {
    use super::*;
    use rustix::fs::{MemfdFlags, SealFlags};

    fn allocated(segment: &SharedSegment) -> u64 {
        rustix::fs::fstat(segment.as_handle()).unwrap().st_blocks as u64 * 512
    }

    #[test]
    fn memory_is_taken_by_reserving_and_given_back_by_punching() {
        let segment = SharedSegment::create(LEN).unwrap();
        assert_eq!(allocated(&segment), 0);
        segment.reserve(RESERVE_STEP / 2, 2 * RESERVE_STEP).unwrap();
        assert_eq!(allocated(&segment), 2 * RESERVE_STEP as u64);
        let last = word(&segment, 2 * RESERVE_STEP);
        last.store(5, Relaxed);
        segment.punch(RESERVE_STEP, LEN - RESERVE_STEP).unwrap();
        assert_eq!(allocated(&segment), RESERVE_STEP as u64 / 2);
        assert_eq!(last.load(Relaxed), 0, "a late reader finds zeros");
        assert_eq!(segment.words().len(), LEN / 8);
    }

    #[test]
    fn punching_parts_of_pages_clears_them() {
        let segment = SharedSegment::create(SMALL).unwrap();
        for word in &segment.words()[..4096] {
            word.store(1, Relaxed);
        }
        segment.punch(8, 24).unwrap();
        let values: Vec<u64> = segment.words()[..5]
            .iter()
            .map(|word| word.load(Relaxed))
            .collect();
        assert_eq!(values, [1, 0, 0, 0, 1]);
    }

    #[test]
    fn segment_can_not_be_resized_by_anybody() {
        let segment = SharedSegment::create(SMALL).unwrap();
        for len in [0, SMALL as u64 / 2, 2 * SMALL as u64] {
            assert!(rustix::fs::ftruncate(segment.as_handle(), len).is_err());
        }
        let more = rustix::fs::fcntl_add_seals(segment.as_handle(), SealFlags::WRITE);
        assert!(
            more.is_err(),
            "nor may a member take the others' writing away"
        );
    }

    #[test]
    fn memory_without_seals_or_never_writable_is_refused() {
        let size = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        let memfd = |seals| {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let file = rustix::fs::memfd_create("test", flags).unwrap();
            rustix::fs::ftruncate(&file, SMALL as u64).unwrap();
            rustix::fs::fcntl_add_seals(&file, seals).unwrap();
            file
        };
        let missing = [
            SealFlags::empty(),
            SealFlags::SHRINK,
            SealFlags::GROW | SealFlags::SEAL,
            SealFlags::SHRINK | SealFlags::GROW,
            size | SealFlags::WRITE,
            size | SealFlags::FUTURE_WRITE,
        ];
        for seals in missing {
            let refused = SharedSegment::from_handle(memfd(seals), SMALL);
            assert!(
                matches!(refused, Err(SegmentError::Refused(_))),
                "{seals:?}"
            );
        }
        SharedSegment::from_handle(memfd(size), SMALL).unwrap();
    }

    #[test]
    fn received_handle_becomes_close_on_exec() {
        let segment = SharedSegment::create(SMALL).unwrap();
        let handle = rustix::io::dup(segment.as_handle()).unwrap();
        let theirs = SharedSegment::from_handle(handle, SMALL).unwrap();
        for handle in [segment.as_handle(), theirs.as_handle()] {
            let flags = rustix::io::fcntl_getfd(handle).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
    }

    #[test]
    fn punching_is_allowed_as_the_kernel_counts_memory() {
        let mode = std::fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap();
        assert_eq!(SharedSegment::can_punch(), mode.trim() != "2");
    }
}
