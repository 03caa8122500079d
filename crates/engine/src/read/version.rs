//! [`Version`]: the table files of each level at one moment, immutable.
//!
//! Promises: of two entries for one user key the newer is found first, because level 0 is asked newest file first and
//! every level holds only older writes than the level above it; inside a deeper level the file is chosen by internal
//! key, so that versions of one user key may be split across its files (LevelDB before 1.21 did so).
//! Must not know: how versions follow each other, or when files are removed. Whoever wants to know whether it is still
//! read keeps a `Weak`, and may give it something to be dropped along with it.

use std::any::Any;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use level_party_format::edit::LEVELS;
use level_party_format::key::{self, InternalComparator};
use level_party_format::{Comparator, Corruption, MAX_SEQUENCE, Sequence};

use crate::base::bell::Bell;
use crate::base::entry::Lookup;
use crate::base::error::Result;
use crate::base::seek_key::SeekKey;
use crate::read::files::{FileMeta, Tables};
use crate::read::iter::{InternalIter, LevelIter};
use crate::read::level_files::{Levels, first_file_reaching};
use crate::read::seek_compaction::{TellWorn, Worn};

/// The table files of each level at one moment.
pub struct Version {
    /// The files of each level: level 0 newest first, the others by key.
    pub levels: [Vec<Arc<FileMeta>>; LEVELS],
    tables: Arc<Tables>,
    worn: Worn,
    /// Its drop tells the version's maker that the last reader is gone. The last field: it is dropped last.
    _guard: Option<Box<dyn Any + Send + Sync>>,
}

impl Version {
    /// A version of these files, which are put in order here: level 0 newest (highest number) first, the others by
    /// their smallest key.
    pub fn new(mut levels: [Vec<Arc<FileMeta>>; LEVELS], tables: Arc<Tables>) -> Version {
        let comparator = tables.comparator();
        levels[0].sort_by_key(|file| std::cmp::Reverse(file.number));
        for files in &mut levels[1..] {
            files.sort_by(|a, b| {
                let keys = comparator.compare(&a.smallest, &b.smallest);
                keys.then(a.number.cmp(&b.number))
            });
        }
        Version {
            levels,
            tables,
            worn: Worn::default(),
            _guard: None,
        }
    }

    /// This version with a bell that rings when its last reader drops it, and when reads make a compaction worth while.
    pub(crate) fn ringing(self, bell: &Arc<Bell>) -> Version {
        let worn = Arc::clone(bell);
        Version {
            worn: Worn::telling(Arc::new(move |_| worn.ring())),
            _guard: Some(bell.ring_on_drop()),
            ..self
        }
    }

    /// This version, telling when reads make a compaction of one of its tables worth while.
    pub(crate) fn telling(self, tell: TellWorn) -> Version {
        Version {
            worn: Worn::telling(tell),
            ..self
        }
    }

    /// Another member's reads have made the table of this number worth compacting.
    pub(crate) fn wear_out(&self, number: u64) {
        let found = self.files().find(|(_, file)| file.number == number);
        if let Some((level, file)) = found {
            self.worn.used_up(level, file);
        }
    }

    /// The table that reads have made worth compacting, with its level.
    pub(crate) fn worn(&self) -> Option<&(usize, Arc<FileMeta>)> {
        self.worn.get()
    }

    /// A version with no files.
    pub fn empty(tables: Arc<Tables>) -> Version {
        Version::new(Default::default(), tables)
    }

    /// The files of a level, in order. A level beyond the last has none.
    pub fn level(&self, level: usize) -> &[Arc<FileMeta>] {
        self.levels.get(level).map_or(&[], Vec::as_slice)
    }

    /// All files, each with its level.
    pub fn files(&self) -> impl Iterator<Item = (usize, &Arc<FileMeta>)> {
        let levels = self.levels.iter().enumerate();
        levels.flat_map(|(level, files)| files.iter().map(move |file| (level, file)))
    }

