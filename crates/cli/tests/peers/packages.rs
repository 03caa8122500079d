//! The main job: Debian's package index, imported by several processes at once.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use level_party_testkit::{Peer, run};
use serde_json::{Value, json};

use crate::PROGRAM;

const IMPORTERS: usize = 4;
/// Fewer stanzas than this is no package index: its lists were not fetched (`apt-get update`).
const FEWEST_STANZAS: usize = 10_000;

/// Package name -> stanza; of several versions of a package the last one listed.
fn stanzas() -> BTreeMap<String, String> {
    let index = run("apt-cache", ["dumpavail"]).success();
    let text = String::from_utf8_lossy(&index.stdout);
    let stanza = |stanza: &str| {
        let name = stanza
            .lines()
            .find_map(|line| line.strip_prefix("Package: "))?;
        Some((name.to_string(), stanza.to_string()))
    };
    let stanzas: BTreeMap<_, _> = text.split("\n\n").filter_map(stanza).collect();
    assert!(
        stanzas.len() > FEWEST_STANZAS,
        "only {} stanzas: run apt-get update",
        stanzas.len()
    );
    stanzas
}

/// Imports the stanzas in several processes at once, each its share.
fn import(dir: &Path, stanzas: &BTreeMap<String, String>) {
    let parts = tempfile::tempdir().expect("a directory");
    let mut children = Vec::new();
    for part in 0..IMPORTERS {
        let lines: String = stanzas
            .iter()
            .skip(part)
            .step_by(IMPORTERS)
            .map(|(name, stanza)| format!("{}\n", json!({"key": name, "value": stanza})))
            .collect();
        let file = parts.path().join(format!("{part}.jsonl"));
        std::fs::write(&file, lines).expect("the part is written");
        let child = Command::new(PROGRAM)
            .arg("import")
            .args([dir, &file])
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the program");
        children.push(child);
    }
    for mut child in children {
        assert!(child.wait().expect("an import").success());
    }
}

#[test]
fn package_index_passes_to_cpp_leveldb_and_back() {
    let stanzas = stanzas();
    let ours = tempfile::tempdir().expect("a directory");
    import(ours.path(), &stanzas);
    let read = Peer::leveldb_1_23().dump(ours.path());
    assert_eq!(read.len(), stanzas.len());
    let bytes = || {
        stanzas
            .iter()
            .map(|(name, stanza)| (name.as_bytes(), stanza.as_bytes()))
    };
    assert!(
        read.iter()
            .map(|(k, v)| (k.as_slice(), v.as_slice()))
            .eq(bytes()),
        "C++ LevelDB reads something else"
    );

    let theirs = tempfile::tempdir().expect("a directory");
    Peer::leveldb_1_23().load(theirs.path(), bytes());
    let path = theirs.path().to_str().expect("a path in UTF-8");
    let export = run(PROGRAM, ["export", path]).success();
    let mut exported = BTreeMap::new();
    for line in export.text().lines() {
        let entry: Value = serde_json::from_str(line).expect("a JSON line");
        let text = |field: &str| entry[field].as_str().expect("text").to_string();
        exported.insert(text("key"), text("value"));
    }
    assert!(
        exported == stanzas,
        "{} exported, {} expected",
        exported.len(),
        stanzas.len()
    );
}
