//! Harnesses that break things under an engine and look at what it makes of that.
//!
//! Each is a function that panics at the first violation and gives what it has counted. They are used twice: by the
//! tests beside this folder, on the engine as it is, and by the crate's own `planted` module, on engines with a known
//! bug, where they must panic.

pub mod disk;
pub mod follow;
pub mod history;
#[allow(dead_code)] // for planted bugs; the tests beside this folder have wider ones
pub mod moments;
pub mod power;
pub mod record;
pub mod refuse;
pub mod states;
