//! What all sessions together may hold: a bound on what any number of peers can make the leader remember.
//!
//! Invariant: the grants that stand for an attached or parked session are counted here as long as they do. What this
//! process's own handles hold is not: no peer can use that up, and each session has a bound of its own
//! ([`MAX_GRANTS`](super::grants::MAX_GRANTS)).

use std::sync::atomic::{AtomicU64, Ordering};

/// Grants that all sessions together may hold. Each takes some 200 bytes.
const MAX_TOGETHER: u64 = 1 << 19;

pub(super) struct Allowance {
    most: u64,
    held: AtomicU64,
}

impl Default for Allowance {
    fn default() -> Self {
        Allowance::new(MAX_TOGETHER)
    }
}

impl Allowance {
    pub fn new(most: u64) -> Self {
        Allowance {
            most,
            held: AtomicU64::new(0),
        }
    }

    pub fn most(&self) -> u64 {
        self.most
    }

    /// Of them, those of sessions that are not attached: they may not use up what those who are there need.
    pub fn most_parked(&self) -> u64 {
        self.most / 2
    }

    /// One grant more. False: there are too many.
    pub fn take(&self) -> bool {
        let one_more = |held: u64| (held < self.most).then_some(held + 1);
        self.held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .is_ok()
    }

    pub fn give_back(&self, count: u64) {
        self.held.fetch_sub(count, Ordering::Relaxed);
    }
}
