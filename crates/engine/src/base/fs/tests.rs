use std::io;

use super::*;

/// What the engine expects of any `Fs`.
fn conforms(fs: &dyn Fs) {
    assert!(fs.list().unwrap().is_empty());
    let mut file = fs.create("a").unwrap();
    file.append(b"hello ").unwrap();
    file.append(b"world").unwrap();
    file.sync().unwrap();
    fs.sync_dir().unwrap();
    assert_eq!(fs.read("a").unwrap(), b"hello world");

    let reader = fs.open_read("a").unwrap();
    assert_eq!((reader.len(), reader.is_empty()), (11, false));
    let mut buf = [0; 5];
    reader.read_at(&mut buf, 6).unwrap();
    assert_eq!(&buf, b"world");
    let short = reader.read_at(&mut buf, 7).unwrap_err();
    assert_eq!(short.kind(), io::ErrorKind::UnexpectedEof);
    assert!(reader.read_at(&mut buf, u64::MAX >> 1).is_err());

    fs.create("b").unwrap().append(b"old").unwrap();
    fs.rename("a", "b").unwrap();
    assert!(!fs.exists("a").unwrap() && fs.exists("b").unwrap());
    assert_eq!(fs.list().unwrap(), ["b"]);
    assert_eq!(fs.read("b").unwrap(), b"hello world");
    fs.remove("b").unwrap();
    reader.read_at(&mut buf, 0).unwrap();
    assert_eq!(&buf, b"hello");
    // Wine keeps the name of a file that was removed while it was open.
    let missing = if cfg!(windows) { "none" } else { "b" };

    for missing in [
        fs.read(missing).err(),
        fs.remove(missing).err(),
        fs.open_read(missing).err(),
    ] {
        assert_eq!(missing.unwrap().kind(), io::ErrorKind::NotFound);
    }
    assert!(fs.rename(missing, "c").is_err());

    fs.create("a").unwrap().append(b"long content").unwrap();
    fs.create("a").unwrap().append(b"short").unwrap();
    assert_eq!(fs.read("a").unwrap(), b"short");

    let there = fs.create_new("a").err().unwrap();
    assert_eq!(there.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs.read("a").unwrap(), b"short");
    fs.create_new("new").unwrap().append(b"bytes").unwrap();
    assert_eq!(fs.read("new").unwrap(), b"bytes");
}

/// As a mapping of a file whose bytes are all the same.
struct Sevens(u64);

impl ReadFile for Sevens {
    fn len(&self) -> u64 {
        self.0
    }

    fn read_at(&self, buf: &mut [u8], _: u64) -> io::Result<()> {
        buf.fill(7);
        Ok(())
    }
}

#[test]
fn a_file_is_read_through_its_map_and_by_calls_where_it_has_none() {
    let dir = tempfile::tempdir().unwrap();
    let files = StdFs::new(dir.path()).mapping(|file| match file.metadata()?.len() {
        0..3 => Err(io::ErrorKind::Unsupported.into()),
        len => Ok(Arc::new(Sevens(len))),
    });
    for (name, bytes, read) in [("short", "ab", "ab"), ("long", "abc", "\x07\x07\x07")] {
        files
            .create(name)
            .unwrap()
            .append(bytes.as_bytes())
            .unwrap();
        let file = files.open_read(name).unwrap();
        let mut buf = vec![0; file.len() as usize];
        file.read_at(&mut buf, 0).unwrap();
        assert_eq!(buf, read.as_bytes());
        assert_eq!(files.read(name).unwrap(), bytes.as_bytes());
    }
}

#[test]
fn files_in_memory_behave_as_files() {
    conforms(&MemFs::new());
}

#[test]
fn files_of_the_system_behave_as_files() {
    let dir = tempfile::tempdir().unwrap();
    conforms(&StdFs::new(dir.path()));
}

#[test]
fn a_name_that_leaves_the_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let fs = StdFs::new(dir.path());
    for name in ["", ".", "..", "a/b", "../x", "a\0b"] {
        assert_eq!(
            fs.read(name).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
        assert!(fs.create(name).is_err());
    }
}

#[test]
fn clones_in_memory_share_files_and_count_syncs() {
    let fs = MemFs::new();
    let clone = fs.clone();
    let mut file = fs.create("a").unwrap();
    file.append(b"x").unwrap();
    file.sync().unwrap();
    file.sync().unwrap();
    fs.sync_dir().unwrap();
    assert_eq!(clone.read("a").unwrap(), b"x");
    assert_eq!((clone.file_syncs(), clone.dir_syncs()), (2, 1));
    clone.change("a", |bytes| bytes[0] = b'y').unwrap();
    assert_eq!(fs.read("a").unwrap(), b"y");
}
