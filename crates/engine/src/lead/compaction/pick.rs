//! Which tables a compaction takes (LevelDB `db/version_set.cc`, `PickCompaction` and `SetupOtherInputs`).
//!
//! Promises: a table that was set aside is in no compaction that is picked, and keeps none that does without it from
//! being picked; the inputs of a level hold every version of every user key they span in that level that is older than
//! another of their entries; so nothing older stays above what is newer.
//! Must not know: what is dropped, or when it runs.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use level_party_format::edit::LEVELS;
use level_party_format::key;

use super::LEVEL_ZERO_TRIGGER;
use crate::base::options::Options;
use crate::lead::manifest::Manifest;
use crate::read::files::FileMeta;
use crate::read::version::Version;

/// Level 1 holds this many tables of the largest size: 10 MiB by default, as LevelDB's.
const LEVEL_ONE_FILES: u64 = 5;
/// Each deeper level holds this many times what the one above does.
const LEVEL_FACTOR: u64 = 10;
/// Tables of the level below the output that one output table may overlap, so that its own compaction stays small.
const GRANDPARENT_FILES: u64 = 10;
/// A compaction is made wider for free as long as its inputs stay below this many tables of the largest size.
const EXPANDED_FILES: u64 = 25;

/// A compaction to be done.
pub(super) struct Compaction {
    /// From this level into the next.
    pub(super) level: usize,
    /// The tables of the level and of the next.
    pub(super) inputs: [Vec<Arc<FileMeta>>; 2],
    /// The tables two levels deeper that overlap the inputs, in key order.
    pub(super) grandparents: Vec<Arc<FileMeta>>,
    /// Where the level's next compaction begins: the largest key of its inputs here.
    pub(super) pointer: Vec<u8>,
    pub(super) version: Arc<Version>,
    pub(super) max_file_size: u64,
}

impl Compaction {
    /// Whether the one table can be moved as it is: nothing lies in its way, and it would not make a later compaction
    /// large.
    pub(super) fn is_trivial_move(&self) -> bool {
        self.inputs[0].len() == 1
            && self.inputs[1].is_empty()
            && bytes(&self.grandparents) <= self.max_grandparent_bytes()
    }

    /// The most bytes of grandparents that one output overlaps.
    pub(super) fn max_grandparent_bytes(&self) -> u64 {
        self.max_file_size.saturating_mul(GRANDPARENT_FILES)
    }
}

/// Chooses the inputs of compactions in one version.
pub(super) struct Picker<'a> {
    version: &'a Arc<Version>,
    max_file_size: u64,
    /// Numbers of tables that no compaction may take.
    set_aside: Option<&'a BTreeSet<u64>>,
}

/// Whether any level is over its limit.
pub(crate) fn is_needed(version: &Arc<Version>, options: &Options) -> bool {
    !Picker::new(version, options).needed().is_empty()
}

