//! What level-party asks of the operating system: who may write a directory, how processes on one
//! host reach each other, who the other side is, and memory they share.
//!
//! **Promises.** At most one process holds a directory's [`DirLock`], also against programs that know
//! only `fcntl` locks (C++ LevelDB) or only `flock` (many Rust and Go programs), and none while there is a
//! [`MemberLock`]. An endpoint's path is never truncated and never leads to another directory. Only processes of our own user are talked to.
//! Memory is mapped only if its owner can't shrink it (but for a `file_word`, of a file that by agreement
//! never shrinks, and a `file_map`, whose caller takes that on). Every file descriptor is close-on-exec, and what
//! this crate opened is let go in a child that forks without exec; so is the memory of a segment.
//!
//! **Must not know.** Databases, messages, elections. This crate moves bytes and handles.
//!
//! | file | concern |
//! |---|---|
//! | `identity` | which directory it is, and its filesystem's kind |
//! | `lock_error`, `holder` | why the directory's lock is not given, and who has it |
//! | `file_word`, `file_map` | a word of a file seen by several processes; a file read through memory |
//! | `shared_segment`, `segment_error` | sparse memory for all members of a directory; why it is not to be had |
//! | `bells` | sleeping until another process changes a word |
//! | `process` | other processes; our own forks; the time since the boot |
//! | `positioned` | reading and writing at an offset |
//! | `descriptors`, `longest_file` | how many files this process may have open; how long one may become |
//! | `unix`, `windows` | the same by each system's calls, under the same names: |
//! | `data_dir`, `lock`, `held`, `byte_lock` | a directory held open; its lock; who has it; locks on single bytes |
//! | `endpoint`, `listener`, `stream` | where processes meet; both sides of a connection |
//! | `handles`, `credentials`, `hangup`, `waker` | what a stream does besides bytes |
//! | `mapping`, `shared_memory`, `memory_file` | memory of a file; a segment's memory; its file, made, sealed and checked |

#[cfg(not(any(unix, windows)))]
compile_error!("level-party-os knows Linux, macOS and Windows");

mod bells;
#[cfg(test)]
mod byte_lock_tests;
pub mod descriptors;
mod file_map;
mod file_word;
mod guarded_file;
mod hangup;
mod holder;
mod identity;
mod lock_error;
mod longest_file;
pub mod positioned;
pub mod process;
mod segment_error;
mod shared_segment;
#[cfg(test)]
mod stream_tests;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix::{
    byte_lock, credentials, data_dir, endpoint, fork, handles, held, listener, lock, mapping, ofd,
    shared_memory, stream, waker,
};
#[cfg(windows)]
use windows::{
    byte_lock, credentials, data_dir, endpoint, fork, handles, held, listener, lock, mapping,
    shared_memory, stream, waker,
};

pub use bells::{Bells, MAX_BELLS};
pub use byte_lock::ByteLock;
pub use credentials::Peer;
pub use data_dir::{DataDir, sync_directory};
pub use endpoint::ENDPOINT_NAME;
pub use file_map::FileMap;
pub use file_word::FileWord;
pub use guarded_file::GuardedFile;
pub use handles::MAX_HANDLES;
pub use hangup::Hangup;
pub use held::HeldLock;
pub use holder::Holder;
pub use identity::{DirIdentity, Filesystem};
pub use listener::Listener;
pub use lock::{DirLock, MemberLock};
pub use lock_error::{LOCK_NAME, LockError, LowerError};
pub use longest_file::longest_file;
pub use segment_error::SegmentError;
pub use shared_segment::{RESERVE_STEP, SharedSegment};
#[cfg(unix)]
pub use std::os::fd::{BorrowedFd as BorrowedHandle, OwnedFd as OwnedHandle};
#[cfg(windows)]
pub use std::os::windows::io::{BorrowedHandle, OwnedHandle};
pub use stream::Stream;
pub use waker::Waker;
