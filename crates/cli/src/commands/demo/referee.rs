//! The schedule: starts the members, kills the leader again and again, takes the times, and judges at the end.

use std::io::BufRead;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::check::{Checker, Findings};
use super::layout::OPS_PER_BATCH;
use super::ledger::Leader;
use super::member::{Member, Role};
use super::screen::Screen;
use super::{Stage, last_sequence, roles};
use crate::failure::{Failure, Result};
use crate::json::OwnedEntry;
use crate::stop;
use crate::text::millis;

/// How long anything may take before the show is broken off: beyond every deadline of a child's own.
const PATIENCE: Duration = Duration::from_secs(45);
/// How often the screen is drawn.
const TICK: Duration = Duration::from_millis(100);

/// What the members' threads tell.
#[derive(Debug)]
pub enum Event {
    /// A member's process has had its first answer.
    Up(Role),
    /// A reader was told of a new leader; the ledger has it.
    NewLeader,
    /// The first write after a kill was acknowledged.
    Resumed(Instant),
    /// A member's thread is done.
    Finished(Role),
}

/// What the show came to.
pub struct Outcome {
    /// From each kill to the first write of a survivor, sent and acknowledged after it.
    pub failovers: Vec<Duration>,
    /// How long the writers wrote.
    pub span: Duration,
}

/// What was found when everything was read back.
pub struct Verdict {
    pub found: Findings,
    /// Sequence numbers beyond those of the batches that are there.
    pub extra_operations: i128,
}

/// Kills all children when the show is broken off, so that no thread waits for one for ever.
struct EndAll<'a>(&'a Stage<'a>);

impl Drop for EndAll<'_> {
    fn drop(&mut self) {
        self.0.ledger.break_off();
        for member in &self.0.members {
            member.kill_any();
        }
    }
}

/// Runs the show from the members' start to their end.
pub fn run(stage: &Stage<'_>, screen: &mut Screen, kills: u32) -> Result<Outcome> {
    let (sender, events) = channel();
    std::thread::scope(|scope| {
        let _end_all = EndAll(stage);
        for member in &stage.members {
            let sender = sender.clone();
            scope.spawn(move || roles::play(stage, member, &sender));
        }
        drop(sender);
        Referee {
            stage,
            screen,
            events,
            up: Vec::new(),
            finished: 0,
            failovers: Vec::new(),
        }
        .run(kills)
    })
}

struct Referee<'a> {
    stage: &'a Stage<'a>,
    screen: &'a mut Screen,
    events: Receiver<Event>,
    up: Vec<Role>,
    finished: usize,
    failovers: Vec<Duration>,
}

