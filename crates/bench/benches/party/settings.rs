//! The flags, and the sizes that follow from them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use level_party_bench::{BATCH, Result};
use tempfile::TempDir;

/// What one table is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Concern {
    /// Many tasks of one thread beside one task, in the first process and in a second.
    Inflight,
    /// The leader's handle and the engine beside C++ LevelDB.
    Local,
    /// Attaching to a leader, and opening an empty directory.
    Opening,
    /// A follower's scan beside the leader's.
    Scanning,
    /// A second process beside the first: gets, puts and scans, beside LMDB and SQLite.
    Second,
    /// Gets and puts of one to eight processes at once, beside LMDB and SQLite.
    Scaling,
    /// Claims of the first job of a queue, in one process and in four at once, with a cursor and without.
    Queue,
    /// Puts with a sync each, of one process and of four at once, beside SQLite.
    Durable,
    /// The longest read and write while a leader or a writer is killed, or stopped.
    Killed,
    /// CPU time and memory of members that do nothing (Linux).
    Idle,
}

impl Concern {
    pub const ALL: [Concern; 10] = [
        Concern::Inflight,
        Concern::Local,
        Concern::Opening,
        Concern::Scanning,
        Concern::Second,
        Concern::Scaling,
        Concern::Queue,
        Concern::Durable,
        Concern::Killed,
        Concern::Idle,
    ];
}

/// How new tables are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    Snappy,
    None,
}

/// level-party beside its references and peers. See docs/BENCHMARKS.md.
#[derive(Debug, Parser)]
#[command(name = "party")]
pub struct Settings {
    /// Entries of the local workloads and scans (a multiple of 1,000) [default: 1000000, quick: 100000].
    #[arg(long)]
    entries: Option<usize>,
    /// Calls of each kind in the tables of single calls between processes [default: 20000, quick: 4000].
    #[arg(long)]
    calls: Option<usize>,
    /// Rounds of each local workload; the median counts [default: 3, quick: 1].
    #[arg(long)]
    rounds: Option<usize>,
    /// Kills of a leader in each failover row, and opens in each opening row [default: 50, quick: 5].
    #[arg(long)]
    kills: Option<usize>,
    /// Seconds for which several processes call at once; idle members are watched five times as long [default: 2,
    /// quick: 0.5].
    #[arg(long)]
    seconds: Option<f64>,
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
    /// Draw the chart of `second` and `durable` here, as SVG, and print its figures as the README has them.
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
    /// Measure nothing: take the tables that an earlier run printed.
    #[arg(long, value_name = "FILE", requires = "chart")]
    recorded: Option<PathBuf>,
    /// Given by `cargo bench`; without it, as by `cargo test --benches`, the run is a tiny one.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Settings {
    /// Fills in what follows from other flags.
    pub fn resolved(mut self) -> Settings {
        let (sizes, seconds) = match (self.bench, self.quick) {
            (true, false) => ([1_000_000, 20_000, 3, 50], 2.0),
            (true, true) => ([100_000, 4_000, 1, 5], 0.5),
            (false, _) => ([2_000, 50, 1, 1], 0.02),
        };
        let [entries, calls, rounds, kills] = sizes;
        self.entries.get_or_insert(entries);
        self.calls.get_or_insert(calls);
        self.rounds.get_or_insert(rounds);
        self.kills.get_or_insert(kills);
        self.seconds.get_or_insert(seconds);
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

    /// For how long several processes call at once.
    pub fn time(&self) -> Duration {
        // An hour at most: the flag may say anything.
        Duration::from_secs_f64(self.seconds.unwrap_or(1.0).clamp(0.001, 3_600.0))
    }

    pub fn compression(&self) -> &'static str {
        match self.compression {
            Compression::Snappy => "snappy",
            Compression::None => "none",
        }
    }

    /// Where the chart is to be drawn.
    pub fn chart(&self) -> Option<&Path> {
        self.chart.as_deref()
    }

    /// What an earlier run printed.
    pub fn recorded(&self) -> Option<&Path> {
        self.recorded.as_deref()
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
