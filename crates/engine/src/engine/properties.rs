//! Figures about the database: approximate sizes, and LevelDB's properties in LevelDB's own text form.

use std::fmt::Write as _;
use std::ops::Bound;

use level_party_format::edit::LEVELS;
use level_party_format::key;

use super::Engine;
use crate::base::error::Result;
use crate::base::key_range::KeyRange;
use crate::base::stats::Stats;
use crate::read::version::Version;

const MEBIBYTE: f64 = 1_048_576.0;

impl Engine {
    /// About how many bytes of tables the keys of a range take (LevelDB's `GetApproximateSizes`): compressed, without
    /// what is still in memtables.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed); what keeps a table at an end of the range from being opened.
    pub fn approximate_size(&self, range: &KeyRange) -> Result<u64> {
        self.shared.health.check_open()?;
        let version = &self.view()?.version;
        let (begin, end) = (&range.start, &range.end);
        let from = match begin {
            Bound::Unbounded => 0,
            Bound::Included(key) | Bound::Excluded(key) => version.approximate_offset(key)?,
        };
        let to = match end {
            Bound::Unbounded => version.files().map(|(_, file)| file.size).sum(),
            Bound::Included(key) | Bound::Excluded(key) => version.approximate_offset(key)?,
        };
        Ok(to.saturating_sub(from))
    }

    /// A property by LevelDB's name for it, in LevelDB's text form; `None` for a name it does not have.
    ///
    /// `leveldb.num-files-at-level<N>`, `leveldb.stats`, `leveldb.sstables`, `leveldb.approximate-memory-usage`.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use level_party_engine::{Engine, MemFs, Options};
    /// let engine = Engine::open(Arc::new(MemFs::new()), Options::default())?;
    /// assert_eq!(engine.property("leveldb.num-files-at-level0").as_deref(), Some("0"));
    /// assert_eq!(engine.property("leveldb.num-files-at-level9"), None);
    /// # Ok::<(), level_party_engine::Error>(())
    /// ```
    pub fn property(&self, name: &str) -> Option<String> {
        let name = name.strip_prefix("leveldb.")?;
        if let Some(level) = name.strip_prefix("num-files-at-level") {
            let digits = !level.is_empty() && level.bytes().all(|byte| byte.is_ascii_digit());
            let level: usize = level
                .parse()
                .ok()
                .filter(|level| digits && *level < LEVELS)?;
            return Some(self.view().ok()?.version.level(level).len().to_string());
        }
        match name {
            "stats" => Some(stats_text(&self.stats())),
            "sstables" => Some(tables_text(&self.view().ok()?.version)),
            "approximate-memory-usage" => {
                let stats = self.stats();
                Some((stats.memtable_bytes + stats.block_cache_bytes).to_string())
            }
            _ => None,
        }
    }
}

/// As `DBImpl::GetProperty` (LevelDB `db/db_impl.cc`) prints it.
fn stats_text(stats: &Stats) -> String {
    let mut text = String::from(concat!(
        "                               Compactions\n",
        "Level  Files Size(MB) Time(sec) Read(MB) Write(MB)\n",
        "--------------------------------------------------\n",
    ));
    for (level, work) in stats.work_per_level.iter().enumerate() {
        let files = stats.files_per_level[level];
        if files == 0 && work.compactions == 0 {
            continue;
        }
        let megabytes = |bytes: u64| bytes as f64 / MEBIBYTE;
        let size = megabytes(stats.bytes_per_level[level]);
        let (read, written) = (megabytes(work.bytes_read), megabytes(work.bytes_written));
        let time = work.time.as_secs_f64();
        let line = writeln!(
            text,
            "{level:3} {files:8} {size:8.0} {time:9.0} {read:8.0} {written:9.0}"
        );
        line.expect("a string takes every line");
    }
    text
}

/// As `Version::DebugString` (LevelDB `db/version_set.cc`) prints it.
fn tables_text(version: &Version) -> String {
    let mut text = String::new();
    for (level, files) in version.levels.iter().enumerate() {
        text.push_str(&format!("--- level {level} ---\n"));
        for file in files {
            let (first, last) = (key_text(&file.smallest), key_text(&file.largest));
            text.push_str(&format!(
                " {}:{}[{first} .. {last}]\n",
                file.number, file.size
            ));
        }
    }
    text
}

fn key_text(internal_key: &[u8]) -> String {
    let mut text = String::from("'");
    for byte in key::user_key(internal_key) {
        match byte {
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    let tag = key::tag(internal_key);
    text.push_str(&format!("' @ {} : {}", tag >> 8, tag & 0xff));
    text
}
