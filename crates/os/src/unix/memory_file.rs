//! Files of memory, before they are mapped: made, sealed, and checked when a peer hands one over.
//!
//! **Promises.** What [`check`] lets pass is ordinary memory of the agreed length, which nobody can shrink or grow, and which
//! whoever has it may write.
//!
//! **Must not know.** What is in the memory.

use std::io;

#[cfg(target_vendor = "apple")]
mod apple;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_vendor = "apple")]
pub(crate) use apple::{check, create, seal};
#[cfg(target_os = "linux")]
pub(crate) use linux::{check, create, seal};

fn refused(why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("shared memory refused: {why}"),
    )
}
