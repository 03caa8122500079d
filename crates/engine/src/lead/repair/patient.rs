//! [`Patient`]: the directory of a repair, whose reads are tried again before they count as failed.
//!
//! What a repair can't read it leaves out, and no later repair reads it again. So one failure must not decide that.
//!
//! Promises: a read that fails once or twice and then succeeds is as if it had not failed. Of a file that the device does
//! not give as a whole, [`read`](Fs::read) gives the parts that it does; the others are zeroes, which no checksum takes
//! for anything.
//! Must not know: what is read.

use std::io;
use std::sync::Arc;

use crate::base::error::is_out_of_descriptors;
use crate::base::fs::{Fs, LogFile, ReadFile, WriteFile};

/// How often a read is made at most.
const ATTEMPTS: usize = 3;
/// Bytes that are read at once of a file that can't be read as a whole: a usual sector.
const PART: usize = 4096;

pub(super) struct Patient(pub(super) Arc<dyn Fs>);

/// Whether a later attempt, or one for fewer bytes, may do better.
fn may_pass(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    let is_final = matches!(
        error.kind(),
        K::NotFound | K::PermissionDenied | K::UnexpectedEof | K::InvalidInput | K::IsADirectory
    );
    !is_final && !is_out_of_descriptors(error)
}

fn try_again<T>(mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 1..ATTEMPTS {
        match read() {
            Err(error) if may_pass(&error) => {}
            done => return done,
        }
    }
    read()
}

impl Fs for Patient {
    fn list(&self) -> io::Result<Vec<String>> {
        try_again(|| self.0.list())
    }

    fn open_read(&self, name: &str) -> io::Result<Arc<dyn ReadFile>> {
        let file = try_again(|| self.0.open_read(name))?;
        Ok(Arc::new(PatientFile(file)))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        match try_again(|| self.0.read(name)) {
            Err(error) if may_pass(&error) => read_in_parts(self.open_read(name)?.as_ref()),
            done => done,
        }
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn WriteFile>> {
        self.0.create(name)
    }

    fn create_new(&self, name: &str) -> io::Result<Box<dyn WriteFile>> {
        self.0.create_new(name)
    }

    fn create_log(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        self.0.create_log(name)
    }

    fn open_log(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        self.0.open_log(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        try_again(|| self.0.exists(name))
    }

    fn link(&self, name: &str, target: &dyn Fs, to: &str) -> io::Result<()> {
        self.0.link(name, target, to)
    }

    fn keep_open_at_most(&self, tables: usize) {
        self.0.keep_open_at_most(tables);
    }

    fn directory(&self) -> Option<&std::path::Path> {
        self.0.directory()
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.0.sync_dir()
    }

    fn sync_together(&self, files: &mut [&mut dyn WriteFile]) -> io::Result<()> {
        self.0.sync_together(files)
    }
}

fn read_in_parts(file: &dyn ReadFile) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; len];
    for (number, part) in bytes.chunks_mut(PART).enumerate() {
        match file.read_at(part, (number * PART) as u64) {
            Err(error) if may_pass(&error) => part.fill(0),
            done => done?,
        }
    }
    Ok(bytes)
}

struct PatientFile(Arc<dyn ReadFile>);

impl ReadFile for PatientFile {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        try_again(|| self.0.read_at(buf, offset))
    }
}
