//! Every body over its committed inputs: what fuzzing found worth keeping, and pieces of real files. `fuzz/README.md`
//! says how they came here.

mod bodies;

use std::fs;
use std::path::Path;

/// The longest input kept here, in bytes.
const MOST_BYTES: usize = 4096;
/// Fewer inputs, or fewer things in them, would show nothing.
const LEAST: usize = 10;

/// Runs `body` over all inputs in its folder, which together must come to something.
fn run(target: &str, body: fn(&[u8]) -> usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus/inputs")
        .join(target);
    let listing =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let (mut inputs, mut decoded) = (0, 0);
    for entry in listing {
        let path = entry.expect("the folder can be listed").path();
        let data = fs::read(&path).expect("an input can be read");
        assert!(data.len() <= MOST_BYTES, "{} is too long", path.display());
        // Shown where the body fails.
        println!("{}", path.display());
        decoded += body(&data);
        inputs += 1;
    }
    assert!(
        inputs >= LEAST,
        "{} has only {inputs} inputs",
        folder.display()
    );
    assert!(
        decoded >= LEAST,
        "{inputs} inputs gave only {decoded} things"
    );
}

#[test]
fn logs_of_batches_hold_their_promises() {
    run("wal", bodies::wal::run);
}

#[test]
fn manifests_hold_their_promises() {
    run("manifest", bodies::manifest::run);
}

#[test]
fn tables_hold_their_promises() {
    run("table", bodies::table::run);
}

#[test]
fn blocks_hold_their_promises() {
    run("block", bodies::block::run);
}

#[test]
fn stored_blocks_hold_their_promises() {
    run("stored_block", bodies::stored_block::run);
}

#[test]
fn filters_hold_their_promises() {
    run("filter", bodies::filter::run);
}

#[test]
fn batches_hold_their_promises() {
    run("batch", bodies::batch::run);
}

#[test]
fn names_and_current_hold_their_promises() {
    run("names", bodies::names::run);
}
