//! [`Control`]: the words by which the members of a segment agree, by name (docs/SEGMENT.md).
//!
//! Promises: every word is stored by the party that the page names, and no other: a store by the holder of the commit lock
//! is a method of [`Held`], one by the leader a method of [`Leading`]. Counters of regions and versions wrap. No word is
//! trusted: what can't be is told, and nothing outside the control page is touched.
//! Must not know: where the memory lives, files, or what a commit is.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use level_party_format::Sequence;
use level_party_memtable::{Region, Words};

use crate::base::next_file::NextFile;
use crate::base::peers::Incarnation;
use crate::base::sync::{AtomicU64, fence};

mod bells;
mod held;
mod leading;
mod members;
mod region;
mod syncs;
mod version;

#[cfg(all(test, loom))]
pub(crate) mod models;
#[cfg(all(test, not(loom)))]
mod tests;

pub(crate) use bells::BellKind;
pub(crate) use held::Held;
pub(crate) use leading::{LeaderStep, Leading};
pub(crate) use members::Floor;
#[cfg(all(test, not(loom)))]
pub(crate) use members::MEMBER_SLOTS;
pub use members::MemberInfo;
pub(crate) use region::RegionWords;
pub(crate) use syncs::Syncer;
pub(crate) use version::VersionRecord;

/// Bytes of the control page.
pub(crate) const CONTROL_LEN: usize = if cfg!(loom) {
    members::SLOTS_END
} else {
    128 << 10
};
/// Regions: one active, [`MAX_FROZEN`](crate::base::limits::MAX_FROZEN) that wait for their flush, one for a takeover.
pub(crate) const REGIONS: u32 = 4;
/// Looks at a region that its slot does not hold before that is damage: processors may see a store before an earlier one.
const DAMAGED_LOOKS: u32 = 10_000;
/// Versions that a late reader may still look up.
pub(crate) const VERSION_SLOTS: u32 = 8;

const MAGIC: u64 = u64::from_le_bytes(*b"LPsegmnt");
const LAYOUT: u64 = 1;

/// A word, by its offset in bytes.
#[derive(Clone, Copy)]
struct At(usize);

const MAGIC_AT: At = At(0);
const LAYOUT_AT: At = At(8);
const FOUNDING: At = At(40);
const COMPARATOR: At = At(112);
const WRITE_BUFFER: At = At(120);
const VIEW: At = At(128);
const CONDEMNED: At = At(136);
const LEVEL_ZERO: At = At(152);
const LOCK: At = At(192);
const NEXT_FILE: At = At(256);
const NEXT_INCARNATION: At = At(264);
const DIR_SYNCED: At = At(280);
const CALLS: At = At(288);
const KEPT_LOGS: At = At(296);

/// The highest bit of a word that has a flag there.
const FLAG: u64 = 1 << 63;
/// In the commit lock: somebody sleeps until something is committed.
const WATCHED: u64 = 1 << 62;
/// In the commit lock: its holder.
const HOLDER: u64 = WATCHED - 1;

/// What `view` says: the counters of the version that is read and of the region that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ViewWord {
    pub(crate) version: u32,
    pub(crate) active: u32,
}

impl ViewWord {
    fn pack(self) -> u64 {
        u64::from(self.version) << 32 | u64::from(self.active)
    }

    fn unpack(word: u64) -> ViewWord {
        ViewWord {
            version: (word >> 32) as u32,
            active: word as u32,
        }
    }
}

/// Why nobody is to use a segment any more: its members let go of it and open the directory anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CondemnReason {
    /// Somebody else answers for the directory.
    Superseded = 1,
    /// What the shared memory says can't be.
    Damaged = 2,
    /// A member asked for it.
    Asked = 3,
}

impl CondemnReason {
    fn of(word: u64) -> Option<CondemnReason> {
        match word {
            0 => None,
            1 => Some(CondemnReason::Superseded),
            2 => Some(CondemnReason::Damaged),
            _ => Some(CondemnReason::Asked),
        }
    }
}

/// The number of a member of a founding.
pub(crate) fn incarnation(founding: u32, number: u32) -> Incarnation {
    u64::from(founding) << 32 | u64::from(number)
}

