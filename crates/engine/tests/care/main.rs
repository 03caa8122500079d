//! What goes beyond reading and writing: conditions, ranges, and the care of a database as a whole.

#[macro_use]
#[path = "../engine/forward.rs"]
mod forward;

mod checkpoint;
mod conditions;
mod damage;
mod descriptors;
mod figures;
mod layers;
mod limits;
mod open_files;
mod ranges;
mod repair;
mod repair_aside;
mod repair_random;
mod repair_reads;
#[path = "../engine/support.rs"]
#[allow(dead_code, reason = "shared with the tests in `engine`")]
mod support;
mod tail;
mod verify;
