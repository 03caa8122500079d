//! What a writer and a reader do: each a thread that drives its child process, and starts it again when it was killed.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::ledger::Leader;
use super::member::{Member, Role, Talk};
use super::referee::Event;
use super::{Stage, stream};

/// Errors after which a member gives up.
const MOST_ERRORS: u32 = 20;
/// How often a reader asks who leads.
const STATUS_EVERY: Duration = Duration::from_millis(5);

/// Why a conversation ended.
enum End {
    /// The show is over.
    Stopped,
    /// The process is gone.
    Gone,
    /// It cannot go on.
    Failed,
}

/// Plays a member's part until the show is over.
pub fn play(stage: &Stage<'_>, member: &Member, events: &Sender<Event>) {
    match member.role {
        Role::Stream => stream::walk_again_and_again(stage, member, events),
        _ => converse(stage, member, events),
    }
    // The referee may have left already, when it failed; then nobody needs to know.
    let _ = events.send(Event::Finished(member.role));
}

/// A member that asks and is answered.
fn converse(stage: &Stage<'_>, member: &Member, events: &Sender<Event>) {
    loop {
        let mut talk = match member.start_exec(stage) {
            Ok(talk) => talk,
            Err(error) => {
                return stage
                    .ledger
                    .trouble(format_args!("{} cannot be started: {error}", member.role));
            }
        };
        let end = match member.role {
            Role::Writer(index) => write(stage, index, &mut talk, events),
            Role::Reader(index) => read(stage, index, &mut talk, events),
            Role::Stream | Role::Check => End::Stopped,
        };
        talk.finish();
        let pid = member.pid();
        let words = member.end();
        match end {
            End::Gone if member.was_killed() && !stage.ledger.stopped() => {}
            End::Gone if member.was_killed() => return,
            End::Gone => {
                return stage.ledger.trouble(format_args!(
                    "{} (pid {pid}) ended by itself: {words}",
                    member.role
                ));
            }
            End::Stopped | End::Failed => {
                if words != "exit code 0" {
                    stage.ledger.trouble(format_args!(
                        "{} (pid {pid}) did not leave well: {words}",
                        member.role
                    ));
                }
                return;
            }
        }
    }
}

fn write(stage: &Stage<'_>, index: usize, talk: &mut Talk, events: &Sender<Event>) -> End {
    let ledger = &stage.ledger;
    let mut errors = 0;
    // The last batch of the process before may have been applied without an acknowledgement: the database knows.
    let mut known: Option<u64> = None;
    while !ledger.stopped() {
        let Some(n) = known else {
            let Some(answer) = talk.ask(&json!({"op": "get", "key": stage.layout.last_key(index)}))
            else {
                return End::Gone;
            };
            match answer["value"].as_str().and_then(|text| text.parse().ok()) {
                Some(last) => {
                    check_last(stage, index, last);
                    let _ = events.send(Event::Up(Role::Writer(index)));
                    known = Some(last);
                }
                None if failed(stage, Role::Writer(index), &answer, &mut errors) => {
                    return End::Failed;
                }
                None => {}
            }
            continue;
        };
        let sent = Instant::now();
        let Some(answer) = talk.ask(&stage.layout.batch(index, n + 1)) else {
            return End::Gone;
        };
        if answer["ok"] == true {
            ledger.acknowledge(index, n + 1);
            known = Some(n + 1);
            if ledger.is_first_after_kill(index, sent) {
                let _ = events.send(Event::Resumed(Instant::now()));
            }
        } else {
            known = None;
            if failed(stage, Role::Writer(index), &answer, &mut errors) {
                return End::Failed;
            }
        }
    }
    End::Stopped
}

fn check_last(stage: &Stage<'_>, index: usize, last: u64) {
    let acked = stage.ledger.acked(index);
    if last < acked {
        stage.ledger.trouble(format_args!(
            "writer {}: batch {acked} was acknowledged, the last is {last}",
            index + 1
        ));
    }
}

fn read(stage: &Stage<'_>, index: usize, talk: &mut Talk, events: &Sender<Event>) -> End {
    let ledger = &stage.ledger;
    let role = Role::Reader(index);
    let mut errors = 0;
    let mut asked: Option<Instant> = None;
    let mut writer = index;
    while !ledger.stopped() {
        if asked.is_none_or(|at| at.elapsed() >= STATUS_EVERY) {
            let Some(answer) = talk.ask(&json!({"op": "status"})) else {
                return End::Gone;
            };
            match leader(&answer).map(|told| ledger.hear(told)) {
                Some(true) => drop(events.send(Event::NewLeader)),
                Some(false) => {}
                None if failed(stage, role, &answer, &mut errors) => return End::Failed,
                None => {}
            }
            if asked.is_none() {
                let _ = events.send(Event::Up(role));
            }
            asked = Some(Instant::now());
        }
        writer = (writer + 1) % stage.layout.writers;
        let floor = ledger.acked(writer);
        let Some(answer) = talk.ask(&json!({"op": "get", "key": stage.layout.last_key(writer)}))
        else {
            return End::Gone;
        };
        match answer["value"]
            .as_str()
            .and_then(|text| text.parse::<u64>().ok())
        {
            Some(last) => {
                ledger.reads.fetch_add(1, SeqCst);
                if last < floor {
                    ledger.stale.fetch_add(1, SeqCst);
                    ledger.trouble(format_args!(
                        "{role} read {last} after batch {floor} of writer {} was acknowledged",
                        writer + 1
                    ));
                }
            }
            None if failed(stage, role, &answer, &mut errors) => return End::Failed,
            None => {}
        }
    }
    End::Stopped
}

fn leader(answer: &Value) -> Option<Leader> {
    Some(Leader {
        pid: answer["leader_pid"].as_u64()?.try_into().ok()?,
        epoch: answer["epoch"].as_u64()?,
    })
}

/// Notes an answer that is none; says whether it is one too many.
fn failed(stage: &Stage<'_>, role: Role, answer: &Value, errors: &mut u32) -> bool {
    *errors += 1;
    stage.ledger.errors.fetch_add(1, SeqCst);
    stage
        .ledger
        .trouble(format_args!("{role} was answered {answer}"));
    *errors >= MOST_ERRORS
}
