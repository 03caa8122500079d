//! `bench`: how fast this database is here and now, through one handle or through those of several processes.
//!
//! What it promises: each figure is of calls that were made and waited for, one after the other, on one thread a process,
//! in the role that it names; nothing is subtracted. What it writes lies in a sublevel of its own, which it removes, also
//! when it is interrupted.
//!
//! | file | holds |
//! |---|---|
//! | [`calls`] | what is measured |
//! | [`histogram`] | how long calls took, in little memory |
//! | [`members`] | several processes that measure at once |

mod calls;
mod histogram;
mod members;

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::args::{Creating, Target, seconds};
use crate::failure::{Failure, Result, say};
use crate::output::Output;
use crate::stop;
use crate::text::{count, counted};
use calls::{CALLS, Caller, Figure};
use histogram::Histogram;
use members::{Member, READY};

/// Measure writes, reads and scans, in one process or in several at once.
///
/// The keys are filled in first, in large batches; then each kind of call is made for some seconds by one thread a process, which waits for each answer, with keys in random order. With --processes the first one leads and the others follow it; without, have another process lead (`level-party serve`) to measure a follower. It writes into a sublevel of its own and removes it.
#[derive(Args, Debug)]
pub struct Bench {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    creating: Creating,

    /// Measure in so many processes at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    processes: u32,
    /// Measure each kind of call for so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    seconds: Duration,
    /// Use so many keys
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    keys: u64,
    /// Bytes of each value
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=1 << 20))]
    value_size: u32,
    /// Print a line of JSON for each kind of call and role
    #[arg(long)]
    json: bool,

    /// Be one of several processes: the sublevel that they share
    #[arg(long, value_name = "SUBLEVEL", hide = true)]
    member: Option<String>,
    /// Leave it to another of them to say what the database has lost
    #[arg(long, hide = true)]
    quiet: bool,
}

/// A line of what is printed.
#[derive(Serialize)]
struct Line {
    call: String,
    /// `leader`, `follower`, or `all` for all processes together.
    role: String,
    processes: usize,
    calls: u64,
    per_second: u64,
    entries_per_second: u64,
    p50_ns: u64,
    p99_ns: u64,
}

impl Bench {
    /// Measures and prints.
    pub fn run(self) -> Result<()> {
        if let Some(level) = &self.member {
            return self.serve(level);
        }
        let level = format!("level-party-bench-{}", std::process::id());
        say(format_args!(
            "{} of {} bytes, {}, {} s for each kind of call",
            counted(self.keys, "entry", "entries"),
            count(self.value_size.into()),
            counted(self.processes.into(), "process", "processes"),
            self.seconds.as_secs_f64()
        ));
        let mut output = Output::stdout();
        if self.processes == 1 {
            let caller = self.caller(&level)?;
            removing(&caller);
            let measured = CALLS.iter().try_for_each(|call| {
                let figure = caller.measure(call)?;
                self.print(&mut output, call, &[figure])
            });
            caller.level.clear(..)?;
            return measured;
        }
        let members = (0..self.processes).map(|n| Member::start(&self, &level, n > 0));
        let mut members = members.collect::<Result<Vec<_>>>()?;
        for call in CALLS {
            let some = if call == CALLS[0] { 1 } else { members.len() };
            for member in &mut members[..some] {
                member.ask(call)?;
            }
            let figures = members[..some].iter_mut().map(Member::figure);
            self.print(&mut output, call, &figures.collect::<Result<Vec<_>>>()?)?;
        }
        // The first one has to remove what it filled in while it leads yet: the others leave before it.
        members.reverse();
        drop(members);
        Ok(())
    }

    fn caller(&self, level: &str) -> Result<Caller> {
        let db = match self.quiet {
            true => self.target.open_quietly()?,
            false => self.target.open_for_writing(self.creating)?,
        };
        let level = db.sublevel(level)?;
        let value = std::iter::repeat_with(|| fastrand::u8(..));
        Ok(Caller {
            db,
            level,
            keys: self.keys,
            value: value.take(self.value_size as usize).collect(),
            span: self.seconds,
        })
    }

    /// Measures what standard input asks for, to its end.
    fn serve(&self, level: &str) -> Result<()> {
        let caller = self.caller(level)?;
        let mut output = Output::stdout();
        output.line(READY)?;
        output.flush()?;
        let mut filled = false;
        let served = std::io::stdin().lines().try_for_each(|call| {
            let call = call.map_err(|error| Failure::Database(error.to_string()))?;
            if call == CALLS[0] {
                filled = true;
                removing(&caller);
            }
            output.json(&caller.measure(&call)?)?;
            output.flush()
        });
        if filled {
            caller.level.clear(..)?;
        }
        served
    }

    /// Prints what the processes measured: all together, and where there are both roles each of them.
    fn print(&self, output: &mut Output, call: &str, figures: &[Figure]) -> Result<()> {
        if call == CALLS[0] && !self.json {
            output.line(format_args!(
                "{:<12}{:>12}{:>12}{:>12}{:>12}   by",
                "call", "calls/s", "entries/s", "p50", "p99"
            ))?;
        }
        let mut roles: Vec<&str> = figures.iter().map(|figure| &*figure.role).collect();
        roles.sort_unstable_by_key(|role| *role != "leader");
        roles.dedup();
        if let [role] = roles[..] {
            self.print_line(output, line(call, role, figures.iter()))?;
        } else {
            self.print_line(output, line(call, "all", figures.iter()))?;
            for role in roles {
                let of_role = figures.iter().filter(|figure| figure.role == role);
                self.print_line(output, line(call, role, of_role))?;
            }
        }
        output.flush()
    }

    fn print_line(&self, output: &mut Output, line: Line) -> Result<()> {
        if self.json {
            return output.json(&line);
        }
        let micros = |ns: u64| match ns {
            1_000_000.. => format!("{:.1} ms", ns as f64 / 1e6),
            _ => format!("{:.1} µs", ns as f64 / 1e3),
        };
        let by = match (line.processes, &*line.role) {
            (1, role) => role.to_string(),
            (n, "all") => format!("all {n}"),
            (n, "follower") => format!("{n} followers"),
            (n, role) => format!("{n}, {role}"),
        };
        output.line(format_args!(
            "{:<12}{:>12}{:>12}{:>12}{:>12}   {by}",
            line.call,
            count(line.per_second),
            count(line.entries_per_second),
            micros(line.p50_ns),
            micros(line.p99_ns),
        ))
    }
}

/// Has a signal remove what was filled in.
fn removing(caller: &Caller) {
    let level = caller.level.clone();
    stop::first(move || drop(level.clear(..)));
}

/// The figures of several processes added up: they measured at the same time.
fn line<'f>(call: &str, role: &str, figures: impl Iterator<Item = &'f Figure>) -> Line {
    let mut spans = Histogram::default();
    let (mut processes, mut calls, mut entries) = (0, 0.0, 0.0);
    for figure in figures {
        let seconds = figure.seconds.max(1e-9);
        processes += 1;
        calls += figure.spans.count() as f64 / seconds;
        entries += figure.entries as f64 / seconds;
        spans.merge(&figure.spans);
    }
    Line {
        call: call.into(),
        role: role.into(),
        processes,
        calls: spans.count(),
        per_second: calls as u64,
        entries_per_second: entries as u64,
        p50_ns: spans.at(0.5).unwrap_or(0),
        p99_ns: spans.at(0.99).unwrap_or(0),
    }
}
