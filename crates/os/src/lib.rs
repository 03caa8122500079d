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
//! | `data_dir` | a directory held open, its identity and its filesystem's kind |
//! | `lock`, `ofd`, `byte_lock` | the directory's lock; locks on single bytes |
//! | `holder` | who holds a lock that we can't have |
//! | `endpoint`, `listener`, `stream` | where the socket lives; both of its sides |
//! | `handles`, `credentials`, `hangup`, `waker` | what a stream does besides bytes |
//! | `shared_page`, `file_word`, `mapping` | memory seen by two processes |
//! | `file_map` | a file read through memory |
//! | `process`, `fork` | other processes; our own forks |

#[cfg(not(unix))]
compile_error!("level-party-os knows Linux and macOS so far");

mod byte_lock;
mod credentials;
mod data_dir;
mod endpoint;
mod file_map;
mod file_word;
mod fork;
mod handles;
mod hangup;
mod holder;
mod listener;
mod lock;
mod mapping;
mod ofd;
pub mod process;
mod shared_page;
mod stream;
mod waker;

pub use byte_lock::ByteLock;
pub use credentials::Peer;
pub use data_dir::{DataDir, DirIdentity, Filesystem};
pub use endpoint::ENDPOINT_NAME;
pub use file_map::FileMap;
pub use file_word::FileWord;
pub use handles::MAX_HANDLES;
pub use hangup::Hangup;
pub use holder::{HeldLock, Holder, lock_holder};
pub use listener::Listener;
pub use lock::{DirLock, LOCK_NAME, LockError};
pub use shared_page::{SharedPage, SharedRegion};
pub use stream::{Ready, Stream};
pub use waker::Waker;
