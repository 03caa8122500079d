//! What a directory is called, and what becomes of its party when the name goes to another.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use level_party::{Db, Readable, Role};
use level_party_testkit::ExecChild;

use crate::mounts::Mount;
use crate::{PROGRAM, get, impossible, leader, names, put, temp};

/// More than a memtable holds, so that a leader that writes it needs new files.
const LARGE: usize = 3 << 20;

/// `path` as seen from here.
fn relative(path: &Path) -> PathBuf {
    let here = std::env::current_dir().expect("it is somewhere");
    let up = here.components().skip(1).map(|_| "..");
    up.collect::<PathBuf>()
        .join(path.strip_prefix("/").expect("a whole path"))
}

#[test]
fn every_name_of_a_directory_leads_to_the_same_leader() {
    let tmp = temp();
    let real = tmp.path().join("real");
    std::fs::create_dir(&real).expect("made");
    let link = tmp.path().join("link");
    symlink(&real, &link).expect("made");
    let links = tmp.path().join("links");
    symlink(&link, &links).expect("made");
    let mut leader = leader(&real);
    let mut others = vec![link.clone(), links, real.join("../link/."), relative(&real)];
    let bound = Mount::new(&["--bind"], &real, &tmp.path().join("bound"));
    match &bound {
        Some(mount) => others.push(mount.0.clone()),
        None => impossible("no bind mounts are allowed"),
    }
    for name in &others {
        put(name, "written as", name.to_str().expect("plain"));
        assert_eq!(leader.get("written as").as_deref(), name.to_str());
        let mut follower = ExecChild::spawn(PROGRAM, name);
        assert_eq!(follower.leader_pid(), leader.pid(), "{}", name.display());
    }
    leader.kill();
    for name in &others {
        let db = Db::open(name).expect("nobody leads");
        assert_eq!(db.role(), Role::Leader, "one at a time");
        assert!(db.get("written as").expect("a value").is_some());
    }
    drop(bound);
}

/// Writes until a memtable is full and new files are needed; false: it could not.
fn write_large(leader: &mut ExecChild) -> bool {
    let value = "x".repeat(LARGE);
    (0..4).all(|n| {
        let request = serde_json::json!({"op": "put", "key": format!("large {n}"), "value": value});
        leader.ask(&request)["ok"] == true
    })
}

#[test]
fn renamed_directory_keeps_its_members() {
    let tmp = temp();
    let (path, moved) = (tmp.path().join("db"), tmp.path().join("moved"));
    let mut first = leader(&path);
    first.put("whose", "the first's");
    let mut follower = ExecChild::spawn(PROGRAM, &path);
    assert_eq!(follower.leader_pid(), first.pid());
    std::fs::rename(&path, &moved).expect("renamed");
    std::fs::create_dir(&path).expect("made");
    let mut second = leader(&path);
    second.put("whose", "the second's");
    let before = names(&path);

    assert!(write_large(&mut first));
    assert_eq!(
        names(&path),
        before,
        "the first writes in its own directory"
    );
    assert_eq!(get(&moved, "whose"), "the first's");
    first.kill();
    assert_eq!(follower.get("whose").as_deref(), Some("the first's"));
    assert_eq!(follower.leader_pid(), follower.pid(), "where it was opened");
    assert!(write_large(&mut follower));
    assert_eq!(names(&path), before);

    assert_eq!(second.scan("").len(), 1);
    assert_eq!(follower.scan("").len(), 5);
    assert!(follower.close().success());
    assert!(second.close().success());
    assert_eq!(get(&moved, "whose"), "the first's");
    assert_eq!(get(&path, "whose"), "the second's");
}

#[test]
fn directory_made_anew_has_members_of_its_own() {
    let tmp = temp();
    let path = tmp.path().join("db");
    let mut first = ExecChild::spawn_with(PROGRAM, &path, ["--timeout", "5"]);
    first.put("whose", "the first's");
    std::fs::remove_dir_all(&path).expect("removed");
    let mut second = leader(&path);
    second.put("whose", "the second's");
    let before = names(&path);
    assert!(!write_large(&mut first), "it has no directory any more");
    assert_eq!(names(&path), before, "the first writes nothing there");
    drop(first);
    assert_eq!(names(&path), before, "nor does it remove anything");
    assert_eq!(second.get("whose").as_deref(), Some("the second's"));
    assert_eq!(ExecChild::spawn(PROGRAM, &path).leader_pid(), second.pid());
    assert!(second.close().success());
    assert_eq!(get(&path, "whose"), "the second's");
}

