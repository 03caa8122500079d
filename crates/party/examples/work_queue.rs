//! A queue of jobs that any number of processes put into and take from. Whoever takes a job has a lease on it: a worker that
//! does not say in time that the job is done, because it was killed for instance, loses it to the next one that asks.
//!
//! ```sh
//! cargo run --example work_queue -- data put sweep mop dust     # puts three jobs
//! cargo run --example work_queue -- data work                   # in as many terminals as you like; kill any of them
//! cargo run --example work_queue -- data show
//! ```
//!
//! A job is done once, or more than once if a worker dies, or is slower than its lease, after it did the work and before it
//! said so: let jobs be such that doing one twice does no harm.

use std::error::Error;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use level_party::{Db, Prefix, Readable, Result, Transaction, WatchFrom};

/// How long a worker has for a job, unless it [extends](Queue::extend) its lease.
const LEASE_MILLIS: u64 = 5_000;
/// Jobs that wait, by number: the first key is that of the job that waits longest.
const READY: &str = "ready/";
/// Jobs that somebody works on, by number: the lease's end and its worker, then the job.
const HELD: &str = "held/";
/// Leases by their end, then by number: the first key is that of the lease that ends first.
const ENDS: &str = "ends/";
/// How many jobs were put.
const COUNT: &str = "count";

/// A queue in a database.
pub struct Queue {
    db: Db,
}

/// A job that was claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its number: jobs are counted in the order in which they were put.
    pub number: u64,
    /// What is to be done.
    pub job: String,
    /// When it ends, in milliseconds of whatever clock the callers use.
    pub until: u64,
    worker: u32,
}

impl Queue {
    /// The queue of a database, which has nothing else in it.
    pub fn new(db: Db) -> Queue {
        Queue { db }
    }

    /// Puts a job behind all others.
    pub fn put(&self, job: &str) -> Result<u64> {
        self.db.transaction(|tx| {
            let count = tx.get(COUNT)?;
            let number = count.map_or(0, |count| parse(&count)) + 1;
            tx.put(COUNT, number.to_string())?;
            tx.put(ready(number), job)?;
            Ok(number)
        })
    }

    /// Takes the job whose lease ended first, if one has ended, or else the one that waits longest. `worker` is the caller.
    pub fn claim(&self, worker: u32, now: u64) -> Result<Option<Lease>> {
        self.db.transaction(|tx| {
            let Some((number, job)) = take_ended(tx, now)?.map_or_else(|| take_ready(tx), some)?
            else {
                return Ok(None);
            };
            let lease = Lease {
                number,
                job,
                until: now + LEASE_MILLIS,
                worker,
            };
            lease.write(tx)?;
            Ok(Some(lease))
        })
    }

    /// Takes a job that is done out of the queue. False: the lease had ended, and the job is another worker's by now.
    pub fn done(&self, lease: &Lease) -> Result<bool> {
        self.db.transaction(|tx| {
            let is_ours = lease.stands(tx)?;
            if is_ours {
                lease.remove(tx)?;
            }
            Ok(is_ours)
        })
    }

    /// Begins the time of a lease anew. `None`: the job is another worker's by now.
    pub fn extend(&self, lease: &Lease, now: u64) -> Result<Option<Lease>> {
        self.db.transaction(|tx| {
            if !lease.stands(tx)? {
                return Ok(None);
            }
            lease.remove(tx)?;
            let mut longer = lease.clone();
            longer.until = now + LEASE_MILLIS;
            longer.write(tx)?;
            Ok(Some(longer))
        })
    }

    /// When the lease that ends first does.
    pub fn next_end(&self) -> Result<Option<u64>> {
        let first = self.db.first(Prefix(ENDS))?;
        Ok(first.map(|(key, _)| end_and_number(&key).0))
    }

    /// Jobs that wait, and jobs that somebody works on.
    pub fn count(&self) -> Result<(usize, usize)> {
        let snapshot = self.db.snapshot()?;
        let count = |prefix| -> Result<usize> {
            let mut keys = snapshot.range(Prefix(prefix)).keys();
            keys.try_fold(0, |count, key| key.map(|_| count + 1))
        };
        Ok((count(READY)?, count(HELD)?))
    }
}

