//! A shared segment: a section of the page file of which pages are committed as they are reserved.
//!
//! **Promises.** What is mapped is memory, of no file, as long as agreed. A committed page stays one, in every process.
//!
//! **Must not know.** What is in the memory.

use std::ffi::c_void;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle};
use std::ptr::{self, NonNull, null};

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_COMMITMENT_LIMIT, ERROR_NO_SYSTEM_RESOURCES,
    ERROR_NOT_ENOUGH_MEMORY, ERROR_OUTOFMEMORY, INVALID_HANDLE_VALUE,
};
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_READ, MEM_COMMIT, MEM_FREE, MEM_MAPPED, MEMORY_BASIC_INFORMATION,
    MapViewOfFile, PAGE_READWRITE, SEC_RESERVE, UnmapViewOfFile, VirtualAlloc, VirtualQuery,
};
use windows_sys::Win32::System::ProcessStatus::GetMappedFileNameW;
use windows_sys::Win32::System::Threading::GetCurrentProcess;

use crate::mapping::Mapping;
use crate::segment_error::SegmentError;
use crate::shared_segment::RESERVE_STEP;

const PAGE_BYTES: usize = 4096;

/// Pages of a section can't be decommitted (`VirtualFree`, remarks).
pub(crate) const CAN_PUNCH: bool = false;

/// Mapped memory, and its section.
#[derive(Debug)]
pub(crate) struct Memory {
    mapping: Mapping,
    section: OwnedHandle,
}

impl Memory {
    pub(crate) fn create(len: usize) -> Result<Self, SegmentError> {
        // SAFETY: no attributes (no inheritance), no name; the handle is new.
        let section = unsafe {
            super::made(CreateFileMappingW(
                INVALID_HANDLE_VALUE,
                null(),
                PAGE_READWRITE | SEC_RESERVE,
                (len as u64 >> 32) as u32,
                len as u32,
                null(),
            ))
        };
        let section = section.map_err(|error| failed(error, len))?;
        let mapping = Mapping::of_memory(&section, len, true).map_err(|e| failed(e, len))?;
        Ok(Self { mapping, section })
    }

    pub(crate) fn of_handle(section: OwnedHandle, len: usize) -> Result<Self, SegmentError> {
        check(section.as_handle(), len)?;
        let mapping = Mapping::of_memory(&section, len, true).map_err(|error| {
            match error.raw_os_error().map(|code| code as u32) {
                Some(ERROR_ACCESS_DENIED) => SegmentError::Refused(error),
                _ => failed(error, len),
            }
        })?;
        Ok(Self { mapping, section })
    }

    pub(crate) fn handle(&self) -> BorrowedHandle<'_> {
        self.section.as_handle()
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.mapping.start()
    }

    pub(crate) fn len(&self) -> usize {
        self.mapping.len()
    }

    pub(crate) fn reserve(&self, offset: usize, len: usize) -> Result<(), SegmentError> {
        let (mut at, end) = (offset, offset + len);
        while at < end {
            let piece = (RESERVE_STEP - at % RESERVE_STEP).min(end - at);
            // SAFETY: within our view; what is committed already keeps what it contains.
            let committed = unsafe {
                let start = self.mapping.start().as_ptr().add(at);
                VirtualAlloc(start.cast(), piece, MEM_COMMIT, PAGE_READWRITE)
            };
            if committed.is_null() {
                return Err(failed(io::Error::last_os_error(), end - at));
            }
            at += piece;
        }
        Ok(())
    }

    /// Pages that another process committed are committed; to commit them again makes sure of the view of this one.
    pub(crate) fn accept(&self, offset: usize, len: usize) -> Result<(), SegmentError> {
        self.reserve(offset, len)
    }

    pub(crate) fn punch(&self, _offset: usize, _len: usize) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Looks at a mapping of the whole: committed and reserved pages, of no file's bytes, as long as agreed.
fn check(section: BorrowedHandle<'_>, len: usize) -> Result<(), SegmentError> {
    // SAFETY: a new mapping at an address that the system chooses.
    let view = unsafe { MapViewOfFile(section.as_raw_handle(), FILE_MAP_READ, 0, 0, 0) };
    if view.Value.is_null() {
        return Err(refused("it is no memory that can be mapped"));
    }
    let (named, bytes) = (is_of_file(view.Value), pages(view.Value));
    // SAFETY: made above, and nobody has its address.
    unsafe { UnmapViewOfFile(view) };
    if named {
        return Err(refused("it is a file's"));
    }
    match bytes {
        Some(bytes) if bytes == len.next_multiple_of(PAGE_BYTES) => Ok(()),
        Some(_) => Err(refused("it has another size than agreed")),
        None => Err(refused("it is not ordinary memory")),
    }
}

fn is_of_file(view: *const c_void) -> bool {
    let mut name = [0_u16; 64];
    // SAFETY: the buffer is as long as it says; the address is looked up, not touched.
    let named = unsafe {
        GetMappedFileNameW(
            GetCurrentProcess(),
            view,
            name.as_mut_ptr(),
            name.len() as u32,
        )
    };
    named != 0
}

/// How many bytes the view has. `None`: some are not a section's.
fn pages(view: *const c_void) -> Option<usize> {
    let mut seen = 0;
    loop {
        let mut info = MaybeUninit::<MEMORY_BASIC_INFORMATION>::zeroed();
        let bytes = size_of::<MEMORY_BASIC_INFORMATION>();
        let at = view.wrapping_byte_add(seen);
        // SAFETY: the buffer is as long as it says; the address is looked up, not touched.
        let told = unsafe { VirtualQuery(at, info.as_mut_ptr(), bytes) };
        // SAFETY: plain integers and addresses, zeroed before.
        let info = unsafe { info.assume_init() };
        if told != bytes || info.State == MEM_FREE || !ptr::eq(info.AllocationBase, view) {
            return Some(seen);
        }
        if info.Type != MEM_MAPPED || info.RegionSize == 0 {
            return None;
        }
        seen += info.RegionSize;
    }
}

fn failed(error: io::Error, needed: usize) -> SegmentError {
    match error.raw_os_error().map(|code| code as u32) {
        Some(
            ERROR_COMMITMENT_LIMIT
            | ERROR_NOT_ENOUGH_MEMORY
            | ERROR_OUTOFMEMORY
            | ERROR_NO_SYSTEM_RESOURCES,
        ) => SegmentError::NoMemory {
            needed: needed as u64,
            source: error,
        },
        _ => SegmentError::Io(error),
    }
}

fn refused(why: &str) -> SegmentError {
    let why = format!("shared memory refused: {why}");
    SegmentError::Refused(io::Error::new(io::ErrorKind::InvalidData, why))
}

/// A late reader never finds a page gone here.
pub(crate) fn strict_overcommit() -> bool {
    false
}
