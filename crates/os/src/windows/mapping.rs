//! A stretch of shared memory, mapped for as long as the value lives.

use std::fs::File;
use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle};
use std::ptr::{NonNull, null};

use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_READ, FILE_MAP_WRITE, MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile,
    PAGE_READONLY, PAGE_READWRITE, UnmapViewOfFile,
};

use super::call::made;

/// Memory shared with whoever has the same file or section. Its bytes may change at any time, so no plain reference to
/// them is ever made here; what they are touched through must be atomic.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: it is an address and a length; the memory is valid in every thread until drop, and this
// type gives no unsynchronized access to it.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of a file which the caller knows to be that long. The system refuses to cut it while it is mapped.
    pub(crate) fn of_file(file: &File, len: usize, writable: bool) -> io::Result<Self> {
        let access = if writable {
            PAGE_READWRITE
        } else {
            PAGE_READONLY
        };
        // SAFETY: no attributes, no name; the handle is new.
        let section = unsafe {
            made(CreateFileMappingW(
                file.as_raw_handle(),
                null(),
                access,
                (len as u64 >> 32) as u32,
                len as u32,
                null(),
            ))?
        };
        Self::new(section.as_handle(), len, writable)
    }

    /// The same of a section, which is at least that long or is not mapped.
    pub(crate) fn of_memory(memory: &OwnedHandle, len: usize, writable: bool) -> io::Result<Self> {
        Self::new(memory.as_handle(), len, writable)
    }

    fn new(section: BorrowedHandle<'_>, len: usize, writable: bool) -> io::Result<Self> {
        let access = match writable {
            true => FILE_MAP_READ | FILE_MAP_WRITE,
            false => FILE_MAP_READ,
        };
        // SAFETY: a new mapping at an address that the system chooses; nothing else lives there.
        let view = unsafe { MapViewOfFile(section.as_raw_handle(), access, 0, 0, len) };
        let start = NonNull::new(view.Value.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(Self { start, len })
    }

    /// The first byte, at the start of a memory page.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let view = MEMORY_MAPPED_VIEW_ADDRESS {
            Value: self.start.as_ptr().cast(),
        };
        // SAFETY: made by `MapViewOfFile` at this address, and unmapped only here; whoever was given its address was told
        // that it lives no longer than this value.
        unsafe { UnmapViewOfFile(view) };
    }
}
