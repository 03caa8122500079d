use std::io::ErrorKind;
use std::sync::atomic::Ordering;

use super::*;

const LEN: usize = 8192;

fn copy(handle: BorrowedHandle<'_>) -> OwnedHandle {
    handle.try_clone_to_owned().unwrap()
}

#[test]
fn a_new_page_is_zero_and_both_mappings_see_both_ways() {
    let ours = SharedPage::create(LEN).unwrap();
    let theirs = SharedPage::from_handle(copy(ours.as_handle()), LEN).unwrap();
    assert_eq!(ours.words().len(), LEN / 8);
    assert!(
        ours.words()
            .iter()
            .all(|word| word.load(Ordering::Relaxed) == 0)
    );
    ours.words()[0].store(1, Ordering::Release);
    theirs.words()[LEN / 8 - 1].store(2, Ordering::Release);
    assert_eq!(theirs.words()[0].load(Ordering::Acquire), 1);
    assert_eq!(ours.words()[LEN / 8 - 1].load(Ordering::Acquire), 2);
    drop(ours);
    assert_eq!(
        theirs.words()[0].load(Ordering::Acquire),
        1,
        "it outlives its maker"
    );
}

#[test]
fn odd_lengths_are_refused() {
    for len in [0, 1, 7, 4095] {
        assert_eq!(
            SharedPage::create(len).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    }
}

#[test]
fn another_size_than_agreed_is_refused() {
    let page = SharedPage::create(2 * LEN).unwrap();
    for len in [LEN, 4 * LEN] {
        let refused = SharedPage::from_handle(copy(page.as_handle()), len).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidData);
    }
}

#[test]
fn a_plain_file_a_directory_and_what_threads_wait_for_are_refused() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(LEN as u64).unwrap();
    let tmp = tempfile::tempdir().unwrap();
    let dir = crate::DataDir::open(tmp.path()).unwrap();
    let waker = crate::Waker::new().unwrap();
    #[cfg(unix)]
    let waker = waker.poll_fd();
    #[cfg(windows)]
    let waker = waker.event();
    for handle in [OwnedHandle::from(file), copy(dir.as_handle()), copy(waker)] {
        assert_eq!(
            SharedPage::from_handle(handle, LEN).unwrap_err().kind(),
            ErrorKind::InvalidData
        );
    }
}

#[cfg(target_os = "linux")]
mod seals {
    use super::*;
    use rustix::fs::{MemfdFlags, SealFlags};
    use rustix::mm::{MapFlags, ProtFlags};

    fn memfd(seals: SealFlags) -> OwnedHandle {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = rustix::fs::memfd_create("test", flags).unwrap();
        rustix::fs::ftruncate(&file, LEN as u64).unwrap();
        rustix::fs::fcntl_add_seals(&file, seals).unwrap();
        file
    }

    #[test]
    fn memory_that_its_maker_could_still_change_is_refused() {
        let missing = [
            SealFlags::empty(),
            SealFlags::SHRINK,
            SealFlags::GROW | SealFlags::SEAL,
            SealFlags::SHRINK | SealFlags::GROW,
        ];
        for seals in missing {
            let refused = SharedPage::from_handle(memfd(seals), LEN).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidData, "{seals:?}");
        }
        let size = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        SharedPage::from_handle(memfd(size), LEN).unwrap();
        assert!(SharedRegion::from_handle(memfd(size), LEN).is_err());
        let never_writable = memfd(size | SealFlags::WRITE);
        assert!(SharedPage::from_handle(never_writable, LEN).is_err());
    }

    #[test]
    fn a_page_can_not_be_resized_by_anybody() {
        let page = SharedPage::create(LEN).unwrap();
        for len in [0, LEN as u64 / 2, 2 * LEN as u64] {
            assert!(rustix::fs::ftruncate(page.as_handle(), len).is_err());
        }
        let more = rustix::fs::fcntl_add_seals(page.as_handle(), SealFlags::WRITE);
        assert!(more.is_err(), "nor may a peer take our writing away");
    }

    #[test]
    fn a_region_is_written_by_its_maker_only_and_read_by_those_it_is_handed_to() {
        let ours = SharedRegion::create(LEN).unwrap();
        let theirs = SharedRegion::from_handle(copy(ours.as_handle()), LEN).unwrap();
        assert!(ours.is_writable() && !theirs.is_writable());
        assert_eq!((ours.len(), theirs.len()), (LEN, LEN));
        let word = |region: &SharedRegion| region.start().cast::<AtomicU64>();
        // SAFETY: aligned, inside both mappings, which live on; the first is writable.
        unsafe {
            word(&ours).as_ref().store(9, Ordering::Release);
            assert_eq!(word(&theirs).as_ref().load(Ordering::Acquire), 9);
        }
        // What a hostile receiver might try.
        let handle = theirs.as_handle();
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping where the kernel likes; it must not come to be.
        let mapped = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                LEN,
                access,
                MapFlags::SHARED,
                handle,
                0,
            )
        };
        assert!(mapped.is_err());
        assert!(rustix::io::write(handle, b"x").is_err());
        for len in [0, 2 * LEN as u64] {
            assert!(rustix::fs::ftruncate(handle, len).is_err());
        }
        assert!(SharedPage::from_handle(copy(handle), LEN).is_err());
    }
}
