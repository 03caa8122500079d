//! A process of the party that does what it is told on standard input, a line a command, each answered by a line.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use level_party::{Db, WriteBatch, WriteOptions};
use level_party_bench::{BATCH, Child, Data, Error, Random, Result};

use crate::settings::argument;
use crate::stores::time_walk;

/// Acknowledged writes that are remembered at first: more than a survivor makes in a round.
const ACKNOWLEDGEMENTS: usize = 1 << 20;

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
    let mut writer = None;
    for line in std::io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words[..] {
            ["fill-entries", count] => fill(&db, count.parse()?),
            ["fill-memtable", bytes] => fill_memtable(&db, bytes.parse()?),
            ["scan", direction, entries] => {
                time_walk(&db, direction == "reverse", entries.parse()?).map(|s| s.to_line())
            }
            ["write"] => {
                writer = Some(Writer::start(&db)?);
                Ok("writing".to_owned())
            }
            ["resumed", leader, killed] => {
                let writer = writer.take().ok_or("nothing was being written")?;
                wait_for_another_leader(&db, leader.parse()?)?;
                writer.longest_pause_ending_after(killed.parse()?)
            }
            _ => Err(format!("no such command: {line}").into()),
        }?;
        println!("{answer}");
    }
    Ok(())
}

/// Puts the workload's first `count` entries, in batches.
fn fill(db: &Db, count: usize) -> Result<String> {
    let data = Data::new(count);
    let order = data.shuffled(1);
    for chunk in order.chunks(BATCH) {
        let mut batch = WriteBatch::new();
        for index in chunk {
            batch.put(&data.key(*index as usize), data.value(*index as usize));
        }
        db.write(&batch, WriteOptions::default())?;
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
            batch.put(&data.key(random.below(1_000_000) as usize), data.value(0));
        }
        db.write(&batch, WriteOptions::default())?;
    }
    Ok("filled".to_owned())
}

fn wait_for_another_leader(db: &Db, than: u32) -> Result<()> {
    while db.status()?.leader.leader_pid == than {
        std::thread::yield_now();
    }
    Ok(())
}

/// The one clock that all processes of a machine share; a round is far too short for its adjustments to matter.
pub fn clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |time| time.as_nanos() as u64)
}

/// A thread that puts one entry after another, and notes when each was acknowledged.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<u64>>>,
}

impl Writer {
    fn start(db: &Db) -> Result<Writer> {
        let stop = Arc::new(AtomicBool::new(false));
        let (db, stopped) = (db.clone(), stop.clone());
        let data = Data::new(1);
        let mut random = Random::new(std::process::id().into());
        put_one(&db, &data, &mut random)?;
        let thread = std::thread::spawn(move || {
            let mut times = Vec::with_capacity(ACKNOWLEDGEMENTS);
            while !stopped.load(Ordering::Relaxed) {
                put_one(&db, &data, &mut random)?;
                times.push(clock());
            }
            // One write more, so that the pause has an end even if it was all there was.
            put_one(&db, &data, &mut random)?;
            times.push(clock());
            Ok(times)
        });
        Ok(Writer { stop, thread })
    }

    /// Stops writing. `FROM TO`: the longest pause between two acknowledgements that ended after `moment`.
    fn longest_pause_ending_after(self, moment: u64) -> Result<String> {
        self.stop.store(true, Ordering::Relaxed);
        let times = self
            .thread
            .join()
            .map_err(|_| Error::from("the writer panicked"))??;
        let pauses = times.windows(2).filter(|pair| pair[1] > moment);
        let longest = pauses.max_by_key(|pair| pair[1] - pair[0]);
        let pair = longest.ok_or("no write was acknowledged after the kill")?;
        Ok(format!("{} {}", pair[0], pair[1]))
    }
}

fn put_one(db: &Db, data: &Data, random: &mut Random) -> Result<()> {
    let key = data.key(random.below(1_000_000) as usize);
    Ok(db.put(key, data.value(0))?)
}
