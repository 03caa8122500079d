//! Counts are asserted as bounds, as the tests of one process share its shortages ([`with_descriptors`]).

use std::cell::Cell;
use std::sync::Mutex;
use std::thread;

use super::*;
use crate::base::fs::{Fs, StdFs, nonblocking};

/// Held by a test that makes a shortage, and by one that a shortage would disturb.
static SHORTAGES: Mutex<()> = Mutex::new(());

const SHORTAGE: i32 = if cfg!(windows) { 4 } else { 24 };

fn name(number: u64) -> String {
    level_party_format::filename::table(number)
}

/// A directory of tables with these numbers; each holds its number.
fn directory(numbers: std::ops::Range<u64>) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for number in numbers {
        std::fs::write(dir.path().join(name(number)), number.to_be_bytes()).unwrap();
    }
    dir
}

fn read(file: &dyn ReadFile) -> io::Result<u64> {
    let mut bytes = [0; 8];
    file.read_at(&mut bytes, 0)?;
    Ok(u64::from_be_bytes(bytes))
}

fn open_all(fs: &StdFs, numbers: std::ops::Range<u64>) -> Vec<Arc<dyn ReadFile>> {
    numbers
        .map(|number| fs.open_read(&name(number)).unwrap())
        .collect()
}

#[test]
fn tables_over_the_limit_are_closed_and_still_read() {
    let dir = directory(0..100);
    let fs = StdFs::new(dir.path()).keeping_open(10);
    let files = open_all(&fs, 0..100);
    for round in 0..3 {
        for (number, file) in files.iter().enumerate() {
            assert_eq!(read(file.as_ref()).unwrap(), number as u64, "{round}");
            assert!(fs.open_tables() <= 10, "{}", fs.open_tables());
        }
    }
    drop(files);
    assert_eq!(fs.open_tables(), 0);
}

#[test]
fn a_lower_limit_is_heeded_and_a_higher_one_changes_nothing() {
    let dir = directory(0..60);
    let fs = StdFs::new(dir.path()).keeping_open(40);
    let files = open_all(&fs, 0..50);
    fs.keep_open_at_most(20);
    fs.keep_open_at_most(500);
    let more = open_all(&fs, 50..60);
    assert!(fs.open_tables() <= 20, "{}", fs.open_tables());
    fs.keep_open_at_most(0);
    for file in files.iter().chain(&more) {
        read(file.as_ref()).unwrap();
    }
    assert!(fs.open_tables() <= LEAST, "{}", fs.open_tables());
}

#[test]
fn readers_on_many_threads_share_a_small_pool() {
    let dir = directory(0..64);
    let fs = StdFs::new(dir.path()).keeping_open(LEAST);
    let files = open_all(&fs, 0..64);
    thread::scope(|scope| {
        for thread in 0..4 {
            let files = &files;
            scope.spawn(move || {
                for step in 0..2_000 {
                    let number = (step * (thread * 2 + 1)) % files.len();
                    assert_eq!(read(files[number].as_ref()).unwrap(), number as u64);
                }
            });
        }
    });
    assert!(fs.open_tables() <= LEAST, "{}", fs.open_tables());
}

#[test]
fn another_file_under_the_name_is_an_error() {
    let dir = directory(0..20);
    let fs = StdFs::new(dir.path()).keeping_open(LEAST);
    let files = open_all(&fs, 0..20);
    let first = dir.path().join(name(0));
    // Of the same length; the old file lives on under another name, as one that was set aside does.
    std::fs::rename(&first, dir.path().join("aside")).unwrap();
    std::fs::write(&first, 99_u64.to_be_bytes()).unwrap();
    std::fs::remove_file(dir.path().join(name(1))).unwrap();
    // Nobody reads the first ones, so they are closed.
    for _ in 0..3 {
        files[2..].iter().for_each(|file| drop(read(file.as_ref())));
    }
    for (number, how) in [(0, "replaced"), (1, "removed")] {
        let error = read(files[number].as_ref()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains(how), "{error}");
    }
    assert_eq!(read(files[2].as_ref()).unwrap(), 2);
}

#[test]
fn other_files_outlive_their_names_at_any_limit() {
    let dir = directory(0..30);
    let fs = StdFs::new(dir.path()).keeping_open(LEAST);
    std::fs::write(dir.path().join("000040.log"), 40_u64.to_be_bytes()).unwrap();
    let log = fs.open_read("000040.log").unwrap();
    let _tables = open_all(&fs, 0..30);
    fs.pool().give_up_half();
    fs.remove("000040.log").unwrap();
    assert_eq!(read(log.as_ref()).unwrap(), 40);
}

#[test]
fn a_shortage_closes_tables_until_the_open_succeeds() {
    let _alone = SHORTAGES.lock().unwrap_or_else(|e| e.into_inner());
    let dir = directory(0..40);
    let fs = StdFs::new(dir.path()).keeping_open(40);
    let files = open_all(&fs, 0..40);
    let attempts = Cell::new(0);
    let opened = with_descriptors(|| {
        attempts.set(attempts.get() + 1);
        match fs.open_tables() {
            0..=10 => Ok(attempts.get()),
            _ => Err(io::Error::from_raw_os_error(SHORTAGE)),
        }
    });
    assert!(opened.unwrap() >= 3);

    // With nothing left to close the error comes back; another error at once.
    attempts.set(0);
    let failed = with_descriptors::<()>(|| {
        attempts.set(attempts.get() + 1);
        Err(io::Error::from_raw_os_error(SHORTAGE))
    });
    assert_eq!(failed.unwrap_err().raw_os_error(), Some(SHORTAGE));
    assert!(attempts.get() > 1);
    attempts.set(0);
    let failed = with_descriptors::<()>(|| {
        attempts.set(attempts.get() + 1);
        Err(io::ErrorKind::NotFound.into())
    });
    assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(attempts.get(), 1);
    for (number, file) in files.iter().enumerate() {
        assert_eq!(read(file.as_ref()).unwrap(), number as u64);
    }
}

#[test]
fn limit_falls_in_a_shortage_and_grows_while_it_binds() {
    let _alone = SHORTAGES.lock().unwrap_or_else(|e| e.into_inner());
    let dir = directory(0..64);
    let fs = StdFs::new(dir.path()).keeping_open(24);
    let files = open_all(&fs, 0..64);
    assert!(fs.pool().give_up_half());
    assert!(fs.pool().limit() <= 12, "{}", fs.pool().limit());
    for _ in 0..40 {
        files.iter().for_each(|file| drop(read(file.as_ref())));
    }
    assert_eq!(fs.pool().limit(), 24);
    assert!(fs.open_tables() <= 24);
}

#[test]
fn large_reads_are_left_to_those_who_may_wait() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(name(1)), vec![7; 2 * LARGEST_READ]).unwrap();
    // All is in memory, as it says.
    let fs = StdFs::new(dir.path()).cached_by(|_, buf, _| Ok(buf.len()));
    let file = fs.open_read(&name(1)).unwrap();
    let read = |len: usize| {
        let mut bytes = vec![0; len];
        nonblocking(|| file.read_at(&mut bytes, 0)).map_err(|error| error.kind())
    };
    assert_eq!(read(LARGEST_READ), Ok(()));
    assert_eq!(read(LARGEST_READ + 1), Err(io::ErrorKind::WouldBlock));
    let mut bytes = vec![0; LARGEST_READ + 1];
    file.read_at(&mut bytes, 0).unwrap();
    assert_eq!(bytes, vec![7; LARGEST_READ + 1]);
}
