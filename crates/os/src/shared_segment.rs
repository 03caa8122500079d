//! [`SharedSegment`]: a long stretch of sparse memory that several processes read and write.
//!
//! **Promises.** Its length is fixed before anybody else has it, and never changes. It costs address space; memory only
//! where it was reserved or touched. A word that was reserved raises no SIGBUS, whatever other processes do. A core file
//! does not contain it (Linux), and `mlockall` does not make all of it memory.
//!
//! **Forks.** A forked child finds zeros of its own in the place of the segment, and a handle that leads nowhere. `words()`
//! is safe to call and its borrows outlive a fork, so the memory may not vanish (`MADV_DONTFORK` would leave a hole, where a
//! later mapping could come to lie under a living reference); but a child that kept the memory would store into it where it
//! drops what it copied: give back its parent's lock, clear its parent's slot. So the handler of forks replaces it
//! (`unix/fork/mapping.rs`). Where the system counts every writable page in advance (`vm.overcommit_memory` 2) the zeros may be
//! read-only, and a child that stores ends by SIGSEGV. Children of a raw `clone` see no handler and share the memory.
//!
//! **Must not know.** What the words mean. Peers wrote them: a reader copies a word, then checks it.

use std::io;
use std::sync::atomic::AtomicU64;

use crate::segment_error::SegmentError;
use crate::shared_memory::{self, Memory};
use crate::{BorrowedHandle, OwnedHandle};

/// Memory is reserved in pieces of this many bytes, so that a process with a frequent timer signal makes progress: a
/// signal undoes all that the interrupted call has done (`fallocate(2)`, EINTR).
pub const RESERVE_STEP: usize = 1 << 20;

/// Sparse memory for all members of a directory, as words. Made full of zeros.
///
/// ```
/// use std::sync::atomic::Ordering;
/// use level_party_os::SharedSegment;
/// const LEN: usize = 64 << 20;
/// let ours = SharedSegment::create(LEN)?;
/// ours.reserve(0, 4096)?;
/// let handle = ours.as_handle().try_clone_to_owned()?; // as a peer receives it
/// let theirs = SharedSegment::from_handle(handle, LEN)?;
/// theirs.accept(0, 4096)?; // the peer was told that so much is reserved
/// theirs.words()[3].store(7, Ordering::Release);
/// assert_eq!(ours.words()[3].load(Ordering::Acquire), 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SharedSegment {
    memory: Memory,
}

impl SharedSegment {
    /// Makes one of `len` bytes, none of them reserved.
    ///
    /// # Errors
    /// All of [`SegmentError`] but `Refused`; `Io` of `InvalidInput` unless `len` is a multiple of 8 above zero that fits
    /// into half of the address space.
    pub fn create(len: usize) -> Result<Self, SegmentError> {
        check(len)?;
        let memory = Memory::create(len)?;
        Ok(Self { memory })
    }

    /// Maps one that another process made and handed over. Its reservations stay.
    ///
    /// # Errors
    /// [`SegmentError::Refused`] if it is no ordinary memory file, not exactly `len` bytes long, can't be written, or its
    /// length could still change; the limits and `NoMemory` if it can't be mapped; `Io` as [`Self::create`].
    pub fn from_handle(handle: OwnedHandle, len: usize) -> Result<Self, SegmentError> {
        check(len)?;
        let memory = Memory::of_handle(handle, len)?;
        Ok(Self { memory })
    }

    /// The handle to pass to another process. It carries no lock. In a forked child it leads nowhere.
    pub fn as_handle(&self) -> BorrowedHandle<'_> {
        self.memory.handle()
    }

    /// Its length in bytes.
    #[allow(clippy::len_without_is_empty)] // it never is
    pub fn len(&self) -> usize {
        self.memory.len()
    }

    /// All its memory, as words in this machine's byte order.
    ///
    /// A word that was not reserved becomes memory when it is touched. If the system has none left then, it ends the
    /// process (SIGBUS). On Windows touching a word that was neither reserved nor accepted here ends the process always.
    pub fn words(&self) -> &[AtomicU64] {
        let start = self.memory.start().cast::<AtomicU64>();
        // SAFETY: a mapping starts at a memory page, so it is aligned; it is `len` bytes long, a multiple of 8 that fits
        // an `isize`, readable and writable, lives as long as `self` (in a forked child too), and its file can't shrink.
        // Any bytes are a valid u64, and all access is atomic, in every process that is as honest as this type makes it;
        // a peer that writes otherwise can only change values. Touching what the system can't provide ends the process.
        unsafe { std::slice::from_raw_parts(start.as_ptr(), self.len() / 8) }
    }

    /// Makes the bytes memory, in pieces of [`RESERVE_STEP`], and keeps what they contain. They stay memory until they are
    /// punched, also after the death of this process. Bytes that are memory already cost little.
    ///
    /// # Errors
    /// [`SegmentError::NoMemory`]: nothing was lost, and pieces before may stay reserved. `Io` of `InvalidInput` if the
    /// range is not within the segment.
    pub fn reserve(&self, offset: usize, len: usize) -> Result<(), SegmentError> {
        self.check_range(offset, len)?;
        self.memory.reserve(offset, len)
    }

    /// Makes bytes usable here that another process reserved. Nothing to do but on Windows, where each process does it
    /// once before it touches them; it costs no memory there.
    ///
    /// # Errors
    /// As [`Self::reserve`].
    pub fn accept(&self, offset: usize, len: usize) -> Result<(), SegmentError> {
        self.check_range(offset, len)?;
        self.memory.accept(offset, len)
    }

    /// Gives the memory of whole pages in the range back to the system; all bytes of the range become zero, in every
    /// process. A later access makes them memory again, or ends the process if there is none: see [`Self::can_punch`].
    ///
    /// # Errors
    /// `Unsupported` on systems without such a call; `InvalidInput` if the range is not within the segment; whatever
    /// `fallocate(2)` says.
    pub fn punch(&self, offset: usize, len: usize) -> io::Result<()> {
        self.check_range(offset, len)?;
        match len {
            0 => Ok(()),
            _ => self.memory.punch(offset, len),
        }
    }

    /// Whether memory may be given back: the system can, and a late reader of a punched page is not refused the page, as
    /// it could be where the system counts all memory strictly (`vm.overcommit_memory` 2, or not told).
    pub fn can_punch() -> bool {
        shared_memory::CAN_PUNCH && !shared_memory::strict_overcommit()
    }

    fn check_range(&self, offset: usize, len: usize) -> io::Result<()> {
        let end = offset.checked_add(len);
        if end.is_some_and(|end| end <= self.len()) {
            return Ok(());
        }
        let what = "a range beyond the shared segment";
        Err(io::Error::new(io::ErrorKind::InvalidInput, what))
    }
}

fn check(len: usize) -> io::Result<()> {
    if len == 0 || !len.is_multiple_of(8) {
        let what = "shared memory is a multiple of eight bytes long";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    if isize::try_from(len).is_err() {
        let what = "shared memory fits into half of the address space";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
