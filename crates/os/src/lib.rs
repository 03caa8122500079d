//! What level-party asks of the operating system: who may write a directory, how processes on one
//! host reach each other, who the other side is, and memory they share.
//!
//! **Promises.** At most one process holds a directory's [`DirLock`], also against programs that know
//! only `fcntl` locks (C++ LevelDB) or only `flock` (many Rust and Go programs). An endpoint's path is
//! never truncated and never leads to another directory. Only processes of our own user are talked to.
//! A page is mapped only if its owner can't shrink it (but for a `file_word`, of a file that by agreement
//! never shrinks, and a `file_map`, whose caller takes that on). Every file descriptor is close-on-exec, and what
//! this crate opened is let go in a child that forks without exec.
//!
//! **Must not know.** Databases, messages, elections. This crate moves bytes and handles.
//!
//! | file | concern |
//! |---|---|
//! | `identity` | which directory it is, and its filesystem's kind |
//! | `lock_error`, `holder` | why the directory's lock is not given, and who has it |
//! | `shared_page`, `file_word`, `file_map` | memory seen by two processes; a file read through memory |
//! | `process` | other processes; our own forks |
//! | `descriptors` | how many files this process may have open |
//! | `unix`, `windows` | the same by each system's calls, under the same names: |
//! | `data_dir`, `lock`, `held`, `byte_lock` | a directory held open; its lock; who has it; locks on single bytes |
//! | `endpoint`, `listener`, `stream` | where processes meet; both sides of a connection |
//! | `handles`, `credentials`, `hangup`, `waker` | what a stream does besides bytes |
//! | `mapping` | memory of a file |

#[cfg(not(any(unix, windows)))]
compile_error!("level-party-os knows Linux, macOS and Windows");

pub mod descriptors;
mod file_map;
mod file_word;
mod holder;
mod identity;
mod lock_error;
pub mod process;
mod ready;
mod shared_page;
#[cfg(test)]
mod stream_tests;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix::{
    borrow, byte_lock, credentials, data_dir, endpoint, fork, handles, hangup, held, listener,
    lock, mapping, ofd, stream, waker,
};
#[cfg(windows)]
use windows::{
    borrow, byte_lock, credentials, data_dir, endpoint, fork, handles, held, listener, lock,
    mapping, stream, waker,
};

pub use byte_lock::ByteLock;
pub use credentials::Peer;
pub use data_dir::{DataDir, sync_directory};
pub use endpoint::ENDPOINT_NAME;
pub use file_map::FileMap;
pub use file_word::FileWord;
pub use handles::MAX_HANDLES;
pub use held::{HeldLock, lock_holder};
pub use holder::Holder;
pub use identity::{DirIdentity, Filesystem};
pub use listener::Listener;
pub use lock::DirLock;
pub use lock_error::{LOCK_NAME, LockError};
pub use ready::{Hangup, Ready};
pub use shared_page::{SharedPage, SharedRegion};
#[cfg(unix)]
pub use std::os::fd::{BorrowedFd as BorrowedHandle, OwnedFd as OwnedHandle};
#[cfg(windows)]
pub use std::os::windows::io::{BorrowedHandle, OwnedHandle};
pub use stream::Stream;
pub use waker::Waker;
