//! The body of the fuzz target over its committed inputs. `fuzz/README.md` says how they came here.

use std::fs;
use std::path::Path;

use crate::region;

#[test]
fn regions_that_fuzzing_found_hold_their_promises() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/inputs/region");
    let (mut inputs, mut met) = (0, 0);
    for entry in fs::read_dir(&folder).expect("the folder of inputs is there") {
        let path = entry.expect("the folder can be listed").path();
        let data = fs::read(&path).expect("an input can be read");
        assert!(data.len() <= 4096, "{} is too long", path.display());
        // Shown where the body fails.
        println!("{}", path.display());
        met += region::run(&data);
        inputs += 1;
    }
    assert!(
        inputs >= 10 && met >= inputs,
        "{inputs} inputs, {met} entries"
    );
}
