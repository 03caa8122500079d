//! Databases on servers: the conformance suite in a directory, on PostgreSQL and on etcd, what a server refuses, and faults
//! (docs/REMOTE.md). `ci/remote` installs what it needs.

#[path = "../conformance/suite.rs"]
mod suite;
#[path = "../conformance/walks.rs"]
mod walks;

mod around;
mod copies;
mod faults;
mod load;
mod moments;
mod parts;
mod records;
mod refusals;

use level_party::{Db, Role};
use level_party_testkit::{Etcd, Postgres};

#[test]
fn every_part_holds_in_a_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path()).expect("opened");
    parts::run(&db, &Db::open(dir.path()).expect("opened again"));
}

#[test]
fn every_part_and_the_suite_hold_on_postgres() {
    let server = Postgres::start(&[]);
    let db = Db::open(server.url()).expect("opened");
    assert_eq!(db.role(), Role::Remote);
    parts::run(&db, &Db::open(server.url()).expect("opened again"));
    suite::run(&db);
}

#[test]
fn every_part_and_the_suite_hold_on_etcd() {
    let cluster = Etcd::start(3);
    let db = Db::open(cluster.url()).expect("opened");
    assert_eq!(db.role(), Role::Remote);
    parts::run(&db, &Db::open(cluster.url()).expect("opened again"));
    suite::run(&db);
}
