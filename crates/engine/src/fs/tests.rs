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

    for missing in [
        fs.read("b").err(),
        fs.remove("b").err(),
        fs.open_read("b").err(),
    ] {
        assert_eq!(missing.unwrap().kind(), io::ErrorKind::NotFound);
    }
    assert!(fs.rename("b", "c").is_err());

    fs.create("a").unwrap().append(b"long content").unwrap();
    fs.create("a").unwrap().append(b"short").unwrap();
    assert_eq!(fs.read("a").unwrap(), b"short");
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
