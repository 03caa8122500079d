use super::*;

#[test]
fn a_missing_path_and_a_plain_file_are_told_apart() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    let missing = DataDir::open(&tmp.path().join("none")).unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    assert_eq!(
        DataDir::open(&file).unwrap_err().kind(),
        io::ErrorKind::NotADirectory
    );
    let file = std::fs::File::open(&file).unwrap();
    assert_eq!(
        DirIdentity::of(&OwnedFd::from(file)).unwrap_err().kind(),
        io::ErrorKind::NotADirectory
    );
}

#[test]
fn identity_follows_symlinks_and_not_names() {
    let tmp = tempfile::tempdir().unwrap();
    let real = tmp.path().join("real");
    let link = tmp.path().join("link");
    std::fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let dir = DataDir::open(&real).unwrap();
    assert_eq!(dir.identity(), DataDir::open(&link).unwrap().identity());
    assert!(dir.is_at_path().unwrap());
    std::fs::remove_dir(&real).unwrap();
    assert!(!dir.is_at_path().unwrap());
    std::fs::create_dir(&real).unwrap();
    assert_ne!(dir.identity(), DataDir::open(&real).unwrap().identity());
    assert!(!dir.is_at_path().unwrap());
}

#[test]
#[cfg(target_os = "linux")]
fn network_and_user_space_filesystems_are_not_local() {
    // By the numbers of statfs(2) and linux/magic.h, not by our own table.
    let network = [
        (0x6969, "nfs"),
        (0x517B, "smb"),
        (0xFF53_4D42, "cifs"),
        (0xFE53_4D42, "smb2"),
        (0x0102_1997, "9p"),
        (0x5346_414F, "afs"),
        (0x6B41_4653, "kafs"),
        (0x7375_7245, "coda"),
        (0x00C3_6400, "ceph"),
        (0x0116_1970, "gfs2"),
        (0x7461_636F, "ocfs2"),
        (0x786F_4256, "vboxsf"),
    ];
    for (magic, name) in network {
        assert_eq!(
            Filesystem::from_magic(magic),
            Filesystem::Network(name.into())
        );
    }
    // virtiofs has the same number.
    assert_eq!(
        Filesystem::from_magic(0x6573_5546),
        Filesystem::Fuse("fuse".into())
    );
    let local = [
        (0xEF53, "ext4"), // also what a loop device holds
        (0x0102_1994, "tmpfs"),
        (0x794C_7630, "overlay"),
        (0x5846_5342, "xfs"),
        (0x9123_683E, "btrfs"),
    ];
    for (magic, name) in local {
        assert_eq!(
            Filesystem::from_magic(magic),
            Filesystem::Local(name.into())
        );
    }
    assert!(Filesystem::from_magic(0x1234_5678).is_local());
    let tmp = tempfile::tempdir().unwrap();
    assert!(
        DataDir::open(tmp.path())
            .unwrap()
            .filesystem()
            .unwrap()
            .is_local()
    );
}
