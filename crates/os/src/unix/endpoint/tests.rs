use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

#[test]
fn an_address_that_does_not_fit_is_refused_and_never_cut() {
    let long = PathBuf::from("/").join("x".repeat(120));
    let file = tempfile::tempfile().unwrap();
    let name = OsStr::from_bytes(b"name");
    let fits = address_within(file.as_fd(), Path::new("/short"), name).unwrap();
    assert!(fits.path_bytes().unwrap().ends_with(b"/name"));
    assert!(SocketAddrUnix::new(long.join(name)).is_err());
}

#[test]
fn two_directories_never_share_a_name_in_the_runtime_directory() {
    let runtime = tempfile::tempdir().unwrap();
    let private = runtime.path().join("mine");
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let spot = |path: &Path| {
        Spot::in_private_dir(&DataDir::open(path).unwrap(), &private)
            .unwrap()
            .path()
    };
    assert_ne!(spot(a.path()), spot(b.path()));
    assert_eq!(spot(a.path()), spot(&a.path().join(".")));
    assert_eq!(
        std::fs::metadata(&private).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[test]
fn runtime_directory_open_to_others_is_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let open = tmp.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(
        private_dir(&open).unwrap_err().kind(),
        io::ErrorKind::PermissionDenied
    );
    let target = tmp.path().join("target");
    private_dir(&target).unwrap();
    let link = tmp.path().join("link");
    symlink(&target, &link).unwrap();
    assert_eq!(
        private_dir(&link).unwrap_err().kind(),
        io::ErrorKind::PermissionDenied
    );
}

#[test]
fn a_runtime_directory_of_another_user_is_refused() {
    if crate::process::effective_uid() != 0 {
        return eprintln!("IMPOSSIBLE HERE: only root can give a directory to another user");
    }
    let tmp = tempfile::tempdir().unwrap();
    let theirs = tmp.path().join("theirs");
    private_dir(&theirs).unwrap();
    std::os::unix::fs::chown(&theirs, Some(12_345), Some(12_345)).unwrap();
    let refused = private_dir(&theirs).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
    assert!(refused.to_string().contains("theirs"), "{refused}");
    assert_eq!(std::fs::read_dir(&theirs).unwrap().count(), 0);
}

#[test]
fn looking_for_an_endpoint_makes_no_runtime_directory() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = DataDir::open(tmp.path()).unwrap();
    let runtime = tmp.path().join("runtime");
    assert!(Spot::in_existing_private_dir(&dir, &runtime).is_err());
    assert!(!runtime.exists());
    Spot::in_private_dir(&dir, &runtime).unwrap();
    Spot::in_existing_private_dir(&dir, &runtime).unwrap();
}