/// What tells the order of keys in a control page: FNV-1a of the comparator's name.
pub(crate) fn comparator_hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// What a founding begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Founded {
    /// The founding's number, which members' incarnations begin with. The founder is the first of them.
    pub(crate) founding: u32,
    /// Tells the order of keys, as [`comparator_hash`] does, and the bytes at which a region is full.
    pub(crate) comparator: u64,
    pub(crate) write_buffer: u64,
    /// The first region's counter, the log that has its entries, the bytes that are in it, and the last sequence before it.
    pub(crate) region: u32,
    pub(crate) log: u64,
    pub(crate) log_end: u64,
    pub(crate) before: Sequence,
    /// Moments below it can't be pinned.
    pub(crate) horizon: Sequence,
    /// Logs below this number are not read by who watches.
    pub(crate) kept_logs: u64,
    /// The first version. Its `flushed` is the counter before `region`.
    pub(crate) version: VersionRecord,
}

/// The control page of a segment. Clones are the same page.
#[derive(Clone)]
pub(crate) struct Control {
    words: Words,
}

impl Control {
    /// The page in a region of at least [`CONTROL_LEN`] bytes; `None` if it is shorter, or not aligned.
    pub(crate) fn over(region: Arc<dyn Region>) -> Option<Control> {
        let long_enough = region.len() >= CONTROL_LEN;
        let words = Words::of(region).filter(|_| long_enough)?;
        Some(Control { words })
    }

    #[inline]
    fn word(&self, at: At) -> &AtomicU64 {
        &self.words.all()[at.0 / 8]
    }

    /// Fills an empty page, before anybody else has it.
    pub(crate) fn found(&self, founded: &Founded) {
        self.word(LAYOUT_AT).store(LAYOUT, Ordering::Relaxed);
        let identity = [
            (FOUNDING, founded.founding.into()),
            (COMPARATOR, founded.comparator),
            (WRITE_BUFFER, founded.write_buffer),
            // The founder has the first.
            (NEXT_INCARNATION, 1),
        ];
        for (at, word) in identity {
            self.word(at).store(word, Ordering::Relaxed);
        }
        self.store_horizon(founded.horizon);
        self.word(KEPT_LOGS)
            .store(founded.kept_logs, Ordering::Relaxed);
        let region = self.region(founded.region);
        region.set_up(founded.log, founded.before);
        region.store_end(founded.log_end);
        self.store_version(&founded.version);
        self.word(LEVEL_ZERO)
            .store(founded.version.level_zero, Ordering::Relaxed);
        let view = ViewWord {
            version: founded.version.counter,
            active: founded.region,
        };
        self.word(VIEW).store(view.pack(), Ordering::Release);
        self.word(MAGIC_AT).store(MAGIC, Ordering::Release);
    }

    /// Whether the page was filled, by a program with this layout.
    pub(crate) fn is_founded(&self) -> bool {
        self.word(MAGIC_AT).load(Ordering::Acquire) == MAGIC
            && self.word(LAYOUT_AT).load(Ordering::Relaxed) == LAYOUT
    }

