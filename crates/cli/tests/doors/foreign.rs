//! Other products' directories: named by every command, and left as they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use level_party_testkit::foreign::{
    Compression, Files, bedrock_world, git_lfs, riak, rocksdb, unknown_compression, write_files,
};
use level_party_testkit::{ExecChild, Finished, run};

use crate::{PROGRAM, SERVED_WITHIN, leader, refused, temp, within};

/// Every command that opens or mends a database, with what it needs behind the directory.
const COMMANDS: &[(&str, &[&str])] = &[
    ("get", &["a"]),
    ("put", &["a", "1"]),
    ("del", &["a"]),
    ("scan", &[]),
    ("count", &[]),
    ("batch", &["put", "a", "1"]),
    ("clear", &["--all"]),
    ("import", &[]),
    ("export", &[]),
    ("watch", &[]),
    ("status", &[]),
    ("serve", &[]),
    ("yield", &[]),
    ("compact", &[]),
    ("verify", &[]),
    ("checkpoint", &["COPY"]),
    ("exec", &[]),
    ("repair", &[]),
    ("repair", &["--yes"]),
    ("destroy", &["--yes"]),
];
/// Those of them that write.
const WRITERS: &[&str] = &[
    "put", "del", "batch", "clear", "import", "serve", "compact", "exec",
];

/// All files below a directory, by path.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(contents(&path)),
            false => {
                let bytes = std::fs::read(&path).expect("read");
                found.insert(path, bytes);
            }
        }
    }
    found
}

fn command((name, rest): (&str, &[&str]), dir: &Path) -> Finished {
    let copy = dir.with_extension("copy");
    let copy = copy.to_str().expect("plain");
    let words = rest.iter().map(|word| match *word {
        "COPY" => copy,
        word => word,
    });
    let dir = dir.to_str().expect("plain");
    run(PROGRAM, [name, dir].into_iter().chain(words))
}

/// Every command refuses the directory in these words, hints at no repair, and leaves every file as it was.
fn is_left_alone(files: &Files, words: &[&str]) {
    let tmp = temp();
    let dir = tmp.path().join("db");
    write_files(&dir, files);
    let before = contents(tmp.path());
    for given in COMMANDS {
        let done = command(*given, &dir);
        refused(&done, words);
        assert!(!done.stderr.contains("hint"), "{given:?}: {}", done.stderr);
        assert!(
            contents(tmp.path()) == before,
            "{given:?} changed something"
        );
    }
}

#[test]
fn every_command_names_a_rocksdb_database_and_leaves_it() {
    is_left_alone(&rocksdb(), &["is a RocksDB database, not LevelDB"]);
}

#[test]
fn every_command_names_riaks_tables_and_leaves_them() {
    is_left_alone(&riak(), &["Riak", "sst_0 to sst_6"]);
}

#[test]
fn every_command_names_a_git_lfs_pointer_and_leaves_it() {
    is_left_alone(&git_lfs(|_| false), &["Git LFS pointer", "git lfs pull"]);
    let tables = git_lfs(|name| !name.ends_with(".ldb"));
    is_left_alone(&tables, &["000005.ldb is a Git LFS pointer"]);
}

#[test]
fn a_bedrock_world_is_read_without_an_option_and_not_written() {
    for compression in [Compression::Zlib, Compression::ZlibRaw] {
        let tmp = temp();
        let dir = tmp.path().join("db");
        write_files(&dir, &bedrock_world(compression));
        let before = contents(&dir);
        for given in COMMANDS {
            if WRITERS.contains(&given.0) {
                let done = command(*given, &dir);
                refused(&done, &["Minecraft Bedrock", "--compression zlib-raw"]);
                assert!(contents(&dir) == before, "{given:?} changed something");
            }
        }
        assert_eq!(command(("get", &["new"]), &dir).success().text(), "1\n");
        let counted = command(("count", &[]), &dir).success();
        assert_eq!(counted.text(), "101\n");
        for name in ["scan", "export", "status", "verify"] {
            command((name, &[]), &dir).success();
        }
        command(("checkpoint", &["COPY"]), &dir).success();
        refused(&command(("put", &["a", "1"]), &dir), &["Minecraft Bedrock"]);
        command(("put", &["a", "1", "--compression", "zlib-raw"]), &dir).success();
        command(("compact", &["--compression", "zlib-raw"]), &dir).success();
        assert_eq!(command(("count", &[]), &dir).success().text(), "102\n");
        // Still a world's.
        refused(&command(("put", &["a", "1"]), &dir), &["Minecraft Bedrock"]);
    }
}

#[test]
fn a_writer_beside_a_reader_of_a_bedrock_world_is_refused() {
    let tmp = temp();
    let dir = tmp.path().join("db");
    write_files(&dir, &bedrock_world(Compression::ZlibRaw));
    let raw = ["--compression", "zlib-raw"];
    let mut leader = ExecChild::spawn_with(PROGRAM, &dir, raw);
    assert_eq!(leader.leader_pid(), leader.pid());
    let follower = within(SERVED_WITHIN, "put", &dir, &["a", "1"]);
    refused(&follower, &["Minecraft Bedrock", "--compression zlib-raw"]);
    let rest = [&["a", "1"], &raw[..]].concat();
    within(SERVED_WITHIN, "put", &dir, &rest).success();
    let read = within(SERVED_WITHIN, "get", &dir, &["a"]).success();
    assert_eq!(read.text(), "1\n");
}

#[test]
fn repair_drops_no_sound_block_of_unknown_compression() {
    let tmp = temp();
    let dir = tmp.path().join("db");
    write_files(&dir, &unknown_compression());
    std::fs::remove_file(dir.join("CURRENT")).expect("removed");
    let before = contents(&dir);
    let words = ["000005.ldb has a sound block", "number 77"];
    let plan = command(("repair", &[]), &dir);
    assert_eq!(plan.code(), 1, "{}", plan.stderr);
    assert!(plan.stderr.contains(words[1]), "{}", plan.stderr);
    refused(&command(("repair", &["--yes"]), &dir), &words);
    let mut after = contents(&dir);
    after.retain(|path, _| !path.ends_with("LOCK"));
    assert!(after == before, "something was changed");
}

#[test]
fn a_survivor_takes_over_from_a_leader_of_another_compression() {
    let tmp = temp();
    let dir = tmp.path().join("db");
    let first = leader(&dir);
    let raw = ["--compression", "zlib-raw"];
    let mut second = ExecChild::spawn_with(PROGRAM, &dir, raw);
    let mut third = ExecChild::spawn(PROGRAM, &dir);
    second.put("a", "1");
    third.put("b", "2");
    // So that the second leads next.
    third.pause();
    first.close();
    for at in 0..20 {
        second.put(&format!("k{at}"), "the same again and again and again");
    }
    let compacted = within(SERVED_WITHIN, "compact", &dir, &raw);
    compacted.success();
    third.resume();
    assert!(third.get("k0").is_some());
    second.kill();
    assert_eq!(third.get("a").as_deref(), Some("1"));
    third.put("c", "3");
    assert_eq!(third.leader_pid(), third.pid());
}

#[test]
fn ordinary_databases_need_no_compression_to_be_told() {
    let tmp = temp();
    let dir = tmp.path().join("db");
    let mut leader = leader(&dir);
    leader.put("a", "1");
    let none = ["b", "2", "--compression", "none"];
    within(SERVED_WITHIN, "put", &dir, &none).success();
    assert_eq!(leader.get("b").as_deref(), Some("2"));
}
