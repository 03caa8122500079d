//! `docs/RELIABILITY.md` names the test that holds each promise; here each name must be that of a test.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const PAGE: &str = include_str!("../../../docs/RELIABILITY.md");

#[test]
fn every_test_that_the_page_names_exists() {
    let mut tests = BTreeSet::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join(".."),
        &mut tests,
    );
    let named = names(PAGE);
    assert!(named.len() > 100, "the page names {} tests", named.len());
    let gone: Vec<_> = named.difference(&tests).collect();
    assert!(
        gone.is_empty(),
        "named in docs/RELIABILITY.md, and no function: {gone:?}"
    );
}

/// What stands between backticks and reads like a test's name: words joined by underscores, four at least.
fn names(page: &str) -> BTreeSet<String> {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    let is_name = |name: &&str| name.split('_').count() >= 4 && name.split('_').all(is_word);
    page.split('`')
        .skip(1)
        .step_by(2)
        .filter(is_name)
        .map(str::to_owned)
        .collect()
}

/// The functions in all Rust files below `dir`.
fn collect(dir: &Path, tests: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).expect("the sources are readable") {
        let path = entry.expect("the sources are readable").path();
        if path.is_dir() {
            collect(&path, tests);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).expect("sources are text");
            for definition in source.split("fn ").skip(1) {
                let name = definition.split(['(', '<']).next().unwrap_or_default();
                tests.insert(name.to_owned());
            }
        }
    }
}
