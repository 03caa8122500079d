//! Who holds a lock that we can't have, by the list of processes that have its file open.

use std::io;
use std::mem::offset_of;
use std::os::windows::io::AsRawHandle;
use std::path::{Path, PathBuf};

use windows_sys::Wdk::Storage::FileSystem::{
    FileProcessIdsUsingFileInformation, NtQueryInformationFile,
};
use windows_sys::Wdk::System::SystemServices::FILE_PROCESS_IDS_USING_FILE_INFORMATION;
use windows_sys::Win32::System::IO::IO_STATUS_BLOCK;

use super::data_dir::open_to_look;
use crate::holder::Holder;

/// More processes are not asked for.
const MOST: usize = 64;

/// A lock that somebody else has. [`Self::holder`] looks up who it is.
#[derive(Clone, Debug)]
pub struct HeldLock {
    path: PathBuf,
}

impl HeldLock {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Who has the lock now, as far as the system tells (Wine does not).
    pub fn holder(&self) -> Holder {
        let users = users(&self.path).unwrap_or_default();
        users
            .first()
            .map_or_else(Holder::default, |pid| Holder::from_pid(*pid))
    }
}

/// The processes that have the file open.
fn users(path: &Path) -> io::Result<Vec<u32>> {
    let file = open_to_look(path)?;
    // A count and as many numbers of a pointer's size.
    let mut words = [0_usize; MOST + 1];
    // SAFETY: integers and a null pointer.
    let mut status: IO_STATUS_BLOCK = unsafe { std::mem::zeroed() };
    // SAFETY: the buffer is as long as it says and aligned for what comes; both outlive the call, which is over when it
    // returns.
    let result = unsafe {
        NtQueryInformationFile(
            file.as_raw_handle(),
            &mut status,
            words.as_mut_ptr().cast(),
            size_of_val(&words) as u32,
            FileProcessIdsUsingFileInformation,
        )
    };
    if result < 0 {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let first =
        offset_of!(FILE_PROCESS_IDS_USING_FILE_INFORMATION, ProcessIdList) / size_of::<usize>();
    let count = (words[0] as u32 as usize).min(MOST);
    Ok(words[first..first + count]
        .iter()
        .map(|pid| *pid as u32)
        .collect())
}
