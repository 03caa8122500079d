//! How a leader reads the directory's files: by calls, or through memory mapped to them where its options say so; and with
//! no more file descriptors than the process can spare.

use std::io;
use std::path::Path;
use std::sync::Arc;

use level_party_engine::{ReadFile, StdFs};
use level_party_os::{FileMap, longest_file};

use crate::descriptors;
use crate::options::Options;

#[cfg(not(test))]
use level_party_os::positioned::read_cached_at as read_cached;

/// Nothing is in memory, in unit tests: each read of a table by a task is made by another thread.
#[cfg(test)]
fn read_cached(_: &std::fs::File, _: &mut [u8], _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::WouldBlock.into())
}

/// The directory's files, as the options say.
pub(crate) fn open(path: &Path, options: &Options) -> StdFs {
    let files = StdFs::new(path)
        .keeping_open(descriptors::for_tables())
        .limited_by(longest_file)
        .cached_by(read_cached);
    match options.map_tables {
        true => files.mapping(|file| Ok(Arc::new(Mapped(FileMap::new(file)?)))),
        false => files,
    }
}

struct Mapped(FileMap);

impl ReadFile for Mapped {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(buf, offset)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Db, Readable};

    #[test]
    fn a_leader_that_maps_its_tables_reads_what_it_wrote() {
        let dir = tempfile::tempdir().expect("a directory");
        let options = Db::options()
            .map_tables(true)
            .block_cache_bytes(0)
            .write_buffer_size(64 << 10);
        let value = |n: u32| n.to_be_bytes().repeat(50);
        for opening in 0..2 {
            let db = options.clone().open(dir.path()).expect("it opens");
            if opening == 0 {
                for n in 0..2_000_u32 {
                    db.put(n.to_be_bytes(), value(n)).expect("put");
                }
            }
            for n in 0..2_000_u32 {
                let got = db.get(n.to_be_bytes()).expect("get");
                assert_eq!(got, Some(value(n)));
            }
            assert_eq!(db.iter().count(), 2_000);
            let tables: u64 = db
                .status()
                .expect("status")
                .leader
                .files_per_level
                .iter()
                .sum();
            assert!(tables > 1, "{tables}");
            db.close().expect("close");
        }
    }
}
