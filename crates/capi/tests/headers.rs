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

/// The functions without an effect, as the page tells them: the first cell of each row that names a function of an option.
fn functions_without_effect() -> BTreeSet<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/DIFFERENCES.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let rows: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `leveldb_")?.split_once('`'))
        .map(|(name, _)| format!("leveldb_{name}"))
        .collect();
    let names: BTreeSet<_> = rows.iter().cloned().collect();
    assert_eq!(names.len(), rows.len(), "no function is there twice");
    names
}

#[test]
fn only_the_listed_options_have_no_effect() {
    let options = include_str!("../src/options.rs");
    let ignored = options.split("\nwithout_effect! {").nth(1).unwrap();
    let ignored = exported(ignored.split("\n}").next().unwrap());
    assert_eq!(functions_without_effect(), ignored);
    assert!(
        LEVELDB_H.contains("Options: seven have no effect") && ignored.len() == 7,
        "{ignored:?}"
    );
}
