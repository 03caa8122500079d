//! Fidelity: C++ LevelDB 1.20, 1.22 and 1.23 and ours on the same directories, in turn, also after kills.
//!
//! ```sh
//! ci/peers/install
//! cargo build -p level-party-testkit --features peers --examples
//! cargo test -p level-party-testkit --features peers --test fidelity
//! ```

mod databases;
mod repairs;
mod rounds;
mod split;

use level_party_testkit::{Peer, PeerChild, example};

fn party() -> Peer {
    Peer::ours(&example("our-peer"), "party")
}

fn engine() -> Peer {
    Peer::ours(&example("our-peer"), "engine")
}

fn everyone() -> Vec<Peer> {
    Peer::leveldbs()
        .into_iter()
        .chain([party(), engine()])
        .collect()
}

/// A value of what our own program says about a database.
fn info(child: &mut PeerChild, name: &str) -> Vec<u64> {
    let info = child.info();
    let mut words = info.split(' ').filter_map(|word| word.split_once('='));
    let (_, value) = words
        .find(|(found, _)| *found == name)
        .expect("it tells that");
    value
        .split(',')
        .map(|number| number.parse().expect("a number"))
        .collect()
}

/// A number from the environment.
fn number(variable: &str, default: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is no number: {text}"))
    })
}
