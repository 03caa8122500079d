//! `bench`: how fast this database is here and now, through one handle.
//!
//! What it promises: each figure is of calls that were made and waited for, one after the other, on one thread, in the role
//! that it names; nothing is subtracted. What it writes lies in a sublevel of its own, which it removes, also when it is
//! interrupted.

use std::time::{Duration, Instant};

use clap::Args;
use level_party::{Db, WriteOptions};
use serde::Serialize;

use crate::args::{Creating, Target, seconds};
use crate::failure::{Failure, Result, say};
use crate::output::Output;
use crate::stop;
use crate::text::count;

/// Entries of one scan.
const SCAN: u64 = 100;

/// Measure puts, gets and scans through one handle, leading or following.
///
/// Each kind of call is made for some seconds by one thread that waits for each answer, with keys in random order. To measure a follower, have another process lead (`level-party serve`). It writes into a sublevel of its own and removes it.
#[derive(Args, Debug)]
pub struct Bench {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    creating: Creating,

    /// Measure each kind of call for so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    seconds: Duration,
    /// Use so many keys
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    keys: u64,
    /// Bytes of each value
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=1 << 20))]
    value_size: u32,
    /// Print a line of JSON for each kind of call
    #[arg(long)]
    json: bool,
}

/// What one kind of call came to.
#[derive(Serialize)]
struct Figure {
    call: &'static str,
    role: &'static str,
    calls: u64,
    per_second: u64,
    p50_ns: u64,
    p99_ns: u64,
}

impl Bench {
    /// Measures and prints.
    pub fn run(self) -> Result<()> {
        let db = self.target.open_for_writing(self.creating)?;
        let level = db.sublevel(&format!("level-party-bench-{}", std::process::id()))?;
        stop::first({
            let level = level.clone();
            move || drop(level.clear(..))
        });
        let figures = self.measure(&db, &level);
        level.clear(..)?;
        figures
    }

    fn measure(&self, db: &Db, level: &level_party::Sublevel) -> Result<()> {
        let value: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
            .take(self.value_size as usize)
            .collect();
        let key = || format!("{:012}", fastrand::u64(..self.keys));
        say(format_args!(
            "filling in {} entries of {} bytes",
            count(self.keys),
            self.value_size
        ));
        self.fill(level, &value)?;

        let mut output = Output::stdout();
        if !self.json {
            output.line(format_args!(
                "{:<12}{:>12}{:>12}{:>12}   {}",
                "call", "calls/s", "p50", "p99", "role"
            ))?;
        }
        let mut synced = level_party::WriteBatch::new();
        let sync = WriteOptions::default().sync(true);
        type Call<'a> = (
            &'static str,
            Box<dyn FnMut() -> level_party::Result<()> + 'a>,
        );
        let calls: [Call<'_>; 4] = [
            ("put", Box::new(|| level.put(key(), &value))),
            (
                "put synced",
                Box::new(|| {
                    synced.clear();
                    synced.put(key().as_bytes(), &value);
                    level.write(&synced, sync)
                }),
            ),
            ("get", Box::new(|| level.get(key()).map(drop))),
            (
                "scan 100",
                Box::new(|| {
                    level
                        .range(key()..)
                        .limit(SCAN)
                        .try_for_each(|entry| entry.map(drop))
                }),
            ),
        ];
        for (name, call) in calls {
            let before = db.role();
            let figure = self.figure(name, call)?;
            let role = match db.role() {
                role if role == before => role.as_str(),
                _ => "changed meanwhile",
            };
            self.print(&mut output, Figure { role, ..figure })?;
        }
        Ok(())
    }

    fn fill(&self, level: &level_party::Sublevel, value: &[u8]) -> Result<()> {
        let mut batch = level_party::WriteBatch::new();
        for n in 0..self.keys {
            batch.put(format!("{n:012}").as_bytes(), value);
            if batch.byte_size() >= 1 << 20 {
                level.write(&batch, WriteOptions::default())?;
                batch.clear();
            }
        }
        Ok(level.write(&batch, WriteOptions::default())?)
    }

    fn figure(
        &self,
        call: &'static str,
        mut once: impl FnMut() -> level_party::Result<()>,
    ) -> Result<Figure> {
        let mut spans: Vec<u64> = Vec::new();
        let start = Instant::now();
        let mut last = start;
        while last - start < self.seconds {
            once()?;
            let now = Instant::now();
            spans.push(u64::try_from((now - last).as_nanos()).unwrap_or(u64::MAX));
            last = now;
        }
        let calls = spans.len();
        let elapsed = (last - start).as_secs_f64();
        spans.sort_unstable();
        let at = |share: f64| {
            let place = (calls as f64 * share) as usize;
            spans.get(place.min(calls.saturating_sub(1))).copied()
        };
        let (Some(p50_ns), Some(p99_ns)) = (at(0.5), at(0.99)) else {
            return Err(Failure::Usage("--seconds is too short for one call".into()));
        };
        Ok(Figure {
            call,
            role: "",
            calls: calls as u64,
            per_second: (calls as f64 / elapsed) as u64,
            p50_ns,
            p99_ns,
        })
    }

    fn print(&self, output: &mut Output, figure: Figure) -> Result<()> {
        if self.json {
            output.json(&figure)?;
        } else {
            let micros = |ns: u64| format!("{:.1} µs", ns as f64 / 1e3);
            output.line(format_args!(
                "{:<12}{:>12}{:>12}{:>12}   {}",
                figure.call,
                count(figure.per_second),
                micros(figure.p50_ns),
                micros(figure.p99_ns),
                figure.role
            ))?;
        }
        output.flush()
    }
}
