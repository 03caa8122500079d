//! The suite over PostgreSQL. (What only PostgreSQL has is tested through the handle, in crates/cli/tests/remote.)

mod suite;

use std::sync::Arc;

use level_party_remote::address::Address;
use level_party_remote::{Remote, Result, Settings, postgres};
use level_party_testkit::Postgres;

fn open(server: &Postgres, settings: &Settings) -> Result<Arc<dyn Remote>> {
    postgres::open(&Address::parse(&server.url()).expect("a URL"), settings)
}

#[test]
fn suite_holds() {
    let server = Postgres::start(&[]);
    suite::run(&open(&server, &suite::settings()).expect("opened"));
}

#[test]
fn moved_and_filled_databases_take_only_whose_writes_they_may() {
    let server = Postgres::start(&[]);
    suite::service_states(|settings| open(&server, settings));
}