    /// The sum of the sizes of a level's files in bytes.
    pub fn level_bytes(&self, level: usize) -> u64 {
        let sizes = self.level(level).iter().map(|file| file.size);
        // A manifest may claim any size.
        sizes.fold(0, u64::saturating_add)
    }

    /// What the tables are opened with.
    pub fn tables(&self) -> &Arc<Tables> {
        &self.tables
    }

    /// The order of the keys.
    pub fn comparator(&self) -> &InternalComparator {
        self.tables.comparator()
    }

    /// Checks what every read relies on: each file's smallest key is not above its largest, and the files of a level
    /// below 0 don't overlap.
    ///
    /// # Errors
    /// A sentence naming the level and the files that break it.
    pub fn check_order(&self) -> Result<(), Corruption> {
        let comparator = self.comparator();
        for (level, file) in self.files() {
            if comparator.compare(&file.smallest, &file.largest) == Ordering::Greater {
                let number = file.number;
                return Err(Corruption::new(format!(
                    "the first key of table {number} on level {level} is after its last"
                )));
            }
        }
        for (level, files) in self.levels.iter().enumerate().skip(1) {
            for pair in files.windows(2) {
                if comparator.compare(&pair[0].largest, &pair[1].smallest) != Ordering::Less {
                    let (a, b) = (pair[0].number, pair[1].number);
                    return Err(Corruption::new(format!(
                        "tables {a} and {b} overlap on level {level}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// The newest write to a user key at or before `sequence`.
    ///
    /// # Errors
    /// What keeps a table or block from being read that may hold the key.
    pub fn get(&self, user_key: &[u8], sequence: Sequence) -> Result<Lookup> {
        self.find(user_key, sequence, <[u8]>::to_vec)
    }

    /// As [`Version::get`] with what `take` makes of the value, which it is lent, once nothing can fail any more.
    pub(crate) fn find<V>(
        &self,
        user_key: &[u8],
        sequence: Sequence,
        mut take: impl FnMut(&[u8]) -> V,
    ) -> Result<Lookup<V>> {
        let seek_key = SeekKey::new(user_key, sequence);
        let mut first = None;
        let mut beyond = false;
        let found = self.each_spanning(&seek_key, |level, file| {
            match first {
                None => first = Some((level, file)),
                Some((level, file)) if !std::mem::replace(&mut beyond, true) => {
                    self.worn.charge(level, file);
                }
                Some(_) => {}
            }
            match file.table(&self.tables)?.get(&seek_key, &mut take)? {
                Lookup::Absent => Ok(None),
                known => Ok(Some(known)),
            }
        })?;
        Ok(found.unwrap_or(Lookup::Absent))
    }

    /// Counts the seek that a read of this internal key costs, if more than one table may have to be looked into: a
    /// sample of what an iterator passes.
    pub(crate) fn sample(&self, internal_key: &[u8]) {
        let Ok(at) = key::parse(internal_key) else {
            return;
        };
        let mut first = None;
        let sampled =
            self.each_spanning(
                &SeekKey::new(at.user_key, at.sequence),
                |level, file| match first {
                    None => {
                        first = Some((level, file));
                        Ok(None)
                    }
                    Some((level, file)) => {
                        self.worn.charge(level, file);
                        Ok(Some(()))
                    }
                },
            );
        debug_assert!(sampled.is_ok(), "nothing was read");
    }

    /// Gives the files that may hold a key, with their levels, newest data first, until `look` has an answer (LevelDB's
    /// `ForEachOverlapping`).
    #[inline]
    fn each_spanning<'a, T>(
        &'a self,
        seek_key: &SeekKey,
        mut look: impl FnMut(usize, &'a Arc<FileMeta>) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let user = &self.comparator().user;
        let user_key = seek_key.user_key();
        for file in &self.levels[0] {
            if spans(user, file, user_key)
                && let Some(answer) = look(0, file)?
            {
                return Ok(Some(answer));
            }
        }
        for (level, files) in self.levels.iter().enumerate().skip(1) {
            let at = first_file_reaching(self.comparator(), files, seek_key.as_bytes());
            let Some(file) = files.get(at) else { continue };
            if user.compare(key::user_key(&file.smallest), user_key) != Ordering::Greater
                && let Some(answer) = look(level, file)?
            {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    /// About how many bytes of tables lie before a user key (LevelDB's `ApproximateOffsetOf`).
    pub(crate) fn approximate_offset(&self, user_key: &[u8]) -> Result<u64> {
        let target = SeekKey::new(user_key, MAX_SEQUENCE);
        let comparator = self.comparator();
        let mut offset = 0;
        for (_, file) in self.files() {
            if comparator.compare(&file.largest, target.as_bytes()).is_le() {
                offset += file.size;
            } else if comparator
                .compare(&file.smallest, target.as_bytes())
                .is_lt()
            {
                offset += file.table(&self.tables)?.approximate_offset(&target);
            }
        }
        Ok(offset)
    }

    /// The files of a level with keys in `begin..=end` (user keys; `None` is unbounded). On level 0, whose files
    /// overlap, the range grows by each file found until no more overlaps it (LevelDB's `GetOverlappingInputs`).
    pub fn overlapping(
        &self,
        level: usize,
        begin: Option<&[u8]>,
        end: Option<&[u8]>,
    ) -> Vec<Arc<FileMeta>> {
        let user = &self.comparator().user;
        let (mut begin, mut end) = (begin, end);
        'widened: loop {
            let mut found = Vec::new();
            for file in self.level(level) {
                if !overlaps(user, file, begin, end) {
                    continue;
                }
                if level == 0 {
                    let (first, last) = user_range(file);
                    let before = begin.filter(|begin| user.compare(first, begin).is_lt());
                    let after = end.filter(|end| user.compare(last, end).is_gt());
                    if before.is_some() || after.is_some() {
                        begin = before.map_or(begin, |_| Some(first));
                        end = after.map_or(end, |_| Some(last));
                        continue 'widened;
                    }
                }
                found.push(Arc::clone(file));
            }
            return found;
        }
    }

    /// Whether any file of a level has keys in `begin..=end` (user keys; `None` is unbounded).
    pub fn overlaps(&self, level: usize, begin: Option<&[u8]>, end: Option<&[u8]>) -> bool {
        let user = &self.comparator().user;
        let mut files = self.level(level).iter();
        files.any(|file| overlaps(user, file, begin, end))
    }

    /// Adds iterators over all files, newest data first: one for each file of level 0, one for each deeper level.
    /// Nothing is opened before it is needed.
    pub(crate) fn add_iters(self: &Arc<Self>, iters: &mut Vec<InternalIter>) {
        let level_zero = (0..self.levels[0].len()).map(|at| (0, at..at + 1));
        let deeper = (1..LEVELS).map(|level| (level, 0..self.levels[level].len()));
        for (level, range) in level_zero.chain(deeper) {
            if !range.is_empty() {
                let iter = LevelIter::of_level(Arc::clone(self) as Arc<dyn Levels>, level, range);
                iters.push(InternalIter::Level(iter));
            }
        }
    }
}

impl Levels for Version {
    fn files_of(&self, level: usize) -> &[Arc<FileMeta>] {
        self.level(level)
    }

    fn tables(&self) -> &Tables {
        &self.tables
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.levels).finish()
    }
}

/// The first and last user key of a file.
fn user_range(file: &FileMeta) -> (&[u8], &[u8]) {
    (key::user_key(&file.smallest), key::user_key(&file.largest))
}

fn spans(user: &Comparator, file: &FileMeta, user_key: &[u8]) -> bool {
    overlaps(user, file, Some(user_key), Some(user_key))
}

fn overlaps(user: &Comparator, file: &FileMeta, begin: Option<&[u8]>, end: Option<&[u8]>) -> bool {
    let (first, last) = user_range(file);
    begin.is_none_or(|begin| user.compare(last, begin).is_ge())
        && end.is_none_or(|end| user.compare(first, end).is_le())
}

#[cfg(test)]
mod tests;
