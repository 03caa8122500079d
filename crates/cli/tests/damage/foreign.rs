//! Other products' directories, and files that are no database's: named, and nothing is changed.

use level_party_testkit::damage::{Compression, Files, cases, stored_types};

use crate::Damaged;

/// Every command names the product and what to do, and nothing is changed.
fn refused_by_name(files: Files, words: &[&str]) {
    let damaged = Damaged::new(files);
    for command in [
        &["get", "k0001"][..],
        &["count"],
        &["export"],
        &["status"],
        &["verify"],
        &["put", "a", "1"],
        &["compact"],
        &["repair"],
        &["repair", "--yes"],
    ] {
        damaged.refuses(command, words);
        damaged.is_unchanged();
    }
}

fn minecraft_is_read_and_kept(compression: Compression) {
    let world = || Damaged::new(cases::compressed(compression));
    let damaged = world();
    damaged.says(0, &["repair"], &["nothing is wrong"]);
    damaged.says(0, &["repair", "--yes"], &["nothing is wrong"]);
    damaged.is_unchanged();
    assert_eq!(damaged.count(), 101);
    damaged.says(0, &["get", "new"], &["1"]);
    let entries = damaged.entries();
    assert_eq!((&*entries["k0099"], &*entries["new"]), ("v99", "1"));
    damaged.says(0, &["verify"], &["nothing is wrong"]);
    damaged.says(0, &["repair"], &["nothing is wrong"]);
    the_game_reads(&damaged);
    assert!(
        Files::read_from(&damaged.dir).get("000005.ldb") == damaged.files.get("000005.ldb"),
        "reading replaces the table"
    );
}

/// Whether all tables are stored as the game stores its own: plain, zlib or raw deflate.
fn the_game_reads(damaged: &Damaged) {
    for (name, contents) in Files::read_from(&damaged.dir).0 {
        if name.ends_with(".ldb") && !name.starts_with("level-party.") {
            let types = stored_types(&contents);
            let known = types.iter().all(|number| [0, 2, 4].contains(number));
            assert!(known, "{name} is stored as {types:?}");
        }
    }
}

#[test]
fn minecraft_deflate_blocks_are_read_and_never_dropped() {
    minecraft_is_read_and_kept(Compression::ZlibRaw);
}

#[test]
fn minecraft_zlib_blocks_are_read_and_never_dropped() {
    minecraft_is_read_and_kept(Compression::Zlib);
}

#[test]
fn minecraft_world_is_not_written_to_by_default() {
    for compression in [Compression::ZlibRaw, Compression::Zlib] {
        let damaged = Damaged::new(cases::compressed(compression));
        for command in [&["put", "a", "1"][..], &["del", "new"], &["compact"]] {
            damaged.refuses(command, &["Minecraft"]);
            damaged.is_unchanged();
        }
        assert_eq!(damaged.count(), 101);
    }
}

#[test]
fn minecraft_world_stays_usable_when_written_to_as_asked() {
    let damaged = Damaged::new(cases::compressed(Compression::ZlibRaw));
    let asked = ["--compression", "zlib-raw"];
    let put = ["put", "k0000", "changed"];
    damaged.says(0, &[&put[..], &asked[..]].concat(), &[]);
    damaged.says(0, &[&["compact"][..], &asked[..]].concat(), &[]);
    the_game_reads(&damaged);
    let entries = damaged.entries();
    assert_eq!((entries.len(), &*entries["k0000"]), (101, "changed"));
    damaged.says(0, &["verify"], &["nothing is wrong"]);
}

#[test]
fn repair_without_current_keeps_minecraft_blocks() {
    for compression in [Compression::ZlibRaw, Compression::Zlib] {
        let mut files = cases::compressed(compression);
        files.put("CURRENT", [0; 16]);
        let damaged = Damaged::new(files);
        damaged.says(0, &["repair", "--yes"], &["repaired"]);
        assert_eq!(damaged.count(), 101);
        the_game_reads(&damaged);
    }
}

#[test]
fn rocksdb_tables_alone_are_named_and_left_alone() {
    let mut files = cases::rocksdb();
    for name in ["OPTIONS-000007", "IDENTITY", "CURRENT", "MANIFEST-000005"] {
        files.take(name);
    }
    refused_by_name(files, &["RocksDB"]);
}

#[test]
fn repair_refuses_where_nothing_would_be_kept() {
    let mut files = cases::sound();
    for contents in files.0.values_mut() {
        contents.fill(0);
    }
    let damaged = Damaged::new(files);
    damaged.refuses(&["repair", "--yes"], &["nothing"]);
    damaged.is_unchanged();
}

#[test]
fn sound_blocks_of_unknown_compression_are_never_dropped() {
    let damaged = Damaged::new(cases::unknown_compression());
    damaged.run("repair", &[]);
    damaged.is_unchanged();
    damaged.run("repair", &["--yes"]);
    damaged.refuses(&["get", "k0001"], &["compression", "77"]);
    let now = Files::read_from(&damaged.dir);
    assert!(now.get("000005.ldb") == damaged.files.get("000005.ldb"));
}

#[test]
fn repair_without_current_keeps_blocks_of_unknown_compression() {
    let mut files = cases::unknown_compression();
    files.take("CURRENT");
    let damaged = Damaged::new(files);
    damaged.run("repair", &["--yes"]);
    damaged.still_holds("000005.ldb");
}
