//! Linux and macOS.

pub(crate) mod byte_lock;
pub(crate) mod credentials;
pub(crate) mod data_dir;
pub(crate) mod endpoint;
pub(crate) mod fork;
pub(crate) mod handles;
pub(crate) mod hangup;
pub(crate) mod held;
pub(crate) mod listener;
pub(crate) mod lock;
pub(crate) mod mapping;
mod memory_file;
pub(crate) mod ofd;
pub(crate) mod shared_memory;
pub(crate) mod stream;
pub(crate) mod waker;