impl Referee<'_> {
    fn run(mut self, kills: u32) -> Result<Outcome> {
        let start = Instant::now();
        let everybody = self.stage.members.len();
        self.until(PATIENCE, |me| {
            me.up.len() == everybody && me.leader().is_some()
        })?;
        if let Some(leader) = self.leader() {
            let who = self.name(leader.pid);
            self.screen
                .event(format_args!("{everybody} processes are in; {who} leads"))?;
        }
        let step = self.stage.ledger.time_left() / (kills + 1);
        for _ in 0..kills {
            let next = Instant::now() + step;
            self.until_time(next)?;
            if self.broken() {
                break;
            }
            self.kill_leader()?;
        }
        self.until_time(Instant::now() + self.stage.ledger.time_left())?;
        self.stage.ledger.stop();
        let span = start.elapsed();
        self.until(PATIENCE, |me| me.finished == everybody)?;
        Ok(Outcome {
            failovers: self.failovers,
            span,
        })
    }

    fn kill_leader(&mut self) -> Result<()> {
        let stage = self.stage;
        let deadline = Instant::now() + PATIENCE;
        let (index, leader, before) = loop {
            match self.present_leader() {
                Some((index, leader)) => {
                    let before = Instant::now();
                    let killed = stage.members[index].kill(leader.pid).map_err(|error| {
                        Failure::Database(format!("pid {} cannot be killed: {error}", leader.pid))
                    })?;
                    if killed {
                        break (index, leader, before);
                    }
                }
                // A stranger in a directory that others know may lead: it is left alone.
                None if !stage.private => return Ok(()),
                None => {}
            }
            // It has left by itself, as a stream does at its end: its successor's turn.
            if self.broken() || Instant::now() >= deadline {
                return Ok(());
            }
            self.next(deadline)?;
        };
        let member = &stage.members[index];
        stage.ledger.arm(index);
        stage.ledger.kills.fetch_add(1, SeqCst);
        self.screen.event(format_args!(
            "kill -9 {}, pid {}, the leader",
            member.role, leader.pid
        ))?;
        let mut resumed = None;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.next(deadline)? {
                Some(Event::Resumed(at)) => resumed = Some(at),
                Some(_) => {}
                None if Instant::now() >= deadline => {
                    stage.ledger.trouble(format_args!(
                        "no write for {PATIENCE:?} after the leader was killed"
                    ));
                    return Ok(());
                }
                None => {}
            }
            let successor = self
                .leader()
                .filter(|successor| successor.epoch > leader.epoch);
            let replaced = member.pid() != leader.pid;
            if let (Some(at), Some(successor), true) = (resumed, successor, replaced) {
                let gap = at.saturating_duration_since(before);
                self.failovers.push(gap);
                let who = self.name(successor.pid);
                return self.screen.event(format_args!(
                    "{who} leads; writes went on {} after the kill",
                    millis(gap)
                ));
            }
            if self.broken() {
                return Ok(());
            }
        }
    }

    /// The member that leads, with its place; `None` when a stranger leads, in a directory that is not the demo's own.
    fn present_leader(&self) -> Option<(usize, Leader)> {
        let leader = self.leader()?;
        let index = self
            .stage
            .members
            .iter()
            .position(|member| member.pid() == leader.pid)?;
        Some((index, leader))
    }

    fn leader(&self) -> Option<Leader> {
        self.stage.ledger.leader()
    }

    fn name(&self, pid: u32) -> String {
        match self.stage.members.iter().find(|member| member.pid() == pid) {
            Some(member) => format!("{} (pid {pid})", member.role),
            None => format!("pid {pid}"),
        }
    }

    /// Whether there is no sense in going on.
    fn broken(&self) -> bool {
        self.finished > 0
    }

    /// Waits until something holds.
    fn until(&mut self, limit: Duration, mut holds: impl FnMut(&Self) -> bool) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !holds(self) {
            if Instant::now() >= deadline {
                self.stage.ledger.trouble(format_args!(
                    "some processes did not answer for {limit:?}; they were killed"
                ));
                return Ok(());
            }
            if self.finished == self.stage.members.len() {
                return Ok(());
            }
            self.next(deadline)?;
        }
        Ok(())
    }

    fn until_time(&mut self, due: Instant) -> Result<()> {
        while Instant::now() < due && !self.broken() {
            self.next(due)?;
        }
        Ok(())
    }

    /// The next event, or `None` at `due` or after a tick; draws the screen.
    fn next(&mut self, due: Instant) -> Result<Option<Event>> {
        if stop::asked() {
            return Err(Failure::Interrupted);
        }
        let wait = due.saturating_duration_since(Instant::now()).min(TICK);
        let event = match self.events.recv_timeout(wait) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                self.finished = self.stage.members.len();
                None
            }
        };
        match &event {
            Some(Event::Up(role)) if !self.up.contains(role) => self.up.push(*role),
            Some(Event::Finished(role)) => {
                if !self.stage.ledger.stopped() {
                    self.stage
                        .ledger
                        .trouble(format_args!("{role} stopped before the end"));
                }
                self.finished += 1;
            }
            _ => {}
        }
        self.screen.draw(self.stage)?;
        Ok(event)
    }
}

/// Reads everything back with a process of its own, after all others have left.
pub fn verify(stage: &Stage<'_>, baseline: u64) -> Verdict {
    let (sender, finished) = channel();
    let member = Member::new(Role::Check);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| read_back(stage, &member, baseline, &sender));
        if finished.recv_timeout(PATIENCE).is_err() {
            member.kill_any();
        }
        reader.join().unwrap_or_else(|_| {
            let mut found = Findings::default();
            found.fault("reading everything back failed");
            Verdict {
                found,
                extra_operations: 0,
            }
        })
    })
}

fn read_back(stage: &Stage<'_>, member: &Member, baseline: u64, finished: &Sender<()>) -> Verdict {
    let mut checker = Checker::new(&stage.layout, stage.ledger.floors());
    let mut bad_line = None;
    let words = match member.start_scan(stage, None) {
        Err(error) => format!("it cannot be started: {error}"),
        Ok(output) => {
            for line in output.split(b'\n').map_while(|line| line.ok()) {
                match serde_json::from_slice::<OwnedEntry>(&line) {
                    Ok(OwnedEntry { key, value }) => {
                        checker.entry(
                            &String::from_utf8_lossy(&key.0),
                            &String::from_utf8_lossy(&value.0),
                        );
                    }
                    Err(error) => bad_line = Some(error.to_string()),
                }
            }
            member.end()
        }
    };
    let mut found = checker.finish();
    if let Some(why) = bad_line {
        found.fault(format_args!(
            "the last scan gave a line that is none: {why}"
        ));
    }
    if words != "exit code 0" {
        found.fault(format_args!("the last scan failed: {words}"));
    }
    let expected = i128::from(baseline)
        + found
            .last
            .iter()
            .map(|n| i128::from(n * OPS_PER_BATCH))
            .sum::<i128>();
    let extra_operations = match last_sequence(stage) {
        Ok(sequence) => i128::from(sequence) - expected,
        Err(failure) => {
            found.fault(format_args!(
                "the sequence number at the end is unknown: {failure:?}"
            ));
            0
        }
    };
    // Only the wait above listens.
    let _ = finished.send(());
    Verdict {
        found,
        extra_operations,
    }
}
