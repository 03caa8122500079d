//! Linux and macOS.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

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
pub(crate) mod ofd;
pub(crate) mod stream;
pub(crate) mod waker;

pub(crate) fn borrow(handle: &OwnedFd) -> BorrowedFd<'_> {
    handle.as_fd()
}
