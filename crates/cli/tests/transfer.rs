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
    assert!(took.stdout.is_empty() && !took.stderr.contains("stopped"));
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
fn numbers_below_zero_are_keys_and_values_and_no_flags() {
    let dir = tempfile::tempdir().expect("a directory");
    command(&["put"], dir.path(), &["-1", "-2.5", "--", "-k", "-v"]).success();
    let done = command(&["get"], dir.path(), &["-1", "--", "-k"]).success();
    assert_eq!(done.text(), "-2.5\n-v\n");
    let done = command(&["scan", "--keys"], dir.path(), &["--from", "-5"]).success();
    assert_eq!(done.text(), "-k\n");
    command(&["del"], dir.path(), &["-1"]).success();
    let done = command(&["count"], dir.path(), &["--prefix", "-1"]).success();
    assert_eq!(done.text(), "0\n");
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

#[test]
fn encodings_say_how_keys_and_values_are_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = |words: &[&str], flags: &[&str]| command(words, dir.path(), flags);
    let hex = ["--key-encoding", "hex", "--value-encoding", "base64"];
    db(&["put"], &[&hex[..], &["00ff", "AP8="]].concat()).success();
    let json = ["--value-encoding", "json"];
    db(
        &["put"],
        &[&json[..], &["doc", "{ \"a\": [1, \" \"] }"]].concat(),
    )
    .success();
    let text = |done: Finished| done.success().text().to_string();
    assert_eq!(
        text(db(&["get"], &[&hex[..], &["00ff"]].concat())),
        "AP8=\n"
    );
    assert_eq!(text(db(&["get"], &["doc"])), "{\"a\":[1,\" \"]}\n");
    assert_eq!(
        text(db(&["get"], &[&json[..], &["--json", "doc"]].concat())),
        "{\"key\":\"doc\",\"value\":{\"a\":[1,\" \"]}}\n"
    );
    assert_eq!(
        text(db(
            &["scan"],
            &["--key-encoding", "hex", "--keys", "--before", "01"]
        )),
        "00ff\n"
    );
    // If it can't be shown so, the error says how it can.
    let done = db(&["scan"], &json);
    assert_eq!(done.code(), 2);
    assert!(
        done.stderr
            .contains("is not JSON; print it with another encoding"),
        "{}",
        done.stderr
    );
    for (flags, words) in [
        (&["--key-encoding", "hex", "0"][..], "two digits a byte"),
        (&["--key-encoding", "base64", "?"], "not base64"),
        (
            &["--key-encoding", "octal", "7"],
            "possible values: bytes, utf8, json, hex, base64",
        ),
    ] {
        let done = db(&["get"], flags);
        assert_eq!(done.code(), 2, "{}", done.stderr);
        assert!(done.stderr.contains(words), "{}", done.stderr);
    }
    // Export and import agree on them.
    db(&["del"], &["--key-encoding", "hex", "00ff"]).success();
    let exported = db(&["export"], &json).success();
    assert_eq!(
        exported.text(),
        "{\"key\":\"doc\",\"value\":{\"a\":[1,\" \"]}}\n"
    );
    let other = tempfile::tempdir().expect("a directory");
    let other = other.path().to_str().expect("plain");
    let flags = ["import", "--value-encoding", "json", other];
    run_with_input(PROGRAM, flags, exported.stdout).success();
    assert_eq!(
        run(PROGRAM, ["get", other, "doc"]).success().text(),
        "{\"a\":[1,\" \"]}\n"
    );
    let done = run_with_input(
        PROGRAM,
        ["import", "--key-encoding", "hex", other],
        b"{\"key\":\"xy\",\"value\":\"\"}\n".to_vec(),
    );
    assert_eq!(done.code(), 2);
    assert!(
        done.stderr
            .contains("line 1: the key: it is not hexadecimal"),
        "{}",
        done.stderr
    );
}

