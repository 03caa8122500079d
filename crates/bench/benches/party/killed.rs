//! What reads and writes of other processes see of a leader's death, of a writer's, and of a leader that stands still.
//!
//! In each round the same processes make the same calls for as long without the kill as with it, so that what the
//! scheduler does to them stands beside what the kill does. On a busy machine a process may get no answer in one of the two
//! times, and a round may fail: such a round is missing, and the table says so. Only if all of a row's rounds fail, the
//! run does.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use level_party_bench::{Child, Error, Result, Samples, Table, Unit};

use crate::clock::clock;
use crate::member;
use crate::settings::Settings;

/// Entries that are read. All are in tables before the load begins.
const ENTRIES: usize = 10_000;
/// How long calls are watched without a kill, and with it.
const WINDOW: Duration = Duration::from_millis(100);
/// How long calls are made before they are watched.
const WARM: Duration = Duration::from_millis(20);
/// How long a leader is stopped.
const STOP: Duration = Duration::from_secs(1);
/// A memtable this full is flushed soon, but not by the load before the kill. All of it is in the log.
const NEARLY_FULL: usize = 3500 << 10;
/// Bytes of memory of a writer that is killed. Its locks are free when the system has freed its memory.
const LARGE: usize = 1 << 30;
/// For so many kills a leader is stopped once.
const KILLS_PER_STOP: usize = 10;

pub fn measure(settings: &Settings) -> Result<Table> {
    let mut table = Table::new(
        "Longest pause between two answers while a leader dies",
        Unit::Millis,
    );
    let mut logs = Vec::new();
    let mut missing = Vec::new();
    for (name, filled) in [
        ("log of the load alone", 0),
        ("log nearly full", NEARLY_FULL),
    ] {
        let rounds = Rounds::run(settings.kills(), |rounds| rounds.kill(settings, filled))?;
        logs.push(format!("{name}: {} KiB", rounds.largest_log / 1024));
        missing.extend(rounds.missing(name));
        let [read, write] = [rounds.read, rounds.write];
        read.add_to(&mut table, format!("read, {name}"), "leader killed");
        write.add_to(&mut table, format!("write, {name}"), "leader killed");
    }
    for (name, grown) in [("writer", 0), ("writer with 1 GiB of memory", LARGE)] {
        let rounds = Rounds::run(settings.kills(), |rounds| {
            rounds.kill_writer(settings, grown)
        })?;
        missing.extend(rounds.missing(name));
        let [read, write] = [rounds.read, rounds.write];
        let with = format!("{name} killed");
        read.add_to(&mut table, format!("read, a {name}"), &with);
        write.add_to(&mut table, format!("write, a {name}"), &with);
    }
    let stops = settings.kills().div_ceil(KILLS_PER_STOP);
    let rounds = Rounds::run(stops, |rounds| rounds.stop(settings))?;
    let with = format!("leader stopped for {} s", STOP.as_secs());
    missing.extend(rounds.missing(&with));
    rounds.read.add_to(&mut table, "read".to_owned(), &with);
    table.note(format!(
        "Beside the leader {} of its followers get one entry after another, and one puts, beside a writer that is killed. \
         Largest log when the leader died: {}.",
        readers(),
        logs.join(", ")
    ));
    if !missing.is_empty() {
        table.note(format!("Missing rounds: {}.", missing.join("; ")));
    }
    Ok(table)
}

/// Processes that get. One core is left for the one that puts, so that no caller waits for a core.
fn readers() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    (cores - 1).clamp(1, 2)
}

/// The longest pauses of the rounds in which there were both.
#[derive(Default)]
struct Pauses {
    without: Samples,
    with: Samples,
    /// Rounds in which a process got no answer in one of the two times.
    silent: usize,
}

impl Pauses {
    fn push(&mut self, without: Option<Duration>, with: Option<Duration>) {
        match (without, with) {
            (Some(without), Some(with)) => {
                self.without.push(without);
                self.with.push(with);
            }
            _ => self.silent += 1,
        }
    }

    fn add_to(self, table: &mut Table, group: String, with: &str) {
        let summary = |samples: Samples| (!samples.is_empty()).then(|| samples.summary(1));
        table.group(group);
        table.row("the same load without it", summary(self.without));
        table.row(with, summary(self.with));
    }
}

#[derive(Default)]
struct Rounds {
    read: Pauses,
    write: Pauses,
    largest_log: u64,
    failed: Vec<Error>,
}

impl Rounds {
    /// Runs so many rounds. One that fails is missing; if all fail, so does this.
    fn run(count: usize, mut round: impl FnMut(&mut Rounds) -> Result<()>) -> Result<Rounds> {
        let mut rounds = Rounds::default();
        for _ in 0..count {
            if let Err(error) = round(&mut rounds) {
                eprintln!("a round is missing: {error}");
                rounds.failed.push(error);
            }
        }
        match rounds.failed.pop() {
            Some(error) if rounds.failed.len() + 1 == count => Err(error),
            last => {
                rounds.failed.extend(last);
                Ok(rounds)
            }
        }
    }