impl Lease {
    /// What is stored with a job: two workers never have the same.
    fn mark(&self) -> String {
        format!("{} {}\n", self.until, self.worker)
    }

    fn write(&self, tx: &Transaction) -> Result<()> {
        tx.put(held(self.number), self.mark() + &self.job)?;
        tx.put(ends(self.until, self.number), "")
    }

    fn remove(&self, tx: &Transaction) -> Result<()> {
        tx.delete(held(self.number))?;
        tx.delete(ends(self.until, self.number))
    }

    fn stands(&self, tx: &Transaction) -> Result<bool> {
        let held = tx.get(held(self.number))?;
        Ok(held.is_some_and(|held| held.starts_with(self.mark().as_bytes())))
    }
}

/// The job of a lease that has ended.
fn take_ended(tx: &Transaction, now: u64) -> Result<Option<(u64, String)>> {
    let Some((key, _)) = tx.first(Prefix(ENDS))? else {
        return Ok(None);
    };
    let (end, number) = end_and_number(&key);
    if end > now {
        return Ok(None);
    }
    tx.delete(&key)?;
    let held = tx.get(held(number))?.unwrap_or_default();
    let held = String::from_utf8_lossy(&held);
    let (_, job) = held.split_once('\n').unwrap_or_default();
    Ok(Some((number, job.to_owned())))
}

/// The job that waits longest.
fn take_ready(tx: &Transaction) -> Result<Option<(u64, String)>> {
    // Removed keys before the first job cost nothing: where they lie is remembered.
    let Some((key, job)) = tx.first(Prefix(READY))? else {
        return Ok(None);
    };
    tx.delete(&key)?;
    let job = String::from_utf8_lossy(&job).into_owned();
    Ok(Some((parse(&key[READY.len()..]), job)))
}

fn some<T>(value: T) -> Result<Option<T>> {
    Ok(Some(value))
}

fn ready(number: u64) -> String {
    format!("{READY}{number:020}")
}

fn held(number: u64) -> String {
    format!("{HELD}{number:020}")
}

fn ends(end: u64, number: u64) -> String {
    format!("{ENDS}{end:020}/{number:020}")
}

fn end_and_number(key: &[u8]) -> (u64, u64) {
    let numbers = key.get(ENDS.len()..).unwrap_or_default();
    let (end, number) = numbers.split_at(numbers.len().min(20));
    (parse(end), parse(number.get(1..).unwrap_or_default()))
}

/// A number that this program wrote.
fn parse(digits: &[u8]) -> u64 {
    let digits = std::str::from_utf8(digits);
    digits.ok().and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [dir, "put", ref jobs @ ..] => {
            let queue = Queue::new(Db::open(dir)?);
            for job in jobs {
                println!("{}: {job}", queue.put(job)?);
            }
        }
        [dir, "work"] => work(&Queue::new(Db::open(dir)?))?,
        [dir, "show"] => {
            let (ready, held) = Queue::new(Db::open(dir)?).count()?;
            println!("{ready} jobs wait, {held} are worked on");
        }
        _ => return Err("usage: work_queue DIR put JOB... | work | show".into()),
    }
    Ok(())
}

/// Does jobs as they come.
fn work(queue: &Queue) -> Result<()> {
    let worker = std::process::id();
    // Begun before the first look, so that no job is missed between a look and a wait.
    let mut news = queue.db.watch(Prefix(READY), WatchFrom::Now)?;
    loop {
        if let Some(lease) = queue.claim(worker, now())? {
            println!("{worker} works on {}: {}", lease.number, lease.job);
            // The work itself. If it took longer than a lease, it would extend it now and then.
            sleep(Duration::from_secs(1));
            match queue.done(&lease)? {
                true => println!("{worker} has done {}", lease.number),
                false => println!("{worker} was too slow for {}", lease.number),
            }
            continue;
        }
        // A new job wakes it, and the end of a lease.
        let end = queue.next_end()?.unwrap_or(u64::MAX);
        let wait = end.saturating_sub(now()).clamp(1, 60_000);
        news.next_timeout(Duration::from_millis(wait))?;
    }
}

/// Milliseconds. All processes are on one host and have one clock; a clock that is set back makes leases longer.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |time| time.as_millis() as u64)
}
