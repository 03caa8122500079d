//! The engine's `tracing` events, a function each, so that targets, levels and fields stand in one place.
//!
//! Promises: no event belongs to a read, or to a write that needed nothing special; none is emitted under the commit lock,
//! where a slow subscriber would hold up every process. `docs/EVENTS.md` lists them; a test compares the page with this file.
//! Must not know: who listens, or why something happened.

use std::time::Duration;

use tracing::{debug, error, info, warn};

use crate::base::error::Error;
use crate::base::peers::Incarnation;

/// What an opening found in the directory.
const RECOVERY: &str = "level_party::recovery";
/// The leader's work on tables.
const TABLES: &str = "level_party::tables";
/// Repairs and failures beside commits.
const COMMITS: &str = "level_party::commits";

pub(crate) fn recovered(dir: &str, created: bool, logs: usize, tables: usize, last_sequence: u64) {
    info!(name: "recovered", target: RECOVERY, dir, created, logs, tables, last_sequence,
        "recovered the database");
}

/// Nobody had been promised it.
pub(crate) fn left_out(dir: &str, what: &str) {
    info!(name: "left_out", target: RECOVERY, dir, what, "recovery left something out");
}

/// It may have been acknowledged.
pub(crate) fn lost(dir: &str, what: &str) {
    warn!(name: "lost", target: RECOVERY, dir, what, "recovery lost something");
}

pub(crate) fn log_set_aside(dir: &str, file: &str, aside: &str) {
    warn!(name: "log_set_aside", target: RECOVERY, dir, file, aside, "a log was set aside");
}

pub(crate) fn flush_begun(dir: &str, log: u64) {
    debug!(name: "flush_begun", target: TABLES, dir, log, "a flush begins");
}

pub(crate) fn flush_ended(dir: &str, log: u64, bytes: u64, elapsed: Duration) {
    debug!(name: "flush_ended", target: TABLES, dir, log, bytes, elapsed_ms = millis(elapsed),
        "a flush has ended");
}

pub(crate) fn flush_failed(dir: &str, error: &Error) {
    warn!(name: "flush_failed", target: TABLES, dir, %error, "a flush failed");
}

pub(crate) fn memtable_differs(dir: &str, log: u64) {
    error!(
        name: "memtable_differs", target: TABLES, dir, log,
        "what is in shared memory is not what the log says: all members open the database anew, from the log"
    );
}

pub(crate) fn compaction_begun(dir: &str, level: usize, tables: usize, bytes: u64) {
    debug!(name: "compaction_begun", target: TABLES, dir, level, tables, bytes, "a compaction begins");
}

pub(crate) fn compaction_ended(
    dir: &str,
    level: usize,
    tables: usize,
    bytes: u64,
    elapsed: Duration,
) {
    debug!(name: "compaction_ended", target: TABLES, dir, level, tables, bytes,
        elapsed_ms = millis(elapsed), "a compaction has ended");
}

pub(crate) fn table_moved(dir: &str, level: usize, table: u64) {
    debug!(name: "table_moved", target: TABLES, dir, level, table, "a table moved one level down");
}

pub(crate) fn compaction_failed(dir: &str, error: &Error) {
    warn!(name: "compaction_failed", target: TABLES, dir, %error, "a compaction failed");
}

/// Reads still use it; compactions do not.
pub(crate) fn table_set_aside(dir: &str, table: u64, error: &Error) {
    warn!(name: "table_set_aside", target: TABLES, dir, table, %error,
        "a damaged table was set aside from compactions");
}

pub(crate) fn lock_taken_over(dir: &str, from: Incarnation) {
    warn!(name: "lock_taken_over", target: COMMITS, dir, from,
        "took the commit lock over from a process that died in the middle of a write");
}

pub(crate) fn log_repaired(dir: &str, log: u64) {
    warn!(name: "log_repaired", target: COMMITS, dir, log,
        "cut off what a process left that died or failed in the middle of a write");
}

pub(crate) fn sync_failed(dir: &str, file: &str, error: &dyn std::fmt::Display) {
    warn!(name: "sync_failed", target: COMMITS, dir, file, %error, "a sync failed");
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
