//! `import`, `export` and `scan`: what goes in comes out, whatever bytes it is made of.

use std::path::Path;

use level_party_testkit::{Finished, run, run_with_input};

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");

fn command(words: &[&str], dir: &Path, flags: &[&str]) -> Finished {
    let dir = dir
        .to_str()
        .expect("a temporary directory has a plain name");
    run(
        PROGRAM,
        words
            .iter()
            .copied()
            .chain([dir])
            .chain(flags.iter().copied()),
    )
}

fn import(dir: &Path, lines: &[u8]) -> Finished {
    run_with_input(PROGRAM, ["import".as_ref(), dir.as_os_str()], lines)
}

/// Lines for keys and values of every length and of every kind of byte, in key order.
fn lines() -> Vec<u8> {
    let mut lines = Vec::new();
    for n in 0..3_000_u32 {
        lines.extend_from_slice(
            format!(
                "{{\"key\":\"{n:06}\",\"value\":\"{}\"}}\n",
                "x".repeat(n as usize % 97)
            )
            .as_bytes(),
        );
    }
    lines.extend_from_slice(
        "{\"key\":\"text\",\"value\":\"tab\\t line\\n quote\\\" é \u{10ffff}\"}\n".as_bytes(),
    );
    lines.extend_from_slice(
        b"{\"key\":{\"base64\":\"/w==\"},\"value\":{\"base64\":\"AAH/gA==\"}}\n",
    );
    lines
}

#[test]
fn export_gives_back_what_import_took_and_can_be_imported_again() {
    let (first, second) = (
        tempfile::tempdir().expect("a directory"),
        tempfile::tempdir().expect("a directory"),
    );
    let took = import(first.path(), &lines()).success();
    assert!(
        took.stderr.contains("imported 3,002 entries"),
        "{}",
        took.stderr
    );
    assert!(took.stdout.is_empty());
    let exported = command(&["export"], first.path(), &[]).success();
    assert!(
        exported.stdout == lines(),
        "the export differs from what was imported"
    );
    import(second.path(), &exported.stdout).success();
    assert!(command(&["export"], second.path(), &[]).success().stdout == exported.stdout);
}

#[test]
fn files_can_be_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let (source, target, db) = (
        dir.path().join("in"),
        dir.path().join("out"),
        dir.path().join("db"),
    );
    std::fs::write(&source, lines()).expect("written");
    command(&["import"], &db, &[source.to_str().expect("plain")]).success();
    let done = command(&["export"], &db, &[target.to_str().expect("plain")]).success();
    assert!(
        done.stdout.is_empty() && done.stderr.contains("exported 3,002 entries"),
        "{}",
        done.stderr
    );
    assert!(std::fs::read(&target).expect("written") == lines());
}

#[test]
fn imports_may_run_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let part = |name: &str| -> Vec<u8> {
        (0..2_500)
            .flat_map(|n| format!("{{\"key\":\"{name}{n:05}\",\"value\":\"{n}\"}}\n").into_bytes())
            .collect()
    };
    std::thread::scope(|scope| {
        for name in ["a", "b", "c", "d"] {
            let (dir, lines) = (dir.path(), part(name));
            scope.spawn(move || import(dir, &lines).success());
        }
    });
    let keys = command(&["scan"], dir.path(), &["--keys"]).success();
    assert_eq!(keys.text().lines().count(), 10_000);
}

#[test]
fn a_bad_line_is_named_and_what_came_before_it_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let done = import(dir.path(), b"{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":\"b\",\"value\":{\"c\":2}}\n{\"key\":\"c\",\"value\":\"3\"}\n");
    assert_eq!(done.code(), 2, "{}", done.stderr);
    assert!(done.stderr.contains("line 2:"), "{}", done.stderr);
    assert!(
        done.stderr
            .contains("1 entry was imported before this line"),
        "{}",
        done.stderr
    );
    assert_eq!(
        command(&["scan"], dir.path(), &[]).success().text(),
        "a\t1\n"
    );
}

#[test]
fn scan_prints_the_asked_part_of_the_asked_entries() {
    let dir = tempfile::tempdir().expect("a directory");
    import(dir.path(), b"{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":\"b\",\"value\":\"2\"}\n{\"key\":\"bb\",\"value\":{\"base64\":\"/w==\"}}\n{\"key\":\"c\",\"value\":\"4\"}\n").success();
    let scan = |flags: &[&str]| command(&["scan"], dir.path(), flags).success().stdout;
    assert_eq!(scan(&[]), b"a\t1\nb\t2\nbb\t\xff\nc\t4\n");
    assert_eq!(
        scan(&["--keys", "--reverse", "--limit", "3"]),
        b"c\nbb\nb\n"
    );
    assert_eq!(scan(&["--values", "--gt", "a", "--lt", "c"]), b"2\n\xff\n");
    assert_eq!(scan(&["--keys", "--gte", "b", "--lte", "bb"]), b"b\nbb\n");
    assert_eq!(
        scan(&["--json", "--prefix", "bb"]),
        b"{\"key\":\"bb\",\"value\":{\"base64\":\"/w==\"}}\n"
    );
    assert_eq!(scan(&["--json", "--keys", "--limit", "1"]), b"\"a\"\n");
}

#[test]
fn put_get_and_del_do_what_they_say() {
    let dir = tempfile::tempdir().expect("a directory");
    command(
        &["put"],
        dir.path(),
        &["a", "1", "b", "two words", "-", "3"],
    )
    .success();
    assert_eq!(
        command(&["get"], dir.path(), &["b", "a"]).success().text(),
        "two words\n1\n"
    );
    assert_eq!(
        command(&["get"], dir.path(), &["--raw", "a"])
            .success()
            .text(),
        "1"
    );
    command(&["del"], dir.path(), &["--sync", "a", "never"]).success();
    let done = command(&["get"], dir.path(), &["--json", "a", "b"]);
    assert_eq!(done.code(), 1);
    assert_eq!(
        done.text(),
        "{\"key\":\"a\",\"value\":null}\n{\"key\":\"b\",\"value\":\"two words\"}\n"
    );
}

#[cfg(unix)]
#[test]
fn arguments_may_be_any_bytes() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().expect("a directory");
    let (put, get, bytes) = (
        OsStr::new("put"),
        OsStr::new("get"),
        OsStr::from_bytes(b"\xff\x01"),
    );
    run(PROGRAM, [put, dir.path().as_os_str(), bytes, bytes]).success();
    assert_eq!(
        run(PROGRAM, [get, dir.path().as_os_str(), bytes])
            .success()
            .stdout,
        b"\xff\x01\n"
    );
}
