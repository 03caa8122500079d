//! `kept-by-leveldb ARCHIVE` prints what C++ LevelDB's `RepairDB` keeps of a database after each damage of the sweep
//! (see `ci/peers/make-fixtures`).

use std::path::Path;

use level_party_testkit::damage;

fn main() {
    let archive = std::env::args_os().nth(1).expect("an archive");
    let scratch = std::env::temp_dir().join(format!("kept-by-leveldb-{}", std::process::id()));
    print!(
        "{}",
        damage::kept_by_leveldb(&damage::unpack(Path::new(&archive)), &scratch)
    );
    std::fs::remove_dir_all(&scratch).expect("the directory goes");
}