#[test]
fn sublevels_are_given_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = |words: &[&str], flags: &[&str]| {
        command(words, dir.path(), flags)
            .success()
            .text()
            .to_string()
    };
    let (users, ada) = (
        ["--sublevel", "users"],
        ["--sublevel", "users", "--sublevel", "ada"],
    );
    text(&["put"], &[&users[..], &["ada", "Lovelace"]].concat());
    text(&["put"], &[&ada[..], &["born", "1815"]].concat());
    assert_eq!(
        text(&["scan"], &[]),
        "!users!!ada!born\t1815\n!users!ada\tLovelace\n"
    );
    assert_eq!(text(&["scan"], &ada), "born\t1815\n");
    assert_eq!(text(&["count"], &users), "2\n");
    assert_eq!(
        text(&["export"], &ada),
        "{\"key\":\"born\",\"value\":\"1815\"}\n"
    );
    text(&["clear"], &[&ada[..], &["--all"]].concat());
    assert_eq!(text(&["scan"], &[]), "!users!ada\tLovelace\n");
    let done = command(&["get"], dir.path(), &["--sublevel", "a b", "a"]);
    assert_eq!(done.code(), 2);
    assert!(done.stderr.contains("--sublevel"), "{}", done.stderr);
}

#[test]
fn a_batch_is_given_as_words_or_lines_and_is_whole_or_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = |words: &[&str], flags: &[&str]| {
        command(words, dir.path(), flags)
            .success()
            .text()
            .to_string()
    };
    text(&["batch"], &["put", "a", "1", "put", "b", "2", "del", "a"]);
    assert_eq!(text(&["scan"], &[]), "b\t2\n");
    let lines = |input: &str| {
        run_with_input(
            PROGRAM,
            ["batch".as_ref(), dir.path().as_os_str()],
            input.as_bytes().to_vec(),
        )
    };
    lines("{\"type\":\"put\",\"key\":\"c\",\"value\":{\"base64\":\"eA==\"}}\n\n{\"key\":\"b\",\"type\":\"del\"}").success();
    assert_eq!(text(&["scan"], &[]), "c\tx\n");
    for (input, word) in [
        (
            "{\"type\":\"put\",\"key\":\"d\",\"value\":\"\"}\nnonsense",
            "line 2:",
        ),
        (
            "{\"type\":\"put\",\"key\":\"d\"}",
            "the field \"value\" is missing",
        ),
        (
            "{\"type\":\"del\",\"key\":\"d\",\"value\":\"\"}",
            "a delete has no value",
        ),
        (
            "{\"type\":\"put\",\"key\":\"d\",\"key\":\"e\",\"value\":\"\"}",
            "the field \"key\" is given twice",
        ),
        (
            "{\"type\":\"fly\",\"key\":\"d\"}",
            "the type \"fly\" is none",
        ),
        ("{\"key\":\"d\"}", "the field \"type\" is missing"),
    ] {
        let done = lines(input);
        assert_eq!(done.code(), 2, "{input}");
        assert!(
            done.stderr.contains(word) && done.stderr.contains("nothing was written"),
            "{}",
            done.stderr
        );
    }
    for flags in [&["put", "a"][..], &["del"], &["fly", "a"]] {
        assert_eq!(
            command(&["batch"], dir.path(), flags).code(),
            2,
            "{flags:?}"
        );
    }
    assert_eq!(text(&["scan"], &[]), "c\tx\n");
}

#[test]
fn count_and_clear_take_a_range() {
    let dir = tempfile::tempdir().expect("a directory");
    import(dir.path(), &lines()).success();
    let count = |flags: &[&str]| {
        command(&["count"], dir.path(), flags)
            .success()
            .text()
            .to_string()
    };
    assert_eq!(count(&[]), "3002\n");
    assert_eq!(count(&["--prefix", "0000"]), "100\n");
    assert_eq!(count(&["--from", "000010", "--to", "000012"]), "3\n");
    assert_eq!(count(&["--after", "000010", "--before", "000012"]), "1\n");
    let done = command(&["clear"], dir.path(), &[]);
    assert_eq!(done.code(), 2);
    assert!(done.stderr.contains("--all"), "{}", done.stderr);
    assert_eq!(
        command(&["clear"], dir.path(), &["--all", "--prefix", "0"]).code(),
        2
    );
    let done = command(&["clear"], dir.path(), &["--prefix", "0000"]).success();
    assert_eq!(done.stderr, "removed 100 entries\n");
    assert_eq!(count(&[]), "2902\n");
    command(&["clear"], dir.path(), &["--all"]).success();
    assert_eq!(count(&[]), "0\n");
}

