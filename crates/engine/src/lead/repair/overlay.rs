//! [`Levels`]: what the levels of a manifest know of a key, for entries that are to be laid over them.
//!
//! A read of LevelDB believes level 0, and there the table with the highest number, before it asks deeper levels. So an
//! entry that is put there from elsewhere hides what the levels have of its key, and may be put there only if it is newer.
//!
//! Promises: the newest entry of a key is found wherever it is, also where the levels are not in the order of sequences.
//! Must not know: where the entries come from.

use std::sync::Arc;

use level_party_format::Sequence;
use level_party_format::edit::LEVELS;
use level_party_format::{MAX_SEQUENCE, key};

use crate::base::error::Result;
use crate::base::seek_key::SeekKey;
use crate::follow::manifest_contents::Contents;
use crate::read::files::{FileMeta, Tables};
use crate::read::level_files::first_file_reaching;
use crate::read::version::Version;

/// The tables of a manifest.
pub(super) struct Levels {
    version: Version,
}

impl Levels {
    pub(super) fn of(contents: &Contents, tables: &Arc<Tables>) -> Levels {
        let mut levels: [Vec<Arc<FileMeta>>; LEVELS] = Default::default();
        for ((level, _), file) in &contents.files {
            levels[*level].push(Arc::new(FileMeta::from(file.clone())));
        }
        Levels {
            version: Version::new(levels, Arc::clone(tables)),
        }
    }

    /// The sequence of the newest entry of a user key, a deletion too.
    pub(super) fn newest(&self, user_key: &[u8]) -> Result<Option<Sequence>> {
        let tables = self.version.tables();
        let order = tables.comparator();
        let seek_key = SeekKey::new(user_key, MAX_SEQUENCE);
        let reaches = |file: &FileMeta| {
            let first = order.user.compare(key::user_key(&file.smallest), user_key);
            let last = order.user.compare(key::user_key(&file.largest), user_key);
            first.is_le() && last.is_ge()
        };
        let mut newest = None;
        for level in 0..LEVELS {
            let files = self.version.level(level);
            let files = match level {
                0 => files,
                _ => {
                    let at = first_file_reaching(order, files, seek_key.as_bytes());
                    &files[at..files.len().min(at + 1)]
                }
            };
            for file in files.iter().filter(|file| reaches(file)) {
                let found = file.table(tables)?.get(&seek_key, |_| ())?;
                newest = newest.max(found.sequence());
            }
        }
        Ok(newest)
    }
}
