//! The headers say what the library has.

use std::collections::BTreeSet;
use std::path::Path;

const LEVELDB_H: &str = include_str!("../include/level_party/leveldb.h");
const LEVEL_PARTY_H: &str = include_str!("../include/level_party/level_party.h");

/// The text without its comments.
fn code(header: &str) -> String {
    let mut code = String::new();
    let mut rest = header;
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").expect("a comment ends").1;
    }
    code + rest
}

/// The names behind which a bracket opens and that begin as those of this library.
fn functions(header: &str) -> BTreeSet<String> {
    let code = code(header);
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = code
        .split('(')
        .map(|before| before.rsplit(|c| !is_part(c)).next().unwrap_or_default());
    names
        .filter(|name| name.starts_with("leveldb_") || name.starts_with("lp_"))
        .map(str::to_owned)
        .collect()
}

fn sources() -> String {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut text = String::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "rs") {
            text += &std::fs::read_to_string(path).unwrap();
        }
    }
    text
}

/// The functions of a source that other programs can call.
fn exported(source: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in source.match_indices("fn ") {
        let name: String = source[at + 3..]
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        if name.starts_with("leveldb_") || name.starts_with("lp_") {
            names.insert(name);
        }
    }
    names
}

#[test]
fn headers_declare_the_functions_that_are_defined() {
    let leveldb = functions(LEVELDB_H);
    assert_eq!(leveldb.len(), 68, "as LevelDB 1.23 has them");
    assert!(leveldb.iter().all(|name| name.starts_with("leveldb_")));
    let ours = functions(LEVEL_PARTY_H);
    assert!(ours.iter().all(|name| name.starts_with("lp_")), "{ours:?}");
    let declared: BTreeSet<_> = leveldb.union(&ours).cloned().collect();
    assert_eq!(declared, exported(&sources()));
}

/// The rows of the table of options: a function, and whether it has an effect.
fn table() -> Vec<(String, bool)> {
    let rows = LEVELDB_H
        .lines()
        .filter(|line| line.trim_start().starts_with("| leveldb_"));
    rows.map(|row| {
        let mut cells = row.split('|').skip(1).map(str::trim);
        let name = cells.next().unwrap().to_owned();
        let effect = cells.next().unwrap();
        let has_effect = effect.starts_with("yes");
        assert!(has_effect || effect.starts_with("none: "), "{row}");
        (name, has_effect)
    })
    .collect()
}

#[test]
fn option_table_is_whole_and_names_the_ignored_ones() {
    let setters: BTreeSet<_> = functions(LEVELDB_H)
        .into_iter()
        .filter(|name| name.contains("options_set_"))
        .collect();
    let table = table();
    let rows: BTreeSet<_> = table.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(table.len(), rows.len(), "no option is there twice");
    assert_eq!(rows, setters);
    let options = include_str!("../src/options.rs");
    let ignored = options.split("\nwithout_effect! {").nth(1).unwrap();
    let ignored = exported(ignored.split("\n}").next().unwrap());
    let without: BTreeSet<_> = table
        .into_iter()
        .filter_map(|(name, has_effect)| (!has_effect).then_some(name))
        .collect();
    assert_eq!(without, ignored);
}

#[test]
fn limits_in_the_header_are_those_of_a_batch() {
    assert!(
        LEVELDB_H
            .contains("Keys have up to 16 MiB, a batch up to 64 MiB and 4,194,304 operations.")
    );
    assert_eq!(party::WriteBatch::MAX_KEY_BYTES, 16 << 20);
    assert_eq!(party::WriteBatch::MAX_BYTES, 64 << 20);
    assert_eq!(party::WriteBatch::MAX_LEN, 4_194_304);
}
