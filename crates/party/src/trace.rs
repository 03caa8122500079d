//! This crate's `tracing` events, a function each, so that targets, levels and fields stand in one place. The engine has
//! events of its own (`crates/engine/src/base/events.rs`).
//!
//! Promises: no event belongs to a call on keys. `docs/EVENTS.md` lists them; a test compares the page with this file.
//! Must not know: who listens.

use tracing::{info, warn};

use crate::error::Error;
use crate::events::Event;

/// What this process is among those that have the directory open.
const MEMBERS: &str = "level_party::members";
/// What an opening found in the directory.
const RECOVERY: &str = "level_party::recovery";

/// Tells an event that the program's own receivers get too.
pub(crate) fn event(dir: &str, event: &Event) {
    match event {
        Event::Elected { epoch } => {
            info!(name: "elected", target: MEMBERS, dir, epoch, "this process leads");
        }
        Event::Attached { leader_pid, epoch } => {
            info!(name: "attached", target: MEMBERS, dir, leader_pid, epoch,
                "another process leads");
        }
        Event::LeaderLost { leader_pid, epoch } => {
            info!(name: "leader_lost", target: MEMBERS, dir, leader_pid, epoch,
                "the leader has gone, or the connection to it");
        }
        Event::SteppedDown {
            epoch,
            failed: false,
        } => {
            info!(name: "stepped_down", target: MEMBERS, dir, epoch, failed = false,
                "this process has stopped leading");
        }
        Event::SteppedDown {
            epoch,
            failed: true,
        } => {
            warn!(name: "stepped_down", target: MEMBERS, dir, epoch, failed = true,
                "this process cannot lead any more");
        }
        Event::Losses { losses } => {
            let first = losses.first().map(String::as_str).unwrap_or_default();
            warn!(name: "losses", target: RECOVERY, dir, count = losses.len(), first,
                "openings of the database lost something that nobody has acknowledged");
        }
        Event::Trouble { what } => {
            warn!(name: "trouble", target: MEMBERS, dir, what, "something went wrong");
        }
        // It is about one receiver.
        Event::Missed { .. } => {}
    }
}

/// `founding`: the number of the epoch, which all who have the directory open at one time have in common.
pub(crate) fn joined(dir: &str, founding: u64, members: usize) {
    info!(name: "joined", target: MEMBERS, dir, founding, members,
        "this process has the database open");
}

pub(crate) fn left(dir: &str, founding: u64) {
    info!(name: "left", target: MEMBERS, dir, founding, "this process has left the database");
}

/// Its writes have no effect any more.
pub(crate) fn fenced(dir: &str, founding: u64, reason: &str) {
    warn!(name: "fenced", target: MEMBERS, dir, founding, reason,
        "this process may use the shared memory no more, and opens the database anew");
}

pub(crate) fn door_kept(dir: &str, founding: u64) {
    info!(name: "door_kept", target: MEMBERS, dir, founding,
        "no process may lead; this one lets others join");
}

/// This process waits.
pub(crate) fn locked_out(dir: &str, error: &Error) {
    warn!(name: "locked_out", target: MEMBERS, dir, %error,
        "another program has the directory");
}

/// Positions, sequences and logs of before say nothing any more.
pub(crate) fn foreign_program(dir: &str) {
    warn!(name: "foreign_program", target: RECOVERY, dir,
        "another program had the directory since it was last open here");
}
