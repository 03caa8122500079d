//! Kill points and planted bugs, for the tests that prove the tests (feature `faults`; without it nothing is compiled in).
//!
//! - `LEVEL_PARTY_KILL=NAME:N` ends the process, with no destructor run, when it reaches point NAME for the Nth time.
//!   `POINTS` are the steps of a takeover, a write, a leave and of the files beneath, at each of which a death must
//!   be harmless.
//! - `LEVEL_PARTY_HOLD=NAME:N:PIPE` has the thread that reaches point NAME for the Nth time stand still until whoever opens
//!   the named pipe to write, which succeeds when the thread is there, closes it.
//! - `LEVEL_PARTY_REPLY_FRAME=BYTES` lowers the limit of a reply's frame, so that an entry over it is cheaply had.
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
    pub(crate) fn reply_frame(limit: usize) -> usize {
        limit
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
pub(crate) use off::{chunk_passes, files, planted, point, reply_frame};

#[cfg(feature = "faults")]
mod on;

#[cfg(feature = "faults")]
pub use on::{BUGS, POINTS};
#[cfg(feature = "faults")]
pub(crate) use on::{chunk_passes, files, planted, point, reply_frame};
