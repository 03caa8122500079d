//! Sections of the page file. A section's size is set when it is made; there is no seal on writing.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::windows::io::{AsRawHandle, OwnedHandle};
use std::ptr::null;

use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_READ, MEM_COMMIT, MEM_MAPPED, MEMORY_BASIC_INFORMATION,
    MapViewOfFile, PAGE_READWRITE, SEC_COMMIT, UnmapViewOfFile, VirtualQuery,
};
use windows_sys::Win32::System::ProcessStatus::GetMappedFileNameW;
use windows_sys::Win32::System::Threading::GetCurrentProcess;

use super::{Seals, refused};

const PAGE_BYTES: usize = 4096;

pub(super) fn create(len: usize) -> io::Result<OwnedHandle> {
    // SAFETY: no attributes (no inheritance), no name; the handle is new.
    unsafe {
        crate::windows::made(CreateFileMappingW(
            INVALID_HANDLE_VALUE,
            null(),
            PAGE_READWRITE | SEC_COMMIT,
            (len as u64 >> 32) as u32,
            len as u32,
            null(),
        ))
    }
}

pub(super) fn seal(_section: &OwnedHandle, seals: Seals) -> io::Result<()> {
    match seals {
        Seals::Size => Ok(()),
        Seals::SizeAndWriting => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Looks at a mapping of the whole: memory of which no page is missing, of no file's bytes, as long as agreed.
pub(super) fn check(section: &OwnedHandle, len: usize, seals: Seals) -> io::Result<()> {
    seal(section, seals)?;
    // SAFETY: a new mapping at an address that the system chooses.
    let view = unsafe { MapViewOfFile(section.as_raw_handle(), FILE_MAP_READ, 0, 0, 0) };
    if view.Value.is_null() {
        return Err(refused("it is no memory that can be mapped"));
    }
    let mut info = MaybeUninit::<MEMORY_BASIC_INFORMATION>::zeroed();
    let mut name = [0_u16; 64];
    // SAFETY: both buffers are as long as they say, and the address is that of the mapping, which is not touched.
    let (found, named) = unsafe {
        let bytes = size_of::<MEMORY_BASIC_INFORMATION>();
        let found = VirtualQuery(view.Value, info.as_mut_ptr(), bytes) == bytes;
        let process = GetCurrentProcess();
        let named = GetMappedFileNameW(process, view.Value, name.as_mut_ptr(), name.len() as u32);
        (found, named)
    };
    // SAFETY: made above, and nobody has its address.
    unsafe { UnmapViewOfFile(view) };
    // SAFETY: plain integers, zeroed before.
    let info = unsafe { info.assume_init() };
    if !found || info.State != MEM_COMMIT || info.Type != MEM_MAPPED {
        return Err(refused("it is not ordinary memory"));
    }
    if named != 0 {
        return Err(refused("it is a file's"));
    }
    if info.RegionSize != len.next_multiple_of(PAGE_BYTES) {
        return Err(refused("it has another size than agreed"));
    }
    Ok(())
}
