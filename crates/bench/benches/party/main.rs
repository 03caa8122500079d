//! `cargo bench -p level-party-bench --bench party`: level-party beside its references and peers.
//!
//! Each concern is a file that makes one table. Each store that is measured, and each process it talks to, is a process of its own: this
//! program starts itself again in a role ([`roles`]). Rounds of those compared are interleaved, so that a
//! disturbance of the machine meets all of them. What each row means is in `docs/BENCHMARKS.md`.
#![cfg_attr(not(feature = "peers"), forbid(unsafe_code))]
// `heed` opens LMDB by an unsafe call, which `peers/lmdb.rs` alone may make.
#![cfg_attr(feature = "peers", deny(unsafe_code))]

mod caller;
mod clock;
mod durable;
mod echo;
mod idle;
mod inflight;
mod killed;
mod local;
mod member;
mod opening;
mod peers;
mod process;
mod queue;
mod roles;
mod scaling;
mod scanning;
mod second;
mod settings;
mod stores;
mod subject;
mod syncs;
mod worker;

use clap::Parser;
use level_party_bench::{Peer, Recorded, Result, Table, chart};

use settings::{Concern, Settings};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("--role", role)) = arguments.split_first().map(|(a, b)| (a.as_str(), b)) {
        return roles::run(role);
    }
    let settings = Settings::parse().resolved();
    let printed = match settings.recorded() {
        Some(page) => std::fs::read_to_string(page)
            .map_err(|error| format!("{} can't be read: {error}", page.display()))?,
        None => run(&settings)?,
    };
    if let Some(path) = settings.chart() {
        let run = Recorded::read(&printed);
        std::fs::write(path, chart::svg(&run)?)
            .map_err(|error| format!("{} can't be written: {error}", path.display()))?;
        println!("{}", chart::table(&run)?);
    }
    Ok(())
}

/// Measures what is asked for, prints each table when it is there, and gives them all.
fn run(settings: &Settings) -> Result<String> {
    let peer = Peer::find()?;
    print_head(settings, peer.as_ref());
    let mut printed = String::new();
    for concern in Concern::ALL {
        if settings.wants(concern) {
            for table in measure(concern, settings, peer.as_ref())? {
                println!("{table}");
                printed.push_str(&format!("{table}\n"));
            }
        }
    }
    Ok(printed)
}

fn measure(concern: Concern, settings: &Settings, peer: Option<&Peer>) -> Result<Vec<Table>> {
    let table = match concern {
        Concern::Inflight => inflight::measure(settings),
        Concern::Local => local::measure(settings, peer),
        Concern::Opening => opening::measure(settings, peer),
        Concern::Scanning => scanning::measure(settings),
        Concern::Second => second::measure(settings),
        Concern::Scaling => return scaling::measure(settings).map(Vec::from),
        Concern::Queue => queue::measure(settings),
        Concern::Durable => durable::measure(settings),
        Concern::Killed => killed::measure(settings),
        Concern::Idle => idle::measure(settings),
    };
    Ok(vec![table?])
}

fn print_head(settings: &Settings, peer: Option<&Peer>) {
    let cores = std::thread::available_parallelism().map_or(0, |n| n.get());
    println!(
        "{} entries, {} B keys, {} B values, compression {}, {} rounds, {cores} cores, in {}",
        settings.entries(),
        level_party_bench::KEY_BYTES,
        level_party_bench::VALUE_BYTES,
        settings.compression(),
        settings.rounds(),
        settings.parent().display(),
    );
    match peer {
        Some(peer) => println!("peer: {}", peer.name),
        None => println!(
            "peer: ABSENT, so nothing stands beside C++ LevelDB. To have it: apt-get install g++ libleveldb-dev, then \
             crates/bench/peers/build.sh"
        ),
    }
    match peers::names() {
        Some(names) => println!("peers: {names}"),
        None => println!(
            "peers: LMDB and SQLite ABSENT. To have them: cargo bench -p level-party-bench --features peers (needs a C \
             compiler)"
        ),
    }
    // The load of others is the first thing to know of a noisy run.
    if let Ok(load) = std::fs::read_to_string("/proc/loadavg") {
        println!("load before the run: {}", load.trim_end());
    }
    println!();
}
