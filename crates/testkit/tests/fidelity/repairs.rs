//! What C++ LevelDB repairs today is what the committed tables of the damage sweep say.

use std::path::Path;

use level_party_testkit::damage;

#[test]
fn committed_repairs_are_those_of_leveldb_1_23() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/fixtures");
    let scratch = tempfile::tempdir().expect("a directory");
    for name in ["leveldb-1.23-sweep", "level-party-sweep"] {
        let files = damage::unpack(&fixtures.join(format!("{name}.tar.zst")));
        let kept = damage::kept_by_leveldb(&files, scratch.path());
        let committed = std::fs::read_to_string(fixtures.join(format!("{name}.kept")));
        assert_eq!(
            kept.to_string(),
            committed.expect("the committed table"),
            "{name}: ci/peers/make-fixtures sweep writes it anew"
        );
    }
}