/// A directory whose path has exactly `len` bytes: all of them begin with the same 80, then come spaces and bytes that
/// are no text.
fn directory_of_length(base: &Path, len: usize) -> PathBuf {
    let outer = base.join("x".repeat(80 - base.as_os_str().len() - 1));
    std::fs::create_dir_all(&outer).expect("made");
    let odd = OsStr::from_bytes(b"a b\xff\xfe \n");
    let mut path = outer.join(odd);
    let rest = len - path.as_os_str().len();
    let mut name = path.file_name().expect("the odd one").to_owned();
    name.push("y".repeat(rest));
    path.set_file_name(name);
    assert_eq!(path.as_os_str().len(), len);
    path
}

#[test]
fn directories_with_long_paths_are_never_confused() {
    let tmp = temp();
    // Two that differ behind 200 equal bytes.
    let prefix = directory_of_length(tmp.path(), 200);
    let twins = [b"1", b"2"].map(|end| {
        let name = [prefix.as_os_str().as_bytes(), end].concat();
        PathBuf::from(OsStr::from_bytes(&name))
    });
    let mut paths: Vec<PathBuf> = (90..=300)
        .map(|len| directory_of_length(tmp.path(), len))
        .collect();
    paths.extend(twins);
    for (round, some) in paths.chunks(36).enumerate() {
        let leaders: Vec<Db> = some
            .iter()
            .enumerate()
            .map(|(n, path)| {
                let db = Db::open(path).expect("opened");
                db.put("own", format!("{round}/{n}")).expect("put");
                db
            })
            .collect();
        for (n, (path, leader)) in some.iter().zip(&leaders).enumerate() {
            assert_eq!(leader.role(), Role::Leader);
            assert!(path.join("level-party.endpoint").exists());
            // Another process: it follows, and both see the other's.
            assert_eq!(get(path, "own"), format!("{round}/{n}"));
            if n % 12 == 0 {
                put(path, "back", &format!("{round}/{n}"));
            }
        }
        for (n, leader) in leaders.iter().enumerate() {
            let back = (n % 12 == 0).then(|| format!("{round}/{n}").into_bytes());
            assert_eq!(leader.get("back").expect("it leads"), back);
        }
    }
}

#[test]
fn databases_on_tmpfs_overlay_and_loop_are_accepted() {
    let tmp = temp();
    let at = |name: &str| tmp.path().join(name);
    let tmpfs = Mount::new(&["-t", "tmpfs"], Path::new("none"), &at("tmpfs"));
    for name in ["lower", "upper", "work"] {
        std::fs::create_dir(at(name)).expect("made");
    }
    let layers = format!(
        "lowerdir={},upperdir={},workdir={}",
        at("lower").display(),
        at("upper").display(),
        at("work").display()
    );
    let overlay = Mount::new(
        &["-t", "overlay", "-o", &layers],
        Path::new("none"),
        &at("overlay"),
    );
    let image = at("image");
    let file = std::fs::File::create(&image).expect("made");
    file.set_len(16 << 20).expect("made large");
    let made = Command::new("mkfs.ext4").arg("-q").arg(&image).output();
    let filesystem = made.is_ok_and(|done| done.status.success());
    let looped = filesystem
        .then(|| Mount::new(&["-o", "loop"], &image, &at("loop")))
        .flatten();
    for (kind, mount) in [("tmpfs", &tmpfs), ("overlay", &overlay), ("loop", &looped)] {
        let Some(Mount(path)) = mount else {
            impossible(&format!("{kind} cannot be mounted"));
            continue;
        };
        let mut leader = leader(&path.join("db"));
        put(&path.join("db"), "a", kind);
        assert_eq!(leader.get("a").as_deref(), Some(kind));
        assert_eq!(get(&path.join("db"), "a"), kind);
        assert!(leader.close().success());
    }
}