#[test]
fn compact_and_verify_say_what_they_found() {
    let dir = tempfile::tempdir().expect("a directory");
    import(dir.path(), &lines()).success();
    let done = command(&["compact"], dir.path(), &[]).success();
    assert!(done.stderr.contains("tables held"), "{}", done.stderr);
    let done = command(&["verify"], dir.path(), &[]).success();
    assert!(
        done.text().starts_with("nothing is wrong; "),
        "{}",
        done.text()
    );
    assert!(
        done.text().contains("3,002 stored entries"),
        "{}",
        done.text()
    );
    let table = std::fs::read_dir(dir.path())
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.extension().is_some_and(|end| end == "ldb"))
        .expect("a table");
    let mut bytes = std::fs::read(&table).expect("read");
    bytes[100] ^= 1;
    std::fs::write(&table, bytes).expect("written");
    let done = command(&["verify"], dir.path(), &["--json"]);
    assert_eq!(done.code(), 1, "{}", done.stderr);
    assert!(
        done.text().contains("\"problems\":[{\"file\":\""),
        "{}",
        done.text()
    );
}

#[test]
fn a_checkpoint_is_a_database_of_its_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let (db, copy) = (dir.path().join("db"), dir.path().join("copy"));
    command(&["put"], &db, &["a", "1"]).success();
    let to = copy.to_str().expect("plain");
    let done = command(&["checkpoint"], &db, &[to]).success();
    assert!(done.stderr.contains("up to sequence 1"), "{}", done.stderr);
    command(&["put"], &db, &["a", "2"]).success();
    assert_eq!(command(&["get"], &copy, &["a"]).success().text(), "1\n");
    let again = command(&["checkpoint"], &db, &[to]);
    assert_eq!(again.code(), 3);
    assert!(again.stderr.contains(to), "{}", again.stderr);
}

#[test]
fn destroy_asks_first_and_names_who_has_it_open() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = dir.path().join("db");
    command(&["put"], &db, &["a", "1"]).success();
    std::fs::write(db.join("notes.txt"), "mine").expect("written");
    let asked = command(&["destroy"], &db, &[]);
    assert_eq!(asked.code(), 2);
    assert!(asked.stderr.contains("--yes"), "{}", asked.stderr);
    assert_eq!(command(&["get"], &db, &["a"]).success().text(), "1\n");
    let mut holder = level_party_testkit::ExecChild::spawn(PROGRAM, &db);
    assert_eq!(holder.status()["role"], "leader");
    let held = command(&["destroy"], &db, &["--yes"]);
    assert_eq!(held.code(), 3);
    assert!(
        held.stderr.contains(&holder.pid().to_string()),
        "{}",
        held.stderr
    );
    assert!(holder.close().success());
    let done = command(&["destroy"], &db, &["--yes"]).success();
    assert!(done.stderr.contains("left: notes.txt"), "{}", done.stderr);
    assert_eq!(
        std::fs::read(db.join("notes.txt")).expect("still there"),
        b"mine"
    );
    assert_eq!(command(&["get"], &db, &["a"]).code(), 3);
    assert_eq!(command(&["destroy"], &db, &["--yes"]).code(), 3);
}

#[test]
fn repair_says_what_it_would_do_and_does_it_when_told() {
    let dir = tempfile::tempdir().expect("a directory");
    command(&["put"], dir.path(), &["a", "1"]).success();
    let sound = command(&["repair"], dir.path(), &["--yes"]).success();
    assert_eq!(
        (sound.text(), sound.stderr.as_str()),
        ("", "nothing is wrong, nothing was done\n")
    );
    std::fs::remove_file(dir.path().join("CURRENT")).expect("removed");
    let plan = command(&["repair"], dir.path(), &[]);
    assert_eq!(plan.code(), 1);
    assert!(
        plan.text().contains("wrong    CURRENT") && plan.text().contains("to do    "),
        "{}",
        plan.text()
    );
    assert!(!dir.path().join("CURRENT").exists());
    let json = command(&["repair"], dir.path(), &["--json"]);
    assert!(
        json.text()
            .starts_with("{\"problems\":[{\"file\":\"CURRENT\""),
        "{}",
        json.text()
    );
    command(&["repair"], dir.path(), &["--yes"]).success();
    assert_eq!(
        command(&["get"], dir.path(), &["a"]).success().text(),
        "1\n"
    );
}
