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

/// What the engine expects of a log in any `Fs`.
fn logs_conform(fs: &dyn Fs) {
    let missing = fs.open_log("log").err().unwrap();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    let log = fs.create_log("log").unwrap();
    let there = fs.create_log("log").err().unwrap();
    assert_eq!(there.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(log.len().unwrap(), 0);
    log.write_at(b"first", 0).unwrap();
    log.write_at(b"", 5).unwrap();
    log.sync().unwrap();

    // Another one that has it open writes and cuts; offsets are nobody's own.
    let other = fs.open_log("log").unwrap();
    other.write_at(b"other", 5).unwrap();
    assert_eq!(log.len().unwrap(), 10);
    log.set_len(7).unwrap();
    log.sync_all().unwrap();
    assert_eq!(fs.read("log").unwrap(), b"firstot");
    other.write_at(b"x", 7).unwrap();
    log.write_at(b"F", 0).unwrap();
    assert_eq!(fs.read("log").unwrap(), b"Firstotx");

    // Zeroes fill a hole, and what a cut has left room for.
    log.set_len(2).unwrap();
    other.write_at(b"end", 4).unwrap();
    assert_eq!(fs.read("log").unwrap(), b"Fi\0\0end");
    log.set_len(8).unwrap();
    assert_eq!(fs.read("log").unwrap(), b"Fi\0\0end\0");
    assert!(log.write_at(b"x", u64::MAX).is_err());
    assert_eq!(log.len().unwrap(), 8);
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
fn file_is_read_by_its_map_or_else_by_calls() {
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
    logs_conform(&MemFs::new());
}

#[test]
fn files_of_the_system_behave_as_files() {
    let dir = tempfile::tempdir().unwrap();
    conforms(&StdFs::new(dir.path()));
    logs_conform(&StdFs::new(dir.path()));
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

#[test]
fn no_file_is_written_beyond_what_one_may_be_long() {
    let dir = tempfile::tempdir().unwrap();
    let fs = StdFs::new(dir.path()).limited_by(|| 10);
    for new in [false, true] {
        let name = if new { "new" } else { "file" };
        let mut file = match new {
            true => fs.create_new(name).unwrap(),
            false => fs.create(name).unwrap(),
        };
        file.append(b"12345678").unwrap();
        let refused = file.append(b"abc").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
        file.append(b"90").unwrap();
        assert_eq!(fs.read(name).unwrap(), b"1234567890");
    }
}
