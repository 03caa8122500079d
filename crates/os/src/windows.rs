//! Windows: named pipes, `LockFileEx`, sections, events.
//!
//! | what | rests on |
//! |---|---|
//! | the directory's lock | share modes and `LockFile` on `LOCK`, as C++ LevelDB has it |
//! | who may connect | a pipe whose owner and only entitled user is ours, which no other host reaches |
//! | where it is | a random name that begins with the directory's identity, written into the endpoint's file |
//! | handles beside bytes | `DuplicateHandle` between the two processes |
//! | a process's end | its handles are closed by the system: locks come free, pipes break |

pub(crate) mod byte_lock;
pub(crate) mod call;
pub(crate) mod credentials;
pub(crate) mod data_dir;
pub(crate) mod endpoint;
pub(crate) mod fork;
pub(crate) mod handles;
pub(crate) mod held;
pub(crate) mod listener;
pub(crate) mod lock;
pub(crate) mod mapping;
mod overlapped;
mod pipe;
pub(crate) mod shared_memory;
pub(crate) mod stream;
pub(crate) mod waker;

pub(crate) use call::made;
