//! Kill points and planted bugs, for the tests that prove the tests (feature `faults`; without it nothing is compiled in).
//!
//! - `LEVEL_PARTY_KILL=NAME:N` ends the process, with no destructor run, when it reaches point NAME for the Nth time.
//!   `POINTS` are those of a founding, a takeover, a leave and of the files beneath; the other points are the engine's steps
//!   (`STEPS`). A death at each must be harmless.
//! - `LEVEL_PARTY_STOP=NAME:N` stops the process there, as `kill -STOP` does; a stop must be harmless too.
//! - `LEVEL_PARTY_HOLD=NAME:N:PIPE` has the thread that reaches point NAME for the Nth time stand still until whoever opens
//!   the named pipe to write, which succeeds when the thread is there, closes it.
//! - `LEVEL_PARTY_FAIL=append:N` or `sync:N` has the process's Nth append to a log, or sync of one, fail: half of what was to
//!   be appended is there.
//! - `LEVEL_PARTY_CHUNK_PASSES=COUNT` lowers the number of removed keys that one chunk of a scan passes.
//! - `LEVEL_PARTY_PLANT=NAME` makes the process do one thing wrong (`BUGS`). Each must be caught.

use std::ops::Bound;

/// A bound before `key` that is computed, as the planted bug does it: it skips what lies in between.
pub(crate) fn decremented(key: &[u8]) -> Bound<Vec<u8>> {
    let mut key = key.to_vec();
    match key.pop() {
        Some(last @ 1..) => {
            key.push(last - 1);
            Bound::Included(key)
        }
        _ => Bound::Excluded(key),
    }
}

#[cfg(not(feature = "faults"))]
mod off {
    /// Nothing happens here.
    #[inline(always)]
    pub(crate) fn point(_name: &'static str) {}

    /// Nothing is wrong.
    #[inline(always)]
    pub(crate) fn planted(_name: &'static str) -> bool {
        false
    }

    /// The limit as it is.
    #[inline(always)]
    pub(crate) fn chunk_passes(limit: u64) -> u64 {
        limit
    }

    /// The files as they are.
    pub(crate) fn files(
        fs: level_party_engine::StdFs,
    ) -> std::sync::Arc<dyn level_party_engine::Fs> {
        std::sync::Arc::new(fs)
    }
}

#[cfg(not(feature = "faults"))]
pub(crate) use off::{chunk_passes, files, planted, point};

#[cfg(feature = "faults")]
mod on;

#[cfg(feature = "faults")]
pub use on::{BUGS, POINTS, STEPS};
#[cfg(feature = "faults")]
pub(crate) use on::{chunk_passes, files, planted, point};
