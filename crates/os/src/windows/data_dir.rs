//! A directory held open. Its path stays right as long as anybody has a file in it open (a leader has `LOCK`): such a
//! directory can't be renamed. Before that [`DataDir::is_at_path`] tells.

use std::fs::{File, OpenOptions};
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle};
use std::path::{Path, PathBuf};

use windows_sys::Win32::Storage::FileSystem::{
    FILE_ADD_FILE, FILE_ATTRIBUTE_DIRECTORY, FILE_BASIC_INFO, FILE_FLAG_BACKUP_SEMANTICS,
    FILE_FLAG_OPEN_REPARSE_POINT, FILE_ID_INFO, FILE_INFO_BY_HANDLE_CLASS, FILE_LIST_DIRECTORY,
    FILE_NAME_NORMALIZED, FILE_READ_ATTRIBUTES, FILE_SHARE_DELETE, FILE_SHARE_READ,
    FILE_SHARE_WRITE, FileBasicInfo, FileIdInfo, GetFileInformationByHandleEx,
    GetFinalPathNameByHandleW, GetVolumeInformationByHandleW, SYNCHRONIZE,
};

use super::call::done;
use crate::identity::{DirIdentity, Filesystem};

const SHARE_ALL: u32 = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

impl DirIdentity {
    /// The identity of the directory behind a handle, such as one that a peer has passed.
    ///
    /// # Errors
    /// `NotADirectory` if it is something else.
    pub fn of(handle: &OwnedHandle) -> io::Result<Self> {
        // SAFETY: plain integers.
        let basic: FILE_BASIC_INFO = unsafe { query(handle.as_handle(), FileBasicInfo)? };
        if basic.FileAttributes & FILE_ATTRIBUTE_DIRECTORY == 0 {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Self::of_file(handle.as_handle())
    }

    /// The identity of the regular file at `path`. `None`: there is none, or something else.
    ///
    /// # Errors
    /// Whatever else `CreateFile` says.
    pub fn of_file_at(path: &Path) -> io::Result<Option<Self>> {
        let file = match open_to_look(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        match file.metadata()?.is_file() {
            true => Self::of_file(file.as_handle()).map(Some),
            false => Ok(None),
        }
    }

    /// Volume and file id of any file.
    pub(crate) fn of_file(handle: BorrowedHandle<'_>) -> io::Result<Self> {
        // SAFETY: plain integers.
        let info: FILE_ID_INFO = unsafe { query(handle, FileIdInfo)? };
        let id = u128::from_le_bytes(info.FileId.Identifier);
        // NTFS has ids of 64 bits. ReFS has two numbers, both small: the factor keeps their sums apart.
        let ino = (id as u64).wrapping_add(((id >> 64) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Ok(Self {
            dev: info.VolumeSerialNumber,
            ino,
        })
    }
}

/// # Safety
/// `T` is what the class answers with, and all bytes are a value of it.
unsafe fn query<T>(handle: BorrowedHandle<'_>, class: FILE_INFO_BY_HANDLE_CLASS) -> io::Result<T> {
    let mut info = MaybeUninit::<T>::zeroed();
    // SAFETY: the buffer is as long as it says.
    done(unsafe {
        GetFileInformationByHandleEx(
            handle.as_raw_handle(),
            class,
            info.as_mut_ptr().cast(),
            size_of::<T>() as u32,
        )
    })?;
    // SAFETY: zeroed before, and any bytes are a value, as the caller says.
    Ok(unsafe { info.assume_init() })
}

/// Opens a file or directory only to ask what it is: no share mode of anybody stands against that.
pub(crate) fn open_to_look(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .access_mode(FILE_READ_ATTRIBUTES)
        .share_mode(SHARE_ALL)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT)
        .open(path)
}

/// An open directory.
///
/// ```
/// use level_party_os::DataDir;
/// let tmp = tempfile::tempdir()?;
/// let dir = DataDir::open(tmp.path())?;
/// assert!(dir.is_writable()?);
/// assert_eq!(dir.identity(), DataDir::open(&tmp.path().join("."))?.identity());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    identity: DirIdentity,
    handle: OwnedHandle,
}

impl DataDir {
    /// Opens an existing directory.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, `PermissionDenied` and whatever else `CreateFile` says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let handle = open_directory(
            path,
            FILE_LIST_DIRECTORY | FILE_READ_ATTRIBUTES | SYNCHRONIZE,
        )?;
        let identity = DirIdentity::of(&handle)?;
        Ok(Self {
            path: path.to_owned(),
            identity,
            handle,
        })
    }

