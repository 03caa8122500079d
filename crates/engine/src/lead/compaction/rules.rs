//! What a compaction drops, and where it ends a table (LevelDB `db/db_impl.cc`, `DoCompactionWork`).
//!
//! Promises: an entry is dropped only if a newer one of its user key is at or below the horizon, so that every moment
//! from the horizon on sees the newer one; a deletion at or below the horizon also if no deeper level can hold the key.
//! Must not know: where entries come from or go.

use std::cmp::Ordering;

use level_party_format::Sequence;
use level_party_format::edit::LEVELS;
use level_party_format::key::{self, ParsedKey, ValueType};

use super::pick::Compaction;

/// What becomes of an entry.
pub(super) struct Judged {
    /// It is the newest entry of its user key here.
    pub(super) first_of_key: bool,
    pub(super) keep: bool,
}

/// Decides entry by entry, in order.
pub(super) struct DropRules<'a> {
    compaction: &'a Compaction,
    horizon: Sequence,
    user_key: Vec<u8>,
    /// The sequence of the entry before, if it had the same user key.
    newer: Option<Sequence>,
    started: bool,
    /// For each level, how many of its files are before the key.
    passed: [usize; LEVELS],
}

impl<'a> DropRules<'a> {
    pub(super) fn new(compaction: &'a Compaction, horizon: Sequence) -> DropRules<'a> {
        DropRules {
            compaction,
            horizon,
            user_key: Vec::new(),
            newer: None,
            started: false,
            passed: [0; LEVELS],
        }
    }

    pub(super) fn judge(&mut self, entry: &ParsedKey<'_>) -> Judged {
        let user = &self.compaction.version.comparator().user;
        let first_of_key =
            !self.started || user.compare(entry.user_key, &self.user_key) != Ordering::Equal;
        if first_of_key {
            self.started = true;
            self.user_key.clear();
            self.user_key.extend_from_slice(entry.user_key);
            self.newer = None;
        }
        // The same entry twice comes from a log that was replayed into a second table.
        let shadowed = self
            .newer
            .is_some_and(|newer| newer <= self.horizon || newer == entry.sequence);
        self.newer = Some(entry.sequence);
        let keep = if shadowed {
            false
        } else if entry.kind == ValueType::Deletion && entry.sequence <= self.horizon {
            self.may_be_deeper(entry.user_key)
        } else {
            true
        };
        Judged { first_of_key, keep }
    }

    /// Whether a level below the output has a file that spans the key. Keys come in ascending order.
    fn may_be_deeper(&mut self, user_key: &[u8]) -> bool {
        let version = &self.compaction.version;
        let user = &version.comparator().user;
        for level in self.compaction.level + 2..LEVELS {
            let files = version.level(level);
            let passed = &mut self.passed[level];
            while let Some(file) = files.get(*passed) {
                if user.compare(user_key, key::user_key(&file.largest)).is_le() {
                    if user
                        .compare(user_key, key::user_key(&file.smallest))
                        .is_ge()
                    {
                        return true;
                    }
                    break;
                }
                *passed += 1;
            }
        }
        false
    }
}

/// Decides where an output ends before it is full: where it would overlap too much two levels deeper.
pub(super) struct StopRules<'a> {
    compaction: &'a Compaction,
    passed: usize,
    overlapped: u64,
    started: bool,
}

impl<'a> StopRules<'a> {
    pub(super) fn new(compaction: &'a Compaction) -> StopRules<'a> {
        StopRules {
            compaction,
            passed: 0,
            overlapped: 0,
            started: false,
        }
    }

    /// Whether the output ends before this key. Keys come in ascending order.
    pub(super) fn stop_before(&mut self, internal_key: &[u8]) -> bool {
        let comparator = self.compaction.version.comparator();
        let files = &self.compaction.grandparents;
        while let Some(file) = files.get(self.passed) {
            if comparator.compare(internal_key, &file.largest).is_le() {
                break;
            }
            if self.started {
                self.overlapped += file.size;
            }
            self.passed += 1;
        }
        self.started = true;
        let stop = self.overlapped > self.compaction.max_grandparent_bytes();
        if stop {
            self.overlapped = 0;
        }
        stop
    }
}
