//! The reference of everything that makes a new manifest current: the same files written and synced, and nothing else.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use level_party_bench::Result;

/// Times it in a new directory under `parent`: a table of `table` bytes, if any, the manifest, its directory, `CURRENT` by
/// rename, and the directory again.
pub fn publish(parent: &Path, table: Option<usize>) -> Result<Duration> {
    let dir = tempfile::tempdir_in(parent)?;
    let start = Instant::now();
    if let Some(bytes) = table {
        write(&dir.path().join("table"), &vec![7; bytes])?;
    }
    write(&dir.path().join("manifest"), &[7; 100])?;
    sync_dir(dir.path())?;
    write(&dir.path().join("temporary"), b"MANIFEST-000001\n")?;
    fs::rename(dir.path().join("temporary"), dir.path().join("current"))?;
    sync_dir(dir.path())?;
    Ok(start.elapsed())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    Ok(file.sync_data()?)
}

fn sync_dir(path: &Path) -> Result<()> {
    Ok(File::open(path)?.sync_all()?)
}
