//! What it takes to claim a job: a transaction that takes the first entry of a queue, in one process and in four at once,
//! until the queue is empty. The peer is the same claim by processes that remember which job they took last, and look for
//! the next one from there on: it passes no removed keys, and misses jobs that are put before it.

use std::time::Duration;

use level_party::{Db, Readable, WriteBatch};
use level_party_bench::{BATCH, Child, Result, Summary, Table, Unit};

use crate::clock::{clock, sleep_until};
use crate::member;
use crate::settings::Settings;

/// Processes that claim at once.
const PROCESSES: [usize; 2] = [1, 4];
/// From the command to the first claim: by then every process has been told.
const NOTICE: Duration = Duration::from_millis(10);
/// The keys of jobs.
const JOBS: std::ops::Range<&str> = "job/".."job0";

/// Which job a claim takes.
#[derive(Clone, Copy)]
enum Claim {
    /// The first after the one taken last.
    Cursor,
    First,
    Last,
}

impl Claim {
    const ALL: [Claim; 3] = [Claim::Cursor, Claim::First, Claim::Last];

    fn word(self) -> &'static str {
        match self {
            Claim::Cursor => "cursor",
            Claim::First => "first",
            Claim::Last => "last",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Claim::Cursor => "first, with a cursor",
            Claim::First => "first",
            Claim::Last => "last",
        }
    }
}

/// Claims of all jobs of a queue.
pub fn measure(settings: &Settings) -> Result<Table> {
    let jobs = settings.calls();
    let title = format!("A queue of {jobs} jobs, a claim");
    let mut table = Table::new(title, Unit::Micros);
    table.column("claims/s");
    for processes in PROCESSES {
        let mut rounds = Claim::ALL.map(|_| Vec::new());
        for _ in 0..settings.rounds() {
            for (claim, rounds) in Claim::ALL.into_iter().zip(&mut rounds) {
                rounds.push(claim_all(settings, processes, jobs, claim)?);
            }
        }
        table.group(match processes {
            1 => "1 process".to_owned(),
            _ => format!("{processes} processes"),
        });
        for (claim, rounds) in Claim::ALL.into_iter().zip(&rounds) {
            let summary = Summary::median(rounds);
            let rate = format!("{:.0}", 1e9 / summary.mean);
            table.row_with(claim.name(), Some(summary), vec![rate]);
        }
    }
    Ok(table)
}

/// Fills a queue, and has processes claim its jobs until there is none: the wall's time, divided by the jobs.
fn claim_all(settings: &Settings, processes: usize, jobs: usize, claim: Claim) -> Result<Summary> {
    let dir = settings.temporary()?;
    let start = |index| match index {
        0 => member::start(dir.path(), "leader"),
        _ => member::start(dir.path(), "follower"),
    };
    let mut members = (0..processes).map(start).collect::<Result<Vec<Child>>>()?;
    members[0].ask(&format!("fill-queue {jobs}"))?;
    let begin = clock() + NOTICE.as_nanos() as u64;
    for member in &mut members {
        member.tell(&format!("claim {} {begin}", claim.word()))?;
    }
    let (mut claimed, mut end) = (0, begin);
    for member in &mut members {
        let heard = member.hear()?;
        let (count, ended) = heard
            .split_once(' ')
            .ok_or("a claimer said something else")?;
        claimed += count.parse::<usize>()?;
        end = end.max(ended.parse()?);
    }
    if claimed != jobs {
        return Err(format!("{claimed} of {jobs} jobs were claimed").into());
    }
    let time = Duration::from_nanos(end - begin);
    Ok(Summary::of_total(jobs as u64, time))
}

/// Puts so many jobs, in batches. A member's part.
pub fn fill(db: &Db, jobs: usize) -> Result<String> {
    let numbers: Vec<usize> = (0..jobs).collect();
    for chunk in numbers.chunks(BATCH) {
        let mut batch = WriteBatch::new();
        for number in chunk {
            batch.put(format!("job/{number:016}"), [b'x'; 100]);
        }
        db.write(&batch)?;
    }
    Ok("filled".to_owned())
}

/// Claims jobs from a moment on until there is none. Gives how many, and when there was none. A member's part.
pub fn claim(db: &Db, word: &str, begin: u64) -> Result<String> {
    let claim = Claim::ALL.into_iter().find(|claim| claim.word() == word);
    let claim = claim.ok_or_else(|| format!("no such claim: {word}"))?;
    sleep_until(begin);
    let mut last = JOBS.start.as_bytes().to_vec();
    let mut count = 0;
    while let Some(key) = claim_one(db, claim, &last)? {
        last = key;
        count += 1;
    }
    Ok(format!("{count} {}", clock()))
}

/// Claims one job, if there is one, and gives its key.
fn claim_one(db: &Db, claim: Claim, last: &[u8]) -> Result<Option<Vec<u8>>> {
    let claimed = db.transaction(|tx| {
        let job = match claim {
            Claim::Cursor => tx.first(last..JOBS.end.as_bytes()),
            Claim::First => tx.first(JOBS),
            Claim::Last => tx.last(JOBS),
        }?;
        if let Some((key, _)) = &job {
            tx.delete(key)?;
        }
        Ok(job)
    })?;
    Ok(claimed.map(|(key, _)| key))
}
