//! A process of the party that does what it is told on standard input, a line a command, each answered by a line.

use std::path::Path;

use level_party::{Db, WriteBatch};
use level_party_bench::{BATCH, Child, Data, Random, Result};

use crate::caller::Caller;
use crate::queue;
use crate::settings::argument;
use crate::stores::{get_one, time_walk};

/// Starts a member of the party in `dir`, and waits until it has a role there.
pub fn start(dir: &Path, role: &str) -> Result<Child> {
    let mut child = Child::myself(&["--role", "member", argument(dir)?])?;
    let heard = child.hear()?;
    match heard == role {
        true => Ok(child),
        false => Err(format!("a member became {heard}, not {role}").into()),
    }
}

/// The member itself.
pub fn run(dir: &Path) -> Result<()> {
    let db = Db::open(dir)?;
    println!("{}", db.role().as_str());
    let mut caller = None;
    // Memory that the system has to free when this process dies.
    let mut ballast: Vec<u8>;
    for line in std::io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words[..] {
            ["fill-entries", count] => fill(&db, count.parse()?),
            ["fill-queue", jobs] => queue::fill(&db, jobs.parse()?),
            ["claim", which, begin] => queue::claim(&db, which, begin.parse()?),
            ["fill-memtable", bytes] => fill_memtable(&db, bytes.parse()?),
            ["scan", direction, entries] => {
                time_walk(&db, direction == "reverse", entries.parse()?).map(|s| s.to_line())
            }
            ["compact"] => compact(&db),
            ["write"] => {
                caller = Some(write(&db)?);
                Ok("writing".to_owned())
            }
            ["read", entries] => {
                caller = Some(read(&db, entries.parse()?)?);
                Ok("reading".to_owned())
            }
            ["grow", bytes] => {
                ballast = vec![1; bytes.parse()?];
                Ok(format!("{} bytes", ballast.len()))
            }
            ["pauses", leader, begin, end, killed] => {
                wait_for_another_leader(&db, leader.parse()?)?;
                let (begin, end) = (begin.parse()?, end.parse()?);
                pauses(caller.take(), &[(begin, end), (killed.parse()?, u64::MAX)])
            }
            _ => Err(format!("no such command: {line}").into()),
        }?;
        println!("{answer}");
    }
    Ok(())
}

/// Puts the workload's first `count` entries, in batches.
pub fn fill(db: &Db, count: usize) -> Result<String> {
    let data = Data::new(count);
    let order = data.shuffled(1);
    for chunk in order.chunks(BATCH) {
        let mut batch = WriteBatch::new();
        for index in chunk {
            batch.put(data.key(*index as usize), data.value(*index as usize));
        }
        db.write(&batch)?;
    }
    Ok("filled".to_owned())
}

/// Puts entries until those in memory, which are in the log too, take `bytes`.
fn fill_memtable(db: &Db, bytes: u64) -> Result<String> {
    let data = Data::new(1);
    let mut random = Random::new(3);
    while db.status()?.leader.memtable_bytes < bytes {
        let mut batch = WriteBatch::new();
        for _ in 0..BATCH / 10 {
            batch.put(data.key(random.below(1_000_000) as usize), data.value(0));
        }
        db.write(&batch)?;
    }
    Ok("filled".to_owned())
}

fn wait_for_another_leader(db: &Db, than: u32) -> Result<()> {
    while db.status()?.leader.leader_pid == than {
        std::thread::yield_now();
    }
    Ok(())
}

/// Moves all entries into tables, so that no log has them.
fn compact(db: &Db) -> Result<String> {
    db.compact_range(..)?;
    Ok("compacted".to_owned())
}

fn write(db: &Db) -> Result<Caller> {
    let (db, data) = (db.clone(), Data::new(1));
    let mut random = Random::new(std::process::id().into());
    Caller::start(move || {
        let key = data.key(random.below(1_000_000) as usize);
        Ok(db.put(key, data.value(0))?)
    })
}

fn read(db: &Db, entries: usize) -> Result<Caller> {
    let (db, data) = (db.clone(), Data::new(entries));
    let mut random = Random::new(std::process::id().into());
    Caller::start(move || get_one(&db, &data, random.below(entries as u64) as usize, true))
}

/// Ends the calls. For each window `BEGIN END`, the longest pause between two answers of which the second came in it, or
/// `- -`, where no call was answered in it.
fn pauses(caller: Option<Caller>, windows: &[(u64, u64)]) -> Result<String> {
    let answers = caller.ok_or("nothing was being called")?.stop()?;
    let ends = windows.iter().map(|(from, to)| {
        let pause = answers.longest_pause(*from, *to);
        pause.map_or("- -".to_owned(), |(begin, end)| format!("{begin} {end}"))
    });
    Ok(ends.collect::<Vec<_>>().join(" "))
}
