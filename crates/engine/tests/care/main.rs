//! What goes beyond reading and writing: conditions, ranges, and the care of a database as a whole.

mod conditions;
mod ranges;
#[path = "../engine/support.rs"]
#[allow(dead_code, reason = "shared with the tests in `engine`")]
mod support;
mod verify;
