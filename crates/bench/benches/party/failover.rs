//! How long a party stands still when its leader is killed.

use std::path::Path;
use std::time::Duration;

use level_party_bench::{Result, Samples, Table, Unit};

use crate::member;
use crate::settings::Settings;
use crate::syncs;

/// Processes that put one entry after another, all the time.
const SURVIVORS: usize = 2;
/// How long they write before the kill.
const LOAD: Duration = Duration::from_millis(2);
/// A memtable this full is flushed soon, but not by the load before the kill. All of it is in the log.
const NEARLY_FULL: usize = 3500 << 10;

pub fn measure(settings: &Settings) -> Result<Table> {
    let mut table = Table::new("Failover: from SIGKILL of the leader", Unit::Millis);
    let mut logs = Vec::new();
    for (name, filled) in [
        ("log of the load alone", 0),
        ("log nearly full", NEARLY_FULL),
    ] {
        let mut rounds = Rounds::default();
        for _ in 0..settings.kills() {
            rounds.one(settings, filled)?;
        }
        logs.push(format!("{name}: {} KiB", rounds.largest_log / 1024));
        table.group(name);
        table.row("floor: both of the next", Some(rounds.floor.summary(1)));
        table.row(
            "- the system is done with the process",
            Some(rounds.reaped.summary(1)),
        );
        table.row(
            "- recovery's files written and synced",
            Some(rounds.synced.summary(1)),
        );
        table.row("first write of any survivor", Some(rounds.first.summary(1)));
        table.row("all survivors write again", Some(rounds.all.summary(1)));
    }
    table.note(format!(
        "Survivors: {SURVIVORS}, which put one entry after another. Largest log to recover: {}.",
        logs.join(", ")
    ));
    Ok(table)
}

#[derive(Default)]
struct Rounds {
    floor: Samples,
    reaped: Samples,
    synced: Samples,
    first: Samples,
    all: Samples,
    largest_log: u64,
}

impl Rounds {
    fn one(&mut self, settings: &Settings, filled: usize) -> Result<()> {
        let dir = settings.temporary()?;
        let mut leader = member::start(dir.path(), "leader")?;
        let mut survivors = (0..SURVIVORS)
            .map(|_| member::start(dir.path(), "follower"))
            .collect::<Result<Vec<_>>>()?;
        if filled > 0 {
            leader.ask(&format!("fill-memtable {filled}"))?;
        }
        for survivor in &mut survivors {
            survivor.ask("write")?;
        }
        std::thread::sleep(LOAD);

        let pid = leader.pid();
        let log = newest_log_bytes(dir.path())?;
        let killed = member::clock();
        let reaped = leader.kill()?;
        let mut ends = Vec::new();
        for survivor in &mut survivors {
            survivor.tell(&format!("resumed {pid} {killed}"))?;
        }
        for survivor in &mut survivors {
            let pause = survivor.hear()?;
            let (_, end) = pause.split_once(' ').ok_or("a pause has two ends")?;
            ends.push(Duration::from_nanos(end.parse::<u64>()? - killed));
        }
        self.largest_log = self.largest_log.max(log);
        // Snappy halves the workload.
        let synced = syncs::publish(dir.path(), Some(log as usize / 2))?;
        self.floor.push(reaped + synced);
        self.reaped.push(reaped);
        self.synced.push(synced);
        self.first
            .push(ends.iter().min().copied().unwrap_or_default());
        self.all
            .push(ends.iter().max().copied().unwrap_or_default());
        Ok(())
    }
}

/// The log that the killed leader wrote last is the one that its successor reads.
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
