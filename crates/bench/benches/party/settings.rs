//! The flags, and the sizes that follow from them.

use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use level_party_bench::{BATCH, Result};
use tempfile::TempDir;

/// What one table is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Concern {
    /// A follower's get and put beside a bare socket.
    Roundtrip,
    /// Many calls in flight beside Redis.
    Inflight,
    /// The leader's handle and the engine beside C++ LevelDB.
    Local,
    /// From the kill of a leader to the survivors' next acknowledged write.
    Failover,
    /// Attaching to a leader, and opening an empty directory.
    Opening,
    /// A follower's scan beside the leader's.
    Scanning,
}

impl Concern {
    pub const ALL: [Concern; 6] = [
        Concern::Roundtrip,
        Concern::Inflight,
        Concern::Local,
        Concern::Failover,
        Concern::Opening,
        Concern::Scanning,
    ];
}

/// How new tables are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    Snappy,
    None,
}

/// level-party beside its floors and peers. See docs/BENCHMARKS.md.
#[derive(Debug, Parser)]
#[command(name = "party")]
pub struct Settings {
    /// Entries of the local workloads and scans (a multiple of 1,000) [default: 1000000, quick: 100000].
    #[arg(long)]
    entries: Option<usize>,
    /// Calls of each kind in the round trip table [default: 20000, quick: 4000].
    #[arg(long)]
    calls: Option<usize>,
    /// Rounds of each local workload; the median counts [default: 3, quick: 1].
    #[arg(long)]
    rounds: Option<usize>,
    /// Kills of a leader in each failover row, and opens in each opening row [default: 50, quick: 5].
    #[arg(long)]
    kills: Option<usize>,
    /// A short run, to see that everything works.
    #[arg(long)]
    quick: bool,
    /// Only these tables [default: all].
    #[arg(long, value_delimiter = ',')]
    only: Vec<Concern>,
    /// Compression of new tables, in the peer too.
    #[arg(long, value_enum, default_value = "snappy")]
    compression: Compression,
    /// Where databases are made and removed [default: the system's temporary directory].
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Given by `cargo bench`; without it, as by `cargo test --benches`, the run is a tiny one.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Settings {
    /// Fills in what follows from other flags.
    pub fn resolved(mut self) -> Settings {
        let sizes = match (self.bench, self.quick) {
            (true, false) => [1_000_000, 20_000, 3, 50],
            (true, true) => [100_000, 4_000, 1, 5],
            (false, _) => [2_000, 50, 1, 1],
        };
        let [entries, calls, rounds, kills] = sizes;
        self.entries.get_or_insert(entries);
        self.calls.get_or_insert(calls);
        self.rounds.get_or_insert(rounds);
        self.kills.get_or_insert(kills);
        self
    }

    pub fn wants(&self, concern: Concern) -> bool {
        self.only.is_empty() || self.only.contains(&concern)
    }

    pub fn entries(&self) -> usize {
        self.entries.unwrap_or(BATCH).max(1).next_multiple_of(BATCH)
    }

    pub fn calls(&self) -> usize {
        self.calls.unwrap_or(1).max(1)
    }

    pub fn rounds(&self) -> usize {
        self.rounds.unwrap_or(1).max(1)
    }

    pub fn kills(&self) -> usize {
        self.kills.unwrap_or(1).max(1)
    }

    pub fn compression(&self) -> &'static str {
        match self.compression {
            Compression::Snappy => "snappy",
            Compression::None => "none",
        }
    }

    /// Where databases are made.
    pub fn parent(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(std::env::temp_dir)
    }

    /// A new empty directory, removed when dropped.
    pub fn temporary(&self) -> Result<TempDir> {
        Ok(tempfile::Builder::new()
            .prefix("level-party-bench-")
            .tempdir_in(self.parent())?)
    }
}

/// A path as an argument of a child.
pub fn argument(path: &Path) -> Result<&str> {
    path.to_str()
        .ok_or_else(|| format!("{} is not UTF-8", path.display()).into())
}
