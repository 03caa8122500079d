//! A C program, as a check writes it: LevelDB's calls with the errors that they give, and processes.

use std::ffi::{CStr, CString, c_char};
use std::path::Path;
use std::process::Command;
use std::ptr;

use crate::batch::{leveldb_writebatch_destroy, leveldb_writebatch_t};
use crate::border::leveldb_free;
use crate::db::*;
use crate::failure::Kind;
use crate::options::*;
use crate::party_calls::lp_status;

/// The error of a call as its `errptr` gives it.
pub type Told<T = ()> = Result<T, String>;

pub fn c_path(path: &Path) -> CString {
    CString::new(path.to_str().expect("the path is text")).expect("the path has no zero")
}

/// Makes a call with an `errptr`.
pub fn told<T>(call: impl FnOnce(*mut *mut c_char) -> T) -> Told<T> {
    let mut error = ptr::null_mut();
    let value = call(&raw mut error);
    if error.is_null() {
        return Ok(value);
    }
    // SAFETY: it was made by the call, and is freed once.
    unsafe {
        let message = CStr::from_ptr(error).to_str().expect("text").to_owned();
        leveldb_free(error.cast());
        Err(message)
    }
}

/// The kind of the last error of this thread.
pub fn kind() -> Kind {
    crate::border::last_kind()
}

pub struct Options(*mut leveldb_options_t);

impl Options {
    /// LevelDB's defaults, but that a missing database is made; and what `set` changes.
    pub fn with(set: impl FnOnce(*mut leveldb_options_t)) -> Options {
        // SAFETY: the options live until they are dropped.
        unsafe {
            let options = leveldb_options_create();
            leveldb_options_set_create_if_missing(options, 1);
            set(options);
            Options(options)
        }
    }

    pub fn new() -> Options {
        Options::with(|_| ())
    }

    /// How a database is opened with them.
    pub fn shown(&self) -> String {
        // SAFETY: the options live.
        let chosen = unsafe { (*self.0).chosen() };
        format!("{:?}", chosen.expect("options that can be used"))
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: they were made by `with`, and this is their last use.
        unsafe { leveldb_options_destroy(self.0) };
    }
}

pub struct Database(pub *mut leveldb_t);

impl Database {
    pub fn open(dir: &Path, options: &Options) -> Told<Database> {
        let dir = c_path(dir);
        // SAFETY: the options live, and the name is a string.
        told(|error| unsafe { leveldb_open(options.0, dir.as_ptr(), error) }).map(Database)
    }

    pub fn put(&self, key: &[u8], value: &[u8]) -> Told {
        let (key, value) = (
            (key.as_ptr().cast(), key.len()),
            (value.as_ptr().cast(), value.len()),
        );
        // SAFETY: the database is open; the bytes are there.
        told(|error| unsafe {
            leveldb_put(self.0, ptr::null(), key.0, key.1, value.0, value.1, error);
        })
    }

    pub fn get_with(
        &self,
        options: *const leveldb_readoptions_t,
        key: &[u8],
    ) -> Told<Option<Vec<u8>>> {
        let mut length = 0;
        // SAFETY: the database is open, the options are null or live, and the bytes are there.
        let value = told(|error| unsafe {
            leveldb_get(
                self.0,
                options,
                key.as_ptr().cast(),
                key.len(),
                &raw mut length,
                error,
            )
        })?;
        if value.is_null() {
            return Ok(None);
        }
        // SAFETY: the call gave so many bytes, which are freed once.
        unsafe {
            let bytes = std::slice::from_raw_parts(value.cast::<u8>(), length).to_vec();
            leveldb_free(value.cast());
            Ok(Some(bytes))
        }
    }

    pub fn get(&self, key: &[u8]) -> Told<Option<Vec<u8>>> {
        self.get_with(ptr::null(), key)
    }

    /// Writes a batch, and destroys it.
    pub fn write(&self, batch: *mut leveldb_writebatch_t) -> Told {
        // SAFETY: the database is open, and the batch lives until here.
        unsafe {
            let written = told(|error| leveldb_write(self.0, ptr::null(), batch, error));
            leveldb_writebatch_destroy(batch);
            written
        }
    }

    pub fn compact(&self) {
        // SAFETY: the database is open; null is no bound.
        unsafe { leveldb_compact_range(self.0, ptr::null(), 0, ptr::null(), 0) };
    }

    /// The sentences about settings that are not in force.
    pub fn settings_not_in_force(&self) -> Vec<String> {
        let mut json = ptr::null_mut();
        // SAFETY: the database is open; the string is freed once.
        let status: serde_json::Value = unsafe {
            assert!(lp_status(self.0, &raw mut json).is_null());
            let status = serde_json::from_slice(CStr::from_ptr(json).to_bytes());
            leveldb_free(json.cast());
            status.expect("JSON")
        };
        let sentences = status["differing_options"].as_array().expect("an array");
        let sentence = |sentence: &serde_json::Value| sentence.as_str().expect("text").to_owned();
        sentences.iter().map(sentence).collect()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // SAFETY: it was opened by `open`, and this is its last use.
        unsafe { leveldb_close(self.0) };
    }
}

/// The names of the files in `dir`, in order.
pub fn files(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("a directory");
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
    let mut names: Vec<_> = entries
        .map(|entry| name(entry).into_string().expect("text"))
        .collect();
    names.sort();
    names
}

const ROLE: &str = "LEVEL_PARTY_DIFFERENCES_ROLE";
const DIRECTORY: &str = "LEVEL_PARTY_DIFFERENCES_DIRECTORY";

/// Runs a second process, which plays `role` in `dir`, to its end.
pub fn run(role: &str, dir: &Path) {
    let mut second = Command::new(std::env::current_exe().expect("a test knows its own path"));
    second
        .args([
            "--exact",
            "differences::each_row_of_the_page_has_a_check_that_holds",
            "--nocapture",
        ])
        .env(ROLE, role)
        .env(DIRECTORY, dir);
    let ended = second.output().expect("it runs");
    let said = String::from_utf8_lossy(&ended.stdout).into_owned()
        + &String::from_utf8_lossy(&ended.stderr);
    assert!(
        ended.status.success() && said.contains(&format!("played {role}")),
        "{role}: {said}"
    );
}

/// Whether this is a second process; it has played its role then.
pub fn play(roles: &[(&str, super::Check)]) -> bool {
    let (Ok(role), Some(dir)) = (std::env::var(ROLE), std::env::var_os(DIRECTORY)) else {
        return false;
    };
    let (_, play) = roles
        .iter()
        .find(|(name, _)| *name == role)
        .expect("a role");
    play(Path::new(&dir));
    println!("played {role}");
    true
}