impl<'a> Picker<'a> {
    pub(super) fn new(version: &'a Arc<Version>, options: &Options) -> Picker<'a> {
        Picker {
            version,
            max_file_size: options.max_file_size.max(1),
            set_aside: None,
        }
    }

    /// Without these tables.
    pub(super) fn without(self, set_aside: &'a BTreeSet<u64>) -> Picker<'a> {
        Picker {
            set_aside: Some(set_aside),
            ..self
        }
    }

    fn may_take(&self, files: &[Arc<FileMeta>]) -> bool {
        let is_aside =
            |file: &Arc<FileMeta>| self.set_aside.is_some_and(|s| s.contains(&file.number));
        !files.iter().any(is_aside)
    }

    /// The levels that are over their limits, the one that is furthest over it first.
    fn needed(&self) -> Vec<usize> {
        // The last level has no limit. Level 0 counts files: each costs every read, whatever its size.
        let files = self.version.level(0).len() as f64 / LEVEL_ZERO_TRIGGER as f64;
        let mut scores = vec![(0, files)];
        let mut limit = self.max_file_size.saturating_mul(LEVEL_ONE_FILES);
        for level in 1..LEVELS - 1 {
            let score = self.version.level_bytes(level) as f64 / limit as f64;
            scores.push((level, score));
            limit = limit.saturating_mul(LEVEL_FACTOR);
        }
        scores.retain(|(_, score)| *score >= 1.0);
        scores.sort_by(|a, b| b.1.total_cmp(&a.1));
        scores.into_iter().map(|(level, _)| level).collect()
    }

    /// The compaction that is needed most: the next table behind the last one compacted in that level, or the first. If no
    /// level is over its limit, that of the table that reads have made worth it.
    pub(super) fn pick(&self, manifest: &Manifest) -> Option<Compaction> {
        let levels = self.needed().into_iter();
        let mut found = levels.filter_map(|level| self.pick_in(level, manifest));
        found.next().or_else(|| self.pick_worn())
    }

    fn pick_worn(&self) -> Option<Compaction> {
        let (level, file) = self.version.worn()?;
        // A read that looks into a table of the last level looks into no other after it.
        if level + 1 == LEVELS {
            return None;
        }
        self.pick_file(*level, file)
    }

    fn pick_in(&self, level: usize, manifest: &Manifest) -> Option<Compaction> {
        let files = self.version.level(level);
        let pointer = manifest.compact_pointer(level);
        let comparator = self.version.comparator();
        let is_behind = |file: &&Arc<FileMeta>| {
            pointer.is_empty() || comparator.compare(&file.largest, pointer) == Ordering::Greater
        };
        let start = files.iter().position(|file| is_behind(&file)).unwrap_or(0);
        let (before, behind) = files.split_at(start.min(files.len()));
        for first in behind.iter().chain(before) {
            let compaction = self.pick_file(level, first);
            if compaction.is_some() {
                return compaction;
            }
        }
        None
    }

    /// The compaction of one table, with those it can't go without; `None` if one of them is set aside.
    fn pick_file(&self, level: usize, file: &Arc<FileMeta>) -> Option<Compaction> {
        let mut inputs = vec![Arc::clone(file)];
        if level == 0 {
            let (begin, end) = self.user_range([&inputs[..]])?;
            inputs = self.version.overlapping(0, Some(&begin), Some(&end));
        }
        let compaction = self.set_up(level, inputs)?;
        let may_take = compaction.inputs.iter().all(|files| self.may_take(files));
        may_take.then_some(compaction)
    }

    /// The compaction of the tables of a level with keys in `begin..=end`, of the first of them if they are many.
    pub(super) fn range(
        &self,
        level: usize,
        begin: Option<&[u8]>,
        end: Option<&[u8]>,
    ) -> Option<Compaction> {
        let mut inputs = self.version.overlapping(level, begin, end);
        if level > 0 {
            let mut total = 0;
            let enough = inputs.iter().position(|file| {
                total += file.size;
                total >= self.max_file_size
            });
            inputs.truncate(enough.map_or(inputs.len(), |at| at + 1));
        }
        self.set_up(level, inputs)
    }

    /// Adds the tables of the next level, and more of this one if that costs nothing there.
    fn set_up(&self, level: usize, mut upper: Vec<Arc<FileMeta>>) -> Option<Compaction> {
        self.add_boundary_inputs(level, &mut upper);
        let (begin, end) = self.user_range([&upper[..]])?;
        let mut lower = self
            .version
            .overlapping(level + 1, Some(&begin), Some(&end));
        self.add_boundary_inputs(level + 1, &mut lower);
        if !lower.is_empty() {
            self.widen(level, &mut upper, &mut lower)?;
        }
        let (begin, end) = self.user_range([&upper[..], &lower[..]])?;
        let comparator = self.version.comparator();
        let largest = upper.iter().map(|file| &file.largest);
        let pointer = largest.max_by(|a, b| comparator.compare(a, b))?.clone();
        Some(Compaction {
            level,
            grandparents: self
                .version
                .overlapping(level + 2, Some(&begin), Some(&end)),
            inputs: [upper, lower],
            pointer,
            version: Arc::clone(self.version),
            max_file_size: self.max_file_size,
        })
    }

    /// Takes more of the upper level, if that takes no more of the lower.
    fn widen(
        &self,
        level: usize,
        upper: &mut Vec<Arc<FileMeta>>,
        lower: &mut Vec<Arc<FileMeta>>,
    ) -> Option<()> {
        let (begin, end) = self.user_range([&upper[..], &lower[..]])?;
        let mut wider = self.version.overlapping(level, Some(&begin), Some(&end));
        self.add_boundary_inputs(level, &mut wider);
        let limit = self.max_file_size.saturating_mul(EXPANDED_FILES);
        if wider.len() <= upper.len() || bytes(lower) + bytes(&wider) >= limit {
            return Some(());
        }
        let (begin, end) = self.user_range([&wider[..]])?;
        let mut below = self
            .version
            .overlapping(level + 1, Some(&begin), Some(&end));
        self.add_boundary_inputs(level + 1, &mut below);
        if below.len() == lower.len() && self.may_take(&wider) && self.may_take(&below) {
            *upper = wider;
            *lower = below;
        }
        Some(())
    }

    /// The smallest and largest user key of these tables.
    fn user_range<const N: usize>(
        &self,
        files: [&[Arc<FileMeta>]; N],
    ) -> Option<(Vec<u8>, Vec<u8>)> {
        let user = &self.version.comparator().user;
        let files = || files.iter().flat_map(|files| files.iter());
        let first = files().map(|file| key::user_key(&file.smallest));
        let last = files().map(|file| key::user_key(&file.largest));
        let first = first.min_by(|a, b| user.compare(a, b))?;
        let last = last.max_by(|a, b| user.compare(a, b))?;
        Some((first.to_vec(), last.to_vec()))
    }

    /// Adds the tables that begin with the user key with which the inputs end: they hold older versions of it, which
    /// would otherwise stay above the newer ones. Our own compactions never split a key so; LevelDB's up to 1.20 did.
    fn add_boundary_inputs(&self, level: usize, inputs: &mut Vec<Arc<FileMeta>>) {
        let comparator = self.version.comparator();
        let largest = |files: &[Arc<FileMeta>]| {
            let largest = files.iter().map(|file| &file.largest);
            largest.max_by(|a, b| comparator.compare(a, b)).cloned()
        };
        let Some(mut end) = largest(inputs) else {
            return;
        };
        loop {
            let next = self.version.level(level).iter().filter(|file| {
                let (smallest, end) = (&file.smallest, &end);
                comparator.compare(smallest, end) == Ordering::Greater
                    && comparator
                        .user
                        .compare(key::user_key(smallest), key::user_key(end))
                        .is_eq()
            });
            let next = next.min_by(|a, b| comparator.compare(&a.smallest, &b.smallest));
            let Some(next) = next else { return };
            end = next.largest.clone();
            inputs.push(Arc::clone(next));
        }
    }
}

fn bytes(files: &[Arc<FileMeta>]) -> u64 {
    files.iter().map(|file| file.size).sum()
}
