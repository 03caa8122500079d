//! A version's slot: what a member needs to read the tables of a version.

use std::sync::atomic::Ordering;

use level_party_format::Sequence;

use super::{At, Control, VERSION_SLOTS, ViewWord};
use crate::base::sync::{AtomicU64, fence};

const SLOTS: usize = 2048;
const SLOT_LEN: usize = 64;

const NUMBER: usize = 0;
const MANIFEST: usize = 8;
const LENGTH: usize = 16;
const LOG_NUMBER: usize = 24;
const FLUSHED: usize = 32;
const LAST: usize = 40;
const LEVEL_ZERO: usize = 48;

/// What is published with a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct VersionRecord {
    pub(crate) counter: u32,
    /// The number of the manifest that names it, and the bytes of that which count.
    pub(crate) manifest: u64,
    pub(crate) length: u64,
    /// Logs below this number are in tables.
    pub(crate) log_number: u64,
    /// The counter of the last region in tables.
    pub(crate) flushed: u32,
    /// The last sequence in tables.
    pub(crate) last: Sequence,
    /// Tables in level 0.
    pub(crate) level_zero: u64,
}

impl Control {
    fn version_word(&self, counter: u32, field: usize) -> &AtomicU64 {
        let slot = (counter % VERSION_SLOTS) as usize;
        self.word(At(SLOTS + slot * SLOT_LEN + field))
    }

    /// What is read now: the view word, and what was published with its version. `None`: the slot of the version that the
    /// view names says that it holds another one, and still does when asked again. That is damage.
    pub(crate) fn current_version(&self) -> Option<(ViewWord, VersionRecord)> {
        let mut before = None;
        loop {
            let view = self.view();
            if let Some(record) = self.read_version(view.version) {
                return Some((view, record));
            }
            let now = self.view();
            if before == Some(view.version) && now.version == view.version {
                return None;
            }
            before = Some(view.version);
        }
    }

    /// The record of a version, if the slot holds it before and after.
    pub(super) fn read_version(&self, counter: u32) -> Option<VersionRecord> {
        let load = |field| self.version_word(counter, field).load(Ordering::Relaxed);
        let number = self.version_word(counter, NUMBER).load(Ordering::Acquire);
        let record = VersionRecord {
            counter,
            manifest: load(MANIFEST),
            length: load(LENGTH),
            log_number: load(LOG_NUMBER),
            flushed: load(FLUSHED) as u32,
            last: load(LAST),
            level_zero: load(LEVEL_ZERO),
        };
        fence(Ordering::Acquire);
        (number == number_of(counter) && load(NUMBER) == number).then_some(record)
    }

    /// Fills the slot of a version that no view names yet. Only the founder and the leader may.
    pub(super) fn store_version(&self, record: &VersionRecord) {
        let store = |field, value| {
            self.version_word(record.counter, field)
                .store(value, Ordering::Relaxed);
        };
        if !planted!(SlotNumberKept) {
            store(NUMBER, 0);
        }
        // A release store of 0 would let the stores below come before it.
        fence(Ordering::Release);
        store(MANIFEST, record.manifest);
        store(LENGTH, record.length);
        store(LOG_NUMBER, record.log_number);
        store(FLUSHED, u64::from(record.flushed));
        store(LAST, record.last);
        store(LEVEL_ZERO, record.level_zero);
        self.version_word(record.counter, NUMBER)
            .store(number_of(record.counter), Ordering::Release);
    }
}

/// What a filled slot begins with: never 0.
fn number_of(counter: u32) -> u64 {
    u64::from(counter) + (1 << 32)
}
