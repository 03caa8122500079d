//! What is said at the end: counts, and one sentence.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use serde_json::json;

use super::layout::OPS_PER_BATCH;
use super::ledger::Pass;
use super::referee::{Outcome, Verdict};
use super::{READERS, Stage, WRITERS};
use crate::failure::{Failure, Result, say};
use crate::output::Output;
use crate::text::{count, counted, millis};

/// Troubles told word for word.
const TROUBLES_TOLD: usize = 10;

/// Prints the summary; fails with a difference unless all is as it must be.
pub fn print(stage: &Stage<'_>, outcome: &Outcome, verdict: &Verdict, json: bool) -> Result<()> {
    match json {
        true => line(stage, outcome, verdict)?,
        false => table(stage, outcome, verdict)?,
    }
    troubles(stage, verdict);
    let ledger = &stage.ledger;
    let counts = [&ledger.errors, &ledger.stale].map(|count| count.load(SeqCst));
    let clean = counts == [0, 0]
        && doubled(verdict, stage.private) == 0
        && verdict.found.lost == 0
        && verdict.found.fault_count == 0
        && ledger.troubles().is_empty();
    match clean {
        true => Ok(()),
        false => Err(Failure::Difference),
    }
}

/// The figures for programs.
fn line(stage: &Stage<'_>, outcome: &Outcome, verdict: &Verdict) -> Result<()> {
    let ledger = &stage.ledger;
    let failovers = outcome.failovers.iter().map(Duration::as_secs_f64);
    let stream = ledger.passes().first().map(|pass| pass.entries);
    let mut output = Output::stdout();
    output.json(&json!({
        "kills": ledger.kills.load(SeqCst),
        "failovers_ms": failovers.map(|seconds| (seconds * 1e4).round() / 10.0).collect::<Vec<_>>(),
        "seconds": outcome.span.as_secs_f64(),
        "writes": ledger.writes.load(SeqCst),
        "reads": ledger.reads.load(SeqCst),
        "streamed": stream,
        "stale": ledger.stale.load(SeqCst),
        "errors": ledger.errors.load(SeqCst),
        "read_back": verdict.found.entries,
        "lost": verdict.found.lost,
        "doubled": doubled(verdict, stage.private),
    }))?;
    output.flush()
}

/// The figures for people.
fn table(stage: &Stage<'_>, outcome: &Outcome, verdict: &Verdict) -> Result<()> {
    let ledger = &stage.ledger;
    let (writes, reads) = (ledger.writes.load(SeqCst), ledger.reads.load(SeqCst));
    let (errors, stale) = (ledger.errors.load(SeqCst), ledger.stale.load(SeqCst));
    let doubled = doubled(verdict, stage.private);
    let lost = verdict.found.lost;
    let mut output = Output::stdout();
    let mut row = |name: &str, text: String| output.line(format_args!("  {name:<22}{text}"));
    row("leaders killed", count(ledger.kills.load(SeqCst)))?;
    row("failover", failover(&outcome.failovers))?;
    row(
        "writes acknowledged",
        format!(
            "{} by {WRITERS} processes, {}",
            count(writes),
            rate(writes, outcome.span)
        ),
    )?;
    row(
        "reads",
        format!(
            "{} by {READERS} processes, {}, {} stale",
            count(reads),
            rate(reads, outcome.span),
            count(stale)
        ),
    )?;
    for pass in ledger.passes().iter().take(1) {
        row("stream", stream(pass))?;
    }
    row("errors seen", count(errors))?;
    row(
        "read back at the end",
        counted(verdict.found.entries, "entry", "entries"),
    )?;
    output.line("")?;
    output.line(format_args!(
        "{} lost, {} doubled",
        count(lost),
        count(doubled)
    ))?;
    output.flush()
}

/// What was not as it must be, word for word.
fn troubles(stage: &Stage<'_>, verdict: &Verdict) {
    let troubles = stage.ledger.troubles();
    let mut told = verdict.found.faults.iter().chain(&troubles);
    for trouble in told.by_ref().take(TROUBLES_TOLD) {
        say(format_args!("trouble: {trouble}"));
    }
    let more = told.count();
    if more > 0 {
        say(format_args!("and {more} more"));
    }
    if !stage.private && verdict.extra_operations != 0 {
        say(format_args!(
            "note: {} operations in this directory were not the demo's; another program wrote meanwhile",
            verdict.extra_operations
        ));
    }
}

/// Batches applied more than once: those that left their mark, and those that only the sequence number shows. In a
/// directory that others know, the sequence number counts their writes too and shows nothing.
fn doubled(verdict: &Verdict, private: bool) -> u64 {
    let extra = if private {
        verdict.extra_operations.unsigned_abs()
    } else {
        0
    };
    let batches = u64::try_from(extra.div_ceil(OPS_PER_BATCH.into())).unwrap_or(u64::MAX);
    verdict.found.doubled.max(batches)
}

fn failover(times: &[Duration]) -> String {
    let mut sorted = times.to_vec();
    sorted.sort();
    match sorted.as_slice() {
        [] => "none".into(),
        [only] => format!("{} (from a kill to the next write)", millis(*only)),
        [.., worst] => format!(
            "median {}, worst {} (kill to next write)",
            millis(sorted[sorted.len() / 2]),
            millis(*worst)
        ),
    }
}

fn stream(pass: &Pass) -> String {
    let over = counted(pass.kills, "kill", "kills");
    let entries = counted(pass.entries, "entry", "entries");
    match pass.restarts {
        0 => format!("{entries} of one moment in order, over {over}"),
        own => format!("{entries} in order, over {over} ({own} of its own)"),
    }
}

fn rate(number: u64, span: Duration) -> String {
    let seconds = span.as_secs_f64();
    if seconds > 0.0 {
        format!("{} a second", count((number as f64 / seconds) as u64))
    } else {
        "at once".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::demo::check::Findings;

    fn verdict(doubled: u64, extra_operations: i128) -> Verdict {
        Verdict {
            found: Findings {
                doubled,
                ..Findings::default()
            },
            extra_operations,
        }
    }

    #[test]
    fn a_sequence_number_too_far_is_a_doubled_batch() {
        assert_eq!(doubled(&verdict(0, 0), true), 0);
        assert_eq!(doubled(&verdict(0, 3), true), 1);
        assert_eq!(doubled(&verdict(0, 4), true), 2);
        assert_eq!(doubled(&verdict(1, 3), true), 1);
        assert_eq!(doubled(&verdict(1, 30), false), 1);
    }

    #[test]
    fn failover_times_have_a_middle_and_a_worst() {
        let times: Vec<Duration> = [30, 10, 20].map(Duration::from_millis).to_vec();
        assert!(failover(&times).starts_with("median 20 ms, worst 30 ms"));
        assert_eq!(failover(&[]), "none");
    }
}
