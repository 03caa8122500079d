//! `docs/FORMAT.md` says what the code does: each constant that it links to has the value that it gives, and each test
//! that it links to exists.

use std::fs;
use std::path::{Path, PathBuf};

/// A link of the page whose label is code: its line, its label, and the file it leads to.
struct Link<'a> {
    line: &'a str,
    label: &'a str,
    path: &'a str,
}

impl Link<'_> {
    /// What it leads to: a file, or all sources of a folder.
    fn source(&self) -> String {
        let path = docs().join(self.path);
        if !path.is_dir() {
            return read(self.path);
        }
        let mut sources = String::new();
        let mut folders = vec![path];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("a folder can be listed") {
                let path = entry.expect("a folder can be listed").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ext| ext == "rs") {
                    sources.push_str(&fs::read_to_string(&path).expect("a source can be read"));
                }
            }
        }
        sources
    }
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// A file by its path from `docs/`.
fn read(path: &str) -> String {
    fs::read_to_string(docs().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn links(page: &str) -> Vec<Link<'_>> {
    let mut links = Vec::new();
    for line in page.lines() {
        for piece in line.split("[`").skip(1) {
            if let Some((label, rest)) = piece.split_once("`](") {
                let path = rest.split(')').next().expect("split gives a first part");
                links.push(Link { line, label, path });
            }
        }
    }
    links
}

/// Test names are sentences; no constant is.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "given to `filter`")]
fn is_test(link: &&Link) -> bool {
    link.label.contains('_') && !link.label.contains(|c: char| c.is_ascii_uppercase())
}

/// What the source says `name` is: the rest of its declaration, spaces made one.
fn value_in(source: &str, name: &str) -> Option<String> {
    let declared = source.lines().enumerate().find_map(|(at, line)| {
        let line = line.trim_start();
        let constant = line.split_once("const ").is_some_and(|(before, rest)| {
            before
                .chars()
                .all(|c| c.is_ascii_lowercase() || "() ".contains(c))
                && rest
                    .strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with(':'))
        });
        let variant = line
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(" = "));
        (constant || variant).then_some(at)
    })?;
    let rest: Vec<&str> = source.lines().skip(declared).collect();
    let (_, value) = rest
        .join(" ")
        .split_once(" = ")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))?;
    let value = value.split([';']).next()?.trim();
    // A variant ends with a comma.
    let value = value.split(", ").next()?;
    Some(value.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[test]
fn every_constant_has_the_value_that_the_page_gives() {
    let page = read("FORMAT.md");
    let links = links(&page);
    let mut checked = 0;
    for link in links.iter().filter(|link| !is_test(link)) {
        let cell = link.line.split('|').nth(2).unwrap_or_default().trim();
        let said = cell.trim_matches('`');
        let is = value_in(&link.source(), link.label);
        assert_eq!(is.as_deref(), Some(said), "{} in {}", link.label, link.path);
        checked += 1;
    }
    assert!(checked > 60, "the page names only {checked} constants");
}

#[test]
fn every_test_that_the_page_names_exists() {
    let page = read("FORMAT.md");
    let links = links(&page);
    let mut checked = 0;
    for link in links.iter().filter(is_test) {
        let declared = format!("fn {}()", link.label);
        let source = link.source();
        let found = source
            .split(&declared)
            .next()
            .filter(|before| before.len() < source.len());
        let before = found.unwrap_or_else(|| panic!("no test {} in {}", link.label, link.path));
        // Attributes and comments may stand between.
        let near = before
            .lines()
            .rev()
            .skip_while(|line| line.trim().is_empty());
        let is_test = near.take(3).any(|line| line.trim() == "#[test]");
        assert!(is_test, "{} in {} is no test", link.label, link.path);
        checked += 1;
    }
    assert!(checked > 80, "the page names only {checked} tests");
}

#[test]
fn every_rule_has_a_test_or_says_that_it_has_none() {
    let page = read("FORMAT.md");
    let (mut rules, mut in_rules) = (0, false);
    for line in page.lines() {
        if !line.starts_with('|') {
            in_rules = false;
        } else if line.starts_with("| rule") {
            in_rules = true;
        } else if in_rules && !line.starts_with("|---") {
            let held_by = line
                .trim_end_matches(" |")
                .rsplit(" | ")
                .next()
                .unwrap_or_default();
            assert!(held_by == "-" || held_by.contains("[`"), "{line}");
            rules += 1;
        }
    }
    assert!(rules > 60, "the page has only {rules} rules");
}
