//! What processes that have a database open and do nothing take: CPU time, wake-ups, memory.

use std::time::Duration;

use level_party_bench::{Child, Result, Samples, Table, Unit};

use crate::process::{Usage, memory, usage};
use crate::settings::Settings;
use crate::subject::Subject;
use crate::worker::Worker;

/// Idle processes beside the one that opened the database first.
const MEMBERS: usize = 10;
/// From the last call to the first look: what goes on after a call (spinning, locks looked at) has ended by then. A tiny
/// run does not wait so long.
const SETTLE: Duration = Duration::from_secs(1);
/// Idle processes are watched so many times as long as several that call at once.
const TIMES: u32 = 5;

pub fn measure(settings: &Settings) -> Result<Table> {
    let mut table = Table::new("Idle processes, CPU time of one in a second", Unit::Micros);
    if !cfg!(target_os = "linux") {
        table.note(
            "No rows: CPU time and memory of a process are read from /proc, as Linux has it.",
        );
        return Ok(table);
    }
    for head in ["wake-ups/s", "USS KiB", "PSS KiB", "adds KiB"] {
        table.column(head);
    }
    let time = settings.time() * TIMES;
    table.group(format!("{MEMBERS} of each, {} s", time.as_secs_f64()));
    let bare = nothing_open(time)?;
    let own = bare.adds;
    bare.add_to(&mut table, "reference: process with nothing open", 0.0);
    for subject in Subject::ALL {
        if !subject.is_built() {
            table.row(subject.name(), None);
            continue;
        }
        let (first, others) = of_subject(settings, subject, time)?;
        match subject {
            Subject::Party => {
                others.add_to(&mut table, "level-party, follower", own);
                first.add_to(&mut table, "level-party, their leader", 0.0);
            }
            _ => others.add_to(&mut table, subject.name(), own),
        }
    }
    Ok(table)
}

fn nothing_open(time: Duration) -> Result<Watched> {
    let before = all_memory(&[])?;
    let mut children = (0..MEMBERS)
        .map(|_| Child::myself(&["--role", "idle"]))
        .collect::<Result<Vec<_>>>()?;
    for child in &mut children {
        child.hear()?;
    }
    let pids: Vec<u32> = children.iter().map(Child::pid).collect();
    let mut watched = watch(&pids, time)?;
    watched.adds = added(before, &pids)?;
    Ok(watched)
}

/// The process that opened a database first, and the others.
fn of_subject(settings: &Settings, subject: Subject, time: Duration) -> Result<(Watched, Watched)> {
    let dir = settings.temporary()?;
    let mut workers = vec![subject.start(dir.path(), 0)?];
    workers.iter_mut().try_for_each(Worker::touch)?;
    let first = pids(&workers);
    let before = all_memory(&first)?;
    for _ in 0..MEMBERS {
        workers.push(subject.join(dir.path(), 0)?);
    }
    workers.iter_mut().try_for_each(Worker::touch)?;
    let all = pids(&workers);
    let mut others = watch(&all[1..], time)?;
    others.adds = added(before, &all)?;
    Ok((watch(&first, time)?, others))
}

fn pids(workers: &[Worker]) -> Vec<u32> {
    workers.iter().map(Worker::pid).collect()
}

/// What these processes and this one have in memory together: what they share counts once.
fn all_memory(pids: &[u32]) -> Result<u64> {
    let mut sum = memory(std::process::id())?.proportional;
    for pid in pids {
        sum += memory(*pid)?.proportional;
    }
    Ok(sum)
}

/// KiB that one of [`MEMBERS`] has added to what all had `before`.
fn added(before: u64, pids: &[u32]) -> Result<f64> {
    Ok((all_memory(pids)? as f64 - before as f64) / MEMBERS as f64)
}

/// What each of several like processes took while it was watched, for a second, and its memory in KiB.
#[derive(Default)]
struct Watched {
    cpu: Samples,
    wakes: Vec<f64>,
    private: Vec<u64>,
    proportional: Vec<u64>,
    /// By how much one of them made more what all have together.
    adds: f64,
}

fn watch(pids: &[u32], time: Duration) -> Result<Watched> {
    let usages = || {
        pids.iter()
            .map(|pid| usage(*pid))
            .collect::<Result<Vec<Usage>>>()
    };
    std::thread::sleep(SETTLE.min(time));
    let before = usages()?;
    std::thread::sleep(time);
    let mut watched = Watched::default();
    for (before, after) in before.iter().zip(usages()?) {
        let cpu = after.cpu.saturating_sub(before.cpu);
        watched.cpu.push(cpu.div_f64(time.as_secs_f64()));
        let wakes = after.sleeps.saturating_sub(before.sleeps);
        watched.wakes.push(wakes as f64 / time.as_secs_f64());
    }
    for pid in pids {
        let memory = memory(*pid)?;
        watched.private.push(memory.private);
        watched.proportional.push(memory.proportional);
    }
    Ok(watched)
}

impl Watched {
    /// `own` is what a process with nothing open adds.
    fn add_to(self, table: &mut Table, name: &str, own: f64) {
        let wakes = self.wakes.iter().sum::<f64>() / self.wakes.len().max(1) as f64;
        let mut cells = vec![
            format!("{wakes:.1}"),
            middle(&self.private).to_string(),
            middle(&self.proportional).to_string(),
        ];
        // The first of a database is there before anything is added.
        if self.adds != 0.0 {
            cells.push(format!("{:.0}", self.adds - own));
        }
        table.row_with(name, Some(self.cpu.summary(1)), cells);
    }
}

fn middle(numbers: &[u64]) -> u64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
