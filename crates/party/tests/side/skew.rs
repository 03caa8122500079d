//! Write skew over a range, by several processes and over a killed leader.

use level_party::{Db, Prefix, Readable};

use crate::child::Process;

const LIMIT: usize = 200;

#[test]
fn processes_that_count_and_add_keep_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let leader = Process::start(dir.path());
    let mut others: Vec<Process> = (0..3).map(|_| Process::start(dir.path())).collect();
    for other in &mut others {
        other.send(&format!("add-on seat {LIMIT}"));
    }
    let db = Db::open(dir.path()).unwrap();
    while db.range(Prefix("seat")).count() < LIMIT / 4 {}
    leader.kill();
    let added = |other: &Process| other.answer().parse::<usize>().expect("a number");
    let added: usize = others.iter().map(added).sum();
    assert_eq!(added, LIMIT);
    assert_eq!(db.range(Prefix("seat")).count(), LIMIT);
}
