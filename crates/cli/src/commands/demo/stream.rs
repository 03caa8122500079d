//! The stream: a walk over all entries in order, a `scan` that is read slowly enough to live through the kills.
//!
//! A `scan` outlives the leader under it. Only when it leads itself and is killed does a new process go on, after the
//! last key that was seen, as any program would do whose child was killed.

use std::io::BufRead;
use std::process::ChildStdout;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use super::Stage;
use super::check::Checker;
use super::ledger::Pass;
use super::member::{Member, Role};
use super::referee::Event;
use crate::json::OwnedEntry;

/// The part of the run over which the first pass is spread.
const STREAM_SHARE: f64 = 0.9;
/// A stream that is ahead by less than this reads on.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);

/// Walks until the show is over; the first pass slowly, so that it lives as long as the show.
pub fn walk_again_and_again(stage: &Stage<'_>, member: &Member, events: &Sender<Event>) {
    let begin = Instant::now();
    let mut pace = Some(Pace {
        begin,
        span: stage.ledger.time_left().mul_f64(STREAM_SHARE),
    });
    let mut up = false;
    let mut seen = || {
        if !std::mem::replace(&mut up, true) {
            let _ = events.send(Event::Up(Role::Stream));
        }
    };
    while !stage.ledger.stopped() {
        match pass(stage, member, pace.take(), &mut seen) {
            Some(pass) => stage.ledger.passed(pass),
            None => return,
        }
    }
}

/// How fast the entries that are there from the start are read.
struct Pace {
    begin: Instant,
    span: Duration,
}

/// One walk from the first key to the last; `None` when it cannot be finished.
fn pass(
    stage: &Stage<'_>,
    member: &Member,
    pace: Option<Pace>,
    seen: &mut impl FnMut(),
) -> Option<Pass> {
    let ledger = &stage.ledger;
    let kills = ledger.kills.load(SeqCst);
    let mut checker = Checker::new(&stage.layout, ledger.floors());
    let mut restarts = 0;
    loop {
        let walked = match member.start_scan(stage, checker.previous()) {
            Ok(output) => walk(stage, &mut checker, output, pace.as_ref(), seen),
            Err(error) => Err(format!("it cannot be started: {error}")),
        };
        let words = member.end();
        if ledger.is_broken_off() {
            return None;
        }
        if member.was_killed() {
            restarts += 1;
            checker.resume(ledger.floors());
            continue;
        }
        if let Err(why) = walked {
            ledger.trouble(format_args!("the stream failed: {why}; {words}"));
            return None;
        }
        if words != "exit code 0" {
            ledger.trouble(format_args!("the stream ended early, {words}"));
            return None;
        }
        let found = checker.finish();
        for fault in &found.faults {
            ledger.trouble(format_args!("the stream: {fault}"));
        }
        return Some(Pass {
            entries: found.entries,
            kills: ledger.kills.load(SeqCst) - kills,
            restarts,
        });
    }
}

/// Reads what one process prints, to its end.
fn walk(
    stage: &Stage<'_>,
    checker: &mut Checker<'_>,
    mut output: std::io::BufReader<ChildStdout>,
    pace: Option<&Pace>,
    seen: &mut impl FnMut(),
) -> Result<(), String> {
    let mut line = Vec::new();
    loop {
        line.clear();
        match output.read_until(b'\n', &mut line) {
            // The last line of a process that was killed may be cut.
            Ok(_) if line.last() != Some(&b'\n') => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
        let entry: OwnedEntry = serde_json::from_slice(&line)
            .map_err(|error| format!("{error} in {:?}", String::from_utf8_lossy(&line)))?;
        checker.entry(
            &String::from_utf8_lossy(&entry.key.0),
            &String::from_utf8_lossy(&entry.value.0),
        );
        let count = checker.entries();
        stage.ledger.streamed.store(count, SeqCst);
        seen();
        if let Some(Pace { begin, span }) = pace.filter(|_| count <= stage.layout.base_entries) {
            let due = *begin + span.mul_f64(count as f64 / stage.layout.base_entries as f64);
            if due > Instant::now() + SHORTEST_PAUSE {
                stage.ledger.pause_until(due);
            }
        }
    }
}
