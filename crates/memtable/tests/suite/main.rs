//! The memtable, tested through its public seam.

mod attach;
mod concurrent;
mod corpus;
mod hostile;
mod insertions;
mod lifecycle;
#[cfg(target_os = "linux")]
mod mapped;
mod model;
mod region;
mod support;