    /// What the table says of the rounds called `name` that are missing.
    fn missing(&self, name: &str) -> Option<String> {
        let counts = [
            (self.read.silent, "without a read"),
            (self.write.silent, "without a write"),
            (self.failed.len(), "failed"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let told: Vec<_> = counts
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        (!told.is_empty()).then(|| format!("{name}, {}", told.join(", ")))
    }

    fn kill(&mut self, settings: &Settings, filled: usize) -> Result<()> {
        let dir = settings.temporary()?;
        let mut load = Load::start(dir.path())?;
        let quiet = load.watch(WINDOW);
        if filled > 0 {
            load.leader.ask(&format!("fill-memtable {filled}"))?;
        }
        self.largest_log = self.largest_log.max(newest_log_bytes(dir.path())?);
        let (pid, killed) = (load.leader.pid(), clock());
        load.leader.kill()?;
        std::thread::sleep(WINDOW);
        load.end(pid, quiet, killed, self)
    }

    /// Kills one of two processes that write, neither of which leads.
    fn kill_writer(&mut self, settings: &Settings, grown: usize) -> Result<()> {
        let dir = settings.temporary()?;
        let load = Load::start(dir.path())?;
        let mut victim = member::start(dir.path(), "follower")?;
        victim.ask(&format!("grow {grown}"))?;
        victim.ask("write")?;
        std::thread::sleep(WARM);
        let quiet = load.watch(WINDOW);
        let killed = clock();
        victim.kill()?;
        std::thread::sleep(WINDOW);
        // No process has this number, so that nobody waits for another leader.
        load.end(0, quiet, killed, self)
    }

    fn stop(&mut self, settings: &Settings) -> Result<()> {
        let dir = settings.temporary()?;
        let load = Load::start(dir.path())?;
        let quiet = load.watch(STOP);
        let (pid, stopped) = (load.leader.pid(), clock());
        signal(pid, "STOP")?;
        std::thread::sleep(STOP);
        signal(pid, "CONT")?;
        // No process has this number, so that nobody waits for another leader.
        load.end(0, quiet, stopped, self)
    }
}

/// A leader, and the processes that call.
struct Load {
    leader: Child,
    readers: Vec<Child>,
    writer: Child,
}

impl Load {
    fn start(dir: &Path) -> Result<Load> {
        let mut leader = member::start(dir, "leader")?;
        leader.ask(&format!("fill-entries {ENTRIES}"))?;
        leader.ask("compact")?;
        let mut readers = (0..readers())
            .map(|_| member::start(dir, "follower"))
            .collect::<Result<Vec<_>>>()?;
        let mut writer = member::start(dir, "follower")?;
        for reader in &mut readers {
            reader.ask(&format!("read {ENTRIES}"))?;
        }
        writer.ask("write")?;
        std::thread::sleep(WARM);
        Ok(Load {
            leader,
            readers,
            writer,
        })
    }

    /// The two ends of a time in which nothing happens to the leader.
    fn watch(&self, time: Duration) -> (u64, u64) {
        let begin = clock();
        std::thread::sleep(time);
        (begin, clock())
    }

    /// Ends the calls once another process than `leader` leads, and adds their longest pauses.
    fn end(self, leader: u32, quiet: (u64, u64), happened: u64, rounds: &mut Rounds) -> Result<()> {
        let (mut readers, mut writer) = (self.readers, self.writer);
        let command = format!("pauses {leader} {} {} {happened}", quiet.0, quiet.1);
        for member in readers.iter_mut().chain([&mut writer]) {
            member.tell(&command)?;
        }
        let mut reads = [Some(Duration::ZERO); 2];
        for reader in &mut readers {
            for (longest, own) in reads.iter_mut().zip(pauses(&reader.hear()?)?) {
                *longest = longest.zip(own).map(|(longest, own)| longest.max(own));
            }
        }
        let writes = pauses(&writer.hear()?)?;
        rounds.read.push(reads[0], reads[1]);
        rounds.write.push(writes[0], writes[1]);
        Ok(())
    }
}

/// How long the two pauses were whose ends a member tells; `None` where it got no answer.
fn pauses(line: &str) -> Result<[Option<Duration>; 2]> {
    let words: Vec<&str> = line.split(' ').collect();
    let [a, b, c, d] = words[..] else {
        return Err(format!("not two pauses: {line}").into());
    };
    let between = |begin: &str, end: &str| -> Result<Option<Duration>> {
        if begin == "-" {
            return Ok(None);
        }
        let (begin, end): (u64, u64) = (begin.parse()?, end.parse()?);
        Ok(Some(Duration::from_nanos(end.saturating_sub(begin))))
    };
    Ok([between(a, b)?, between(c, d)?])
}

/// Bytes of the log that is written.
fn newest_log_bytes(dir: &Path) -> Result<u64> {
    let mut newest = None;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_string_lossy().ends_with(".log") {
            newest = newest.max(Some((name, entry.metadata()?.len())));
        }
    }
    Ok(newest.map_or(0, |(_, bytes)| bytes))
}

fn signal(pid: u32, name: &str) -> Result<()> {
    let mut command = Command::new("kill");
    let status = command.args(["-s", name, &pid.to_string()]).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("kill -s {name} {pid} ended with {status}").into()),
    }
}
