//! Many calls in flight at once: a follower's 64 tasks beside `redis-benchmark` with a pipeline of 64.
//!
//! Both have one connection over a unix socket to a server in another process, one thread that calls, as many entries
//! with keys of 16 bytes, asked for in random order, and values of 100; the time is the wall's, divided by the calls.
//! Redis keeps all in memory, and this run has it write nothing to a disk; a put of ours goes to the log as ever. A
//! small set of entries stays in the memtable and the block cache, of a larger one a part has to be read and
//! uncompressed again. `redis-benchmark` sends the same bytes again and again with only the keys' digits changed, and
//! looks at no answer; our tasks make each call anew and own the value that came.

use std::cell::Cell;
use std::future::Future;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use level_party::{AsyncDb, Db, Role};
use level_party_bench::{Child, Data, Random, Result, Summary, Table, Unit};

use crate::member;
use crate::settings::{Settings, argument};

/// Calls in flight.
const DEPTH: usize = 64;
/// Entries of the two sets: about 1 MiB, and more than the block cache holds.
const SETS: [usize; 2] = [10_000, 100_000];

pub fn measure(settings: &Settings) -> Result<Table> {
    let dir = settings.temporary()?;
    let mut table = Table::new(
        format!("{DEPTH} calls in flight over one connection, a call"),
        Unit::Micros,
    );
    let redis = match Redis::start(dir.path()) {
        Ok(redis) => Some(redis),
        Err(error) => {
            table.note(format!(
                "No Redis: {error}. To have it: apt-get install redis-server."
            ));
            None
        }
    };
    for entries in SETS {
        let entries = entries.min(settings.entries());
        let db = dir.path().join(format!("db-{entries}"));
        of_entries(settings, entries, &db, redis.as_ref(), &mut table)?;
        if entries == settings.entries() {
            break;
        }
    }
    Ok(table)
}

fn of_entries(
    settings: &Settings,
    entries: usize,
    dir: &Path,
    redis: Option<&Redis>,
    table: &mut Table,
) -> Result<()> {
    let data = Data::new(entries);
    let mut leader = member::start(dir, "leader")?;
    leader.ask(&format!("fill-entries {entries}"))?;
    let db = Db::open(dir)?;
    if db.role() != Role::Follower {
        return Err("this process should have become a follower".into());
    }
    let db = db.to_async();
    let calls = settings.calls() * 10;
    if let Some(redis) = redis {
        redis.fill(entries)?;
    }
    for (puts, name, asked) in [(false, "get", "get"), (true, "put", "set")] {
        let mut rounds = [const { Vec::new() }; 2];
        for _ in 0..settings.rounds() {
            if let Some(redis) = redis {
                rounds[0].push(redis.measure(asked, calls, entries)?);
            }
            rounds[1].push(run(&db, &data, puts, calls)?);
        }
        table.group(format!("{name}, {entries} entries"));
        let redis = (!rounds[0].is_empty()).then(|| Summary::median(&rounds[0]));
        table.row("redis-benchmark -P 64", redis);
        table.row("follower, 64 tasks", Some(Summary::median(&rounds[1])));
    }
    Ok(())
}

fn run(db: &AsyncDb, data: &Data, puts: bool, calls: usize) -> Result<Summary> {
    let left = Cell::new(calls);
    let (db, left) = (db, &left);
    let tasks = (0..DEPTH as u64).map(|task| {
        let mut random = Random::new(task);
        async move {
            while left.get() > 0 {
                left.set(left.get() - 1);
                let index = random.below(data.entries() as u64) as usize;
                match puts {
                    true => db.put(data.key(index), data.value(index)).await?,
                    false => {
                        if db.get(data.key(index)).await?.is_none() {
                            return Err("a get found nothing".into());
                        }
                    }
                }
            }
            Ok(())
        }
    });
    let begun = Instant::now();
    all(tasks)?;
    Ok(Summary::of_total(calls as u64, begun.elapsed()))
}

/// Runs tasks on this thread, each when it was woken.
fn all<F: Future<Output = Result<()>>>(tasks: impl Iterator<Item = F>) -> Result<()> {
    let woken = Arc::new(Woken {
        tasks: Mutex::new(Vec::new()),
        thread: std::thread::current(),
    });
    let mut tasks: Vec<_> = tasks
        .enumerate()
        .map(|(index, future)| {
            let task = Arc::new(Task {
                index,
                queued: AtomicBool::new(false),
                woken: woken.clone(),
            });
            let waker = Waker::from(task.clone());
            waker.wake_by_ref();
            (Some(Box::pin(future)), task, waker)
        })
        .collect();
    let mut left = tasks.len();
    let mut turn = Vec::new();
    while left > 0 {
        std::mem::swap(&mut turn, &mut woken.tasks.lock().expect("no panic"));
        if turn.is_empty() {
            std::thread::park();
        }
        for index in turn.drain(..) {
            let (future, task, waker) = &mut tasks[index];
            task.queued.store(false, Ordering::SeqCst);
            // A task may be woken once more while its last poll ends it.
            let Some(running) = future else { continue };
            let polled = running.as_mut().poll(&mut Context::from_waker(waker));
            if let Poll::Ready(result) = polled {
                result?;
                *future = None;
                left -= 1;
            }
        }
    }
    Ok(())
}

struct Woken {
    tasks: Mutex<Vec<usize>>,
    thread: std::thread::Thread,
}

struct Task {
    index: usize,
    queued: AtomicBool,
    woken: Arc<Woken>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::SeqCst) {
            let mut tasks = self.woken.tasks.lock().expect("no panic");
            tasks.push(self.index);
            if tasks.len() == 1 {
                self.woken.thread.unpark();
            }
        }
    }
}

/// A `redis-server` of this run.
struct Redis {
    _server: Child,
    socket: String,
}

impl Redis {
    fn start(dir: &Path) -> Result<Redis> {
        let socket = argument(&dir.join("redis.sock"))?.to_owned();
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no"]);
        command.args(["--daemonize", "no", "--unixsocket", &socket]);
        command.args(["--dir", argument(dir)?]);
        let mut server = Child::start("redis-server", &mut command)?;
        // Its log goes to its output: a line says that the socket is there.
        while !server.hear()?.contains("ready to accept") {}
        let redis = Redis {
            _server: server,
            socket,
        };
        redis.measure("set", DEPTH, 1)?;
        Ok(redis)
    }

    /// Has all but a hundredth of the keys there.
    fn fill(&self, keys: usize) -> Result<()> {
        self.measure("set", keys * 5, keys).map(drop)
    }

    fn measure(&self, name: &str, calls: usize, keys: usize) -> Result<Summary> {
        let output = Command::new("redis-benchmark")
            .args(["-s", &self.socket, "-P", "64", "-c", "1", "--csv"])
            .args(["-d", "100", "-t", name])
            .args(["-n", &calls.to_string(), "-r", &keys.to_string()])
            .output()
            .map_err(|error| format!("redis-benchmark: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text
            .lines()
            .find(|line| line.to_lowercase().starts_with(&format!("\"{name}\"")))
            .ok_or_else(|| format!("redis-benchmark said {text}"))?;
        let rate = line.split(',').nth(1).unwrap_or_default();
        let rate: f64 = rate.trim_matches('"').parse()?;
        let time = Duration::from_secs_f64(calls as f64 / rate);
        Ok(Summary::of_total(calls as u64, time))
    }
}
