//! A process that has a store open beside others, and calls it as it is told on standard input, a line a command, each
//! answered by a line.

use std::path::Path;
use std::time::Duration;

use level_party_bench::{Child, Data, Random, Result, Samples, Summary};

use crate::clock::{clock, sleep_until};
use crate::settings::argument;
use crate::stores::{Store, get_one, time_walk, with_open};

/// Calls between two looks at the clock, where many processes call at once.
const CALLS: u64 = 32;
/// From the command to the first call: by then every process has been told.
const NOTICE: Duration = Duration::from_millis(10);

/// What a worker does call by call.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    GetHit,
    GetMiss,
    Put,
    /// 95 gets and 5 puts of a hundred.
    Mixed,
    ScanForward,
    ScanReverse,
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Work::GetHit => "get-hit",
            Work::GetMiss => "get-miss",
            Work::Put => "put",
            Work::Mixed => "mixed",
            Work::ScanForward => "scan-forward",
            Work::ScanReverse => "scan-reverse",
        }
    }
}

/// A worker, as the process that tells it what to do has it.
pub struct Worker {
    child: Child,
}

impl Worker {
    /// Starts one, which opens `store` in `dir` and must have `role` there.
    pub fn start(store: &str, dir: &Path, entries: usize, role: &str) -> Result<Worker> {
        let (dir, entries) = (argument(dir)?, entries.to_string());
        let mut child = Child::myself(&["--role", "worker", store, dir, &entries])?;
        let heard = child.hear()?;
        match heard == role {
            true => Ok(Worker { child }),
            false => Err(format!("a worker of {store} became {heard}, not {role}").into()),
        }
    }

    /// Has it make `calls` calls one after another; a scan is one whatever `calls` says.
    pub fn measure(&mut self, work: Work, calls: usize) -> Result<Summary> {
        let line = self.child.ask(&format!("{} {calls}", work.name()))?;
        Summary::from_line(&line)
    }

    /// Has it read everything once, so that what it maps or caches is there.
    pub fn warm(&mut self) -> Result<()> {
        self.measure(Work::ScanForward, 1).map(drop)
    }

    /// Has it make one call, so that whatever a store does at the first is done.
    pub fn touch(&mut self) -> Result<()> {
        self.child.ask("touch").map(drop)
    }

    pub fn pid(&self) -> u32 {
        self.child.pid()
    }
}

/// Has all of them make calls with any entry for as long as told, all at the same time. For each: its calls, and their mean
/// time.
pub fn at_once(workers: &mut [Worker], work: Work, time: Duration) -> Result<Vec<Summary>> {
    let begin = clock() + NOTICE.as_nanos() as u64;
    let end = begin + time.as_nanos() as u64;
    let command = format!("between {} {begin} {end}", work.name());
    for worker in &mut *workers {
        worker.child.tell(&command)?;
    }
    let heard = |worker: &mut Worker| Summary::from_line(&worker.child.hear()?);
    workers.iter_mut().map(heard).collect()
}

/// The worker itself.
pub fn run(store: &str, dir: &Path, entries: usize) -> Result<()> {
    with_open(store, dir, true, &mut |store| {
        println!("{}", store.role());
        obey(store, entries)
    })
}

fn obey(store: &dyn Store, entries: usize) -> Result<()> {
    let mut random = Random::new(std::process::id().into());
    for line in std::io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        // An idle process must not be seen with the workload's values, so they are made when they are needed.
        let answer = match words[..] {
            ["touch"] => store.has(b"nothing").map(|_| "touched".to_owned()),
            ["scan-forward", _] => time_walk(store, false, entries).map(|s| s.to_line()),
            ["scan-reverse", _] => time_walk(store, true, entries).map(|s| s.to_line()),
            ["between", work, begin, end] => {
                let data = Data::new(entries);
                let mut one = || one(store, &data, &mut random, work);
                between(&mut one, begin.parse()?, end.parse()?)
            }
            [work, calls] => {
                let data = Data::new(entries);
                let mut one = || one(store, &data, &mut random, work);
                call(&mut one, calls.parse()?)
            }
            _ => Err(format!("no such command: {line}").into()),
        }?;
        println!("{answer}");
    }
    Ok(())
}

/// One call with any entry.
fn one(store: &dyn Store, data: &Data, random: &mut Random, work: &str) -> Result<()> {
    let mut any = || random.below(data.entries() as u64) as usize;
    // Of another entry: SQLite writes nothing where a value stays as it is.
    let (index, value) = (any(), any());
    let put = || store.put(&data.key(index), data.value(value));
    match work {
        "get-hit" => get_one(store, data, index, true),
        "get-miss" => get_one(store, data, index, false),
        "put" => put(),
        "mixed" if random.below(20) == 0 => put(),
        "mixed" => get_one(store, data, index, true),
        _ => Err(format!("no such work: {work}").into()),
    }
}

/// So many calls, the first tenth of them untimed.
fn call(one: &mut dyn FnMut() -> Result<()>, calls: usize) -> Result<String> {
    (0..calls / 10).try_for_each(|_| one())?;
    let mut samples = Samples::with_capacity(calls);
    samples.time_each(0..calls, |_| one())?;
    Ok(samples.summary(1).to_line())
}

/// As many calls as there is time for.
fn between(one: &mut dyn FnMut() -> Result<()>, begin: u64, end: u64) -> Result<String> {
    sleep_until(begin);
    let mut calls = 0;
    let mut now = begin;
    while calls == 0 || now < end {
        (0..CALLS).try_for_each(|_| one())?;
        calls += CALLS;
        now = clock();
    }
    // From the common beginning, also where the scheduler was late.
    let time = Duration::from_nanos(now.saturating_sub(begin));
    Ok(Summary::of_total(calls, time).to_line())
}
