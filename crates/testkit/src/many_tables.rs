//! [`ManyTables`]: a database whose tables all overlap each other on level 0, as C++ `RepairDB` leaves them.

use std::fs;
use std::path::Path;

use level_party_format::edit::{NewFile, VersionEdit};
use level_party_format::filename;
use level_party_format::key::{ValueType, append_internal_key};
use level_party_format::log::LogWriter;
use level_party_format::table::{TableBuilder, TableOptions};

/// The number of the first table; the log and the manifest come before.
const FIRST: u64 = 10;
const LOG: u64 = 3;
const MANIFEST: u64 = 2;

/// The files of such a database. Table `n` holds three entries: `a` and `z` with the value `vN`, and `kNNNNN` with `x`.
#[derive(Debug)]
pub struct ManyTables {
    files: Vec<(String, Vec<u8>)>,
    tables: usize,
}

impl ManyTables {
    /// A database of so many tables, in memory.
    pub fn new(tables: usize) -> ManyTables {
        let mut files = Vec::new();
        let mut new_files = Vec::new();
        for at in 0..tables {
            let number = FIRST + at as u64;
            let (bytes, file) = table(at, number);
            files.push((filename::table(number), bytes));
            new_files.push((0, file));
        }
        let edits = [
            VersionEdit {
                comparator: Some("leveldb.BytewiseComparator".to_owned()),
                new_files,
                ..VersionEdit::default()
            },
            VersionEdit {
                log_number: Some(LOG),
                prev_log_number: Some(0),
                next_file_number: Some(FIRST + tables as u64),
                last_sequence: Some(3 * tables as u64),
                ..VersionEdit::default()
            },
        ];
        let (mut writer, mut manifest) = (LogWriter::new(), Vec::new());
        for edit in edits {
            writer.add_record(&edit.encode(), &mut manifest);
        }
        files.push((filename::log(LOG), Vec::new()));
        files.push((filename::manifest(MANIFEST), manifest));
        let current = filename::current_contents(MANIFEST).into_bytes();
        files.push((filename::CURRENT.to_owned(), current));
        ManyTables { files, tables }
    }

    /// Writes the files into a directory, which is made if it is missing.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, dir: &Path) {
        fs::create_dir_all(dir).expect("the test's own directory");
        for (name, bytes) in &self.files {
            fs::write(dir.join(name), bytes).expect("the test's own directory");
        }
    }

    /// As [`ManyTables::write`], with links to the tables in `written`, which nobody has opened: it costs the disk less.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn link(&self, written: &Path, dir: &Path) {
        fs::create_dir_all(dir).expect("the test's own directory");
        for (name, bytes) in &self.files {
            let made = match name.ends_with(".ldb") {
                true => fs::hard_link(written.join(name), dir.join(name)),
                false => fs::write(dir.join(name), bytes),
            };
            made.expect("the test's own directory");
        }
    }

    /// How many keys the database shows.
    pub fn keys(&self) -> usize {
        self.tables + 2
    }

    /// The value of `a` and of `z`: the newest table's.
    pub fn newest(&self) -> String {
        format!("v{}", self.tables - 1)
    }
}

/// A table's bytes, and what the manifest says of it.
fn table(at: usize, number: u64) -> (Vec<u8>, NewFile) {
    let value = format!("v{at}");
    let own = format!("k{at:05}");
    let entries = [("a", value.as_str()), (&own, "x"), ("z", &value)];
    let mut builder = TableBuilder::new(TableOptions::default());
    let mut keys = Vec::new();
    for (place, (user_key, value)) in entries.into_iter().enumerate() {
        let sequence = 3 * at as u64 + place as u64 + 1;
        let mut key = Vec::new();
        append_internal_key(&mut key, user_key.as_bytes(), sequence, ValueType::Value);
        builder.add(&key, value.as_bytes());
        keys.push(key);
    }
    builder.finish();
    let file = NewFile {
        number,
        size: builder.file_size(),
        largest: keys.pop().expect("three keys"),
        smallest: keys.swap_remove(0),
    };
    (std::mem::take(builder.output()), file)
}