    /// Nobody is to use the segment any more. Never taken back; the first reason is kept.
    pub(crate) fn condemn(&self, reason: CondemnReason) {
        let word = self.word(CONDEMNED);
        // Somebody else's reason is as good.
        let _ = word.compare_exchange(0, reason as u64, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Why, if somebody said so.
    pub(crate) fn condemned(&self) -> Option<CondemnReason> {
        CondemnReason::of(self.word(CONDEMNED).load(Ordering::Acquire))
    }

    /// Whether somebody said so.
    #[inline]
    pub(crate) fn is_condemned(&self) -> bool {
        self.word(CONDEMNED).load(Ordering::Acquire) != 0
    }

    /// A number for a new member; `None` if all are used up.
    pub(crate) fn next_incarnation(&self) -> Option<Incarnation> {
        let given = self.word(NEXT_INCARNATION).fetch_add(1, Ordering::Relaxed);
        let number = u32::try_from(given.checked_add(1)?).ok()?;
        Some(incarnation(self.founding(), number))
    }

    /// Whether this number was given out here.
    pub(crate) fn has_given(&self, member: Incarnation) -> bool {
        let (founding, number) = (member >> 32, member & u64::from(u32::MAX));
        let given = self.word(NEXT_INCARNATION).load(Ordering::Relaxed);
        founding == u64::from(self.founding()) && (1..=given).contains(&number)
    }

    fn founding(&self) -> u32 {
        self.word(FOUNDING).load(Ordering::Relaxed) as u32
    }

    /// Tells the order of keys.
    pub(crate) fn comparator(&self) -> u64 {
        self.word(COMPARATOR).load(Ordering::Relaxed)
    }

    /// Bytes at which a region is full.
    pub(crate) fn write_buffer(&self) -> u64 {
        self.word(WRITE_BUFFER).load(Ordering::Relaxed)
    }

    /// Somebody needs the leader: what failed is to be tried again. The caller rings `work` afterwards.
    pub(crate) fn call(&self) {
        self.word(CALLS).fetch_add(1, Ordering::Relaxed);
    }

    /// How often the leader was called.
    #[inline]
    pub(crate) fn calls(&self) -> u64 {
        self.word(CALLS).load(Ordering::Relaxed)
    }

    /// The version that is read and the region that is written now.
    #[inline]
    pub(crate) fn view(&self) -> ViewWord {
        ViewWord::unpack(self.word(VIEW).load(Ordering::Acquire))
    }

    /// Changes one half of the view word. Another party may change the other half meanwhile.
    fn change_view(&self, change: impl Fn(&mut ViewWord)) {
        let word = self.word(VIEW);
        let mut seen = word.load(Ordering::Relaxed);
        loop {
            let mut view = ViewWord::unpack(seen);
            change(&mut view);
            if planted!(ViewOverwritten) {
                word.store(view.pack(), Ordering::Release);
                return;
            }
            let changed =
                word.compare_exchange(seen, view.pack(), Ordering::AcqRel, Ordering::Relaxed);
            match changed {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// The last sequence of all commits: everything up to it is seen by every read that begins now.
    #[inline]
    pub(crate) fn last_sequence(&self) -> Sequence {
        loop {
            let view = self.view();
            // `None`: the region was used again between the two loads, which takes four switches.
            if let Some(last) = self.published_in(view.active) {
                return last;
            }
            if self.is_damaged(view, 1) {
                // Nothing that is read from here on is answered.
                return self.region(view.active).published();
            }
        }
    }

    /// Whether a view stays that names `count` regions, up to the active one, of which one is not in its slot: then the memory is
    /// damaged, and is condemned.
    #[cold]
    pub(crate) fn is_damaged(&self, view: ViewWord, count: u32) -> bool {
        // In a model no other thread goes on while this one looks.
        if cfg!(loom) {
            return false;
        }
        for _ in 0..DAMAGED_LOOKS {
            if self.view() != view || self.are_current(view.active, count) {
                return false;
            }
            std::hint::spin_loop();
        }
        self.condemn(CondemnReason::Damaged);
        true
    }

    /// The last sequence published in a region; `None` if its slot is another region's by now.
    #[inline]
    pub(crate) fn published_in(&self, counter: u32) -> Option<Sequence> {
        let published = self.region(counter).published();
        self.are_current(counter, 1).then_some(published)
    }

    /// Whether the slots of `count` regions, up to the one with the counter `newest`, still hold them: then all that was read of
    /// their headers and their memory before was theirs.
    #[inline]
    pub(crate) fn are_current(&self, newest: u32, count: u32) -> bool {
        if !planted!(CheckWithoutFence) {
            // Without this, the bytes read may be later than the generation that is loaded.
            fence(Ordering::Acquire);
        }
        (0..count).all(|back| self.region(newest.wrapping_sub(back)).is_current())
    }

    /// The region whose log has this number, if it is not in tables, or only just.
    pub(crate) fn region_of_log(&self, log: u64) -> Option<RegionWords<'_>> {
        let active = self.view().active;
        let regions = (0..REGIONS).map(|back| self.region(active.wrapping_sub(back)));
        regions
            .into_iter()
            .find(|region| region.log() == log && region.is_current())
    }

    /// Tables in level 0.
    pub(crate) fn level_zero(&self) -> usize {
        self.word(LEVEL_ZERO).load(Ordering::Relaxed) as usize
    }

    /// The numbers of files; also before the page is founded.
    pub(crate) fn next_file(&self) -> NextFile {
        NextFile::new(self.words.clone(), NEXT_FILE.0 / 8)
    }

    /// The names of logs up to this number are durable.
    pub(crate) fn dir_synced(&self) -> u64 {
        self.word(DIR_SYNCED).load(Ordering::Acquire)
    }

    /// The directory was synced after the log of this number was made.
    pub(crate) fn set_dir_synced(&self, log: u64) {
        self.word(DIR_SYNCED).fetch_max(log, Ordering::Release);
    }

    /// Logs below this number are not kept: they are being removed, or another program may have written them.
    pub(crate) fn kept_logs(&self) -> u64 {
        self.word(KEPT_LOGS).load(Ordering::Acquire)
    }

    /// The member that holds the commit lock; 0: nobody.
    pub(crate) fn holder(&self) -> Incarnation {
        self.word(LOCK).load(Ordering::Relaxed) & HOLDER
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let view = self.view();
        f.debug_struct("Control")
            .field("view", &view)
            .field("holder", &self.holder())
            .finish_non_exhaustive()
    }
}