    /// Another handle on the same directory.
    ///
    /// # Errors
    /// When the system has no handle left.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            path: self.path.clone(),
            identity: self.identity,
            handle: self.handle.try_clone()?,
        })
    }

    /// The path it was opened by, as given. It may name something else by now: see [`Self::is_at_path`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path that leads to this very directory: [`Self::path`]. While a file in it is open it can't be renamed.
    pub fn anchored_path(&self) -> PathBuf {
        self.path.clone()
    }

    /// Volume and file id.
    pub fn identity(&self) -> DirIdentity {
        self.identity
    }

    /// The handle. It never carries the directory's lock, so it may be passed to other processes as a proof of which
    /// directory is meant.
    pub fn as_handle(&self) -> BorrowedHandle<'_> {
        self.handle.as_handle()
    }

    /// Whether [`Self::path`] still names this directory (it may have been renamed or replaced).
    ///
    /// # Errors
    /// Whatever `CreateFile` says, except that a missing path is `Ok(false)`.
    pub fn is_at_path(&self) -> io::Result<bool> {
        match open_directory(&self.path, FILE_READ_ATTRIBUTES) {
            Ok(found) => Ok(DirIdentity::of_file(found.as_handle())? == self.identity),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether this process may create files in it.
    ///
    /// # Errors
    /// Whatever `CreateFile` says besides "no".
    pub fn is_writable(&self) -> io::Result<bool> {
        match open_directory(&self.path, FILE_ADD_FILE) {
            Ok(_) => Ok(true),
            Err(error) if is_refusal(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What kind of filesystem it is on. Locks of network filesystems can't be relied on, and their pipes don't reach
    /// other hosts.
    ///
    /// # Errors
    /// Whatever `GetFinalPathNameByHandle` and `GetVolumeInformationByHandle` say.
    pub fn filesystem(&self) -> io::Result<Filesystem> {
        let handle = self.handle.as_raw_handle();
        let mut path = vec![0_u16; 33_000];
        // SAFETY: the buffer is as long as it says.
        let len = unsafe {
            GetFinalPathNameByHandleW(
                handle,
                path.as_mut_ptr(),
                path.len() as u32,
                FILE_NAME_NORMALIZED,
            )
        } as usize;
        if len == 0 || len > path.len() {
            return Err(io::Error::last_os_error());
        }
        let mut name = [0_u16; 64];
        // SAFETY: the buffer for the name is as long as it says; nothing else is asked for.
        done(unsafe {
            GetVolumeInformationByHandleW(
                handle,
                std::ptr::null_mut(),
                0,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                name.as_mut_ptr(),
                name.len() as u32,
            )
        })?;
        let end = name.iter().position(|unit| *unit == 0);
        let name = String::from_utf16_lossy(&name[..end.unwrap_or(name.len())]);
        Ok(kind(&String::from_utf16_lossy(&path[..len]), name))
    }
}

/// Makes the entries of the directory at `path` durable, as far as the system has a call for that: `FlushFileBuffers`
/// takes a directory that is open for adding files.
///
/// # Errors
/// Whatever `CreateFile` and `FlushFileBuffers` say.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::from(open_directory(path, FILE_ADD_FILE)?).sync_all()
}

/// A mapped drive and `\\wsl$` are shares too, by their final paths.
fn kind(final_path: &str, name: String) -> Filesystem {
    if final_path.starts_with(r"\\?\UNC\") {
        Filesystem::Network(format!("a network share ({name})"))
    } else if ["fuse", "dokan"]
        .iter()
        .any(|kind| name.to_ascii_lowercase().contains(kind))
    {
        Filesystem::Fuse(name)
    } else {
        Filesystem::Local(name)
    }
}

fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem)
}

fn open_directory(path: &Path, access: u32) -> io::Result<OwnedHandle> {
    let opened = OpenOptions::new()
        .access_mode(access)
        .share_mode(SHARE_ALL)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
        .open(path)?;
    Ok(opened.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_is_a_network_filesystem_by_any_letter() {
        let kind = |path: &str, name: &str| kind(path, name.to_owned());
        assert!(kind(r"\\?\C:\data", "NTFS").is_local());
        assert!(matches!(
            kind(r"\\?\UNC\server\share\data", "NTFS"),
            Filesystem::Network(_)
        ));
        assert!(matches!(
            kind(r"\\?\X:\data", "FUSE-sshfs"),
            Filesystem::Fuse(_)
        ));
    }

    #[test]
    fn one_directory_has_one_identity_and_another_another() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let open = |path: &Path| DataDir::open(path).unwrap();
        let dir = open(one.path());
        assert_eq!(dir.identity(), open(&one.path().join(".")).identity());
        assert_eq!(dir.identity(), DirIdentity::of(&dir.handle).unwrap());
        assert_ne!(dir.identity(), open(other.path()).identity());
        assert!(dir.is_at_path().unwrap() && dir.is_writable().unwrap());
        assert!(dir.filesystem().unwrap().is_local());
    }

    #[test]
    fn a_file_is_no_directory_and_what_is_missing_is_not_found() {
        let tmp = tempfile::tempdir().unwrap();
        let file = tmp.path().join("file");
        std::fs::write(&file, "").unwrap();
        let kind = |path: &Path| DataDir::open(path).unwrap_err().kind();
        assert_eq!(kind(&file), io::ErrorKind::NotADirectory);
        assert_eq!(kind(&tmp.path().join("none")), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_long_path_that_is_not_ascii_is_opened() {
        let tmp = tempfile::tempdir().unwrap();
        let mut path = std::fs::canonicalize(tmp.path()).unwrap();
        for _ in 0..6 {
            path.push("höhle-洞穴-".repeat(6));
        }
        std::fs::create_dir_all(&path).unwrap();
        assert!(path.as_os_str().len() > 260);
        assert!(DataDir::open(&path).unwrap().is_at_path().unwrap());
    }
}
