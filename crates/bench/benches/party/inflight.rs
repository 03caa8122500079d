//! Many calls in flight at once: 64 tasks of one thread beside one task that makes one call after another, in the process that has
//! the database first and in a second one.
//!
//! The time is the wall's, divided by the calls; both make as many, of any entry. A small set of entries stays in the memtable
//! and the block cache, of a larger one a part has to be read and uncompressed again.

use std::cell::Cell;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use level_party::{AsyncDb, AsyncReadable, Db, Role};
use level_party_bench::{Data, Random, Result, Summary, Table, Unit};

use crate::member;
use crate::settings::Settings;

/// Tasks at once, beside one.
const DEPTHS: [(usize, &str); 2] = [(1, "1 task"), (64, "64 tasks")];
/// Entries of the two sets: about 1 MiB, and more than the block cache holds.
const SETS: [usize; 2] = [10_000, 100_000];

pub fn measure(settings: &Settings) -> Result<Table> {
    let dir = settings.temporary()?;
    let mut table = Table::new("Tasks of one thread, a call", Unit::Micros);
    for entries in SETS {
        let entries = entries.min(settings.entries());
        for role in [Role::Leader, Role::Follower] {
            let db = dir.path().join(format!("{role:?}-{entries}"));
            // Whoever is not measured has the database open and does nothing.
            let (db, _other) = match role {
                Role::Leader => {
                    let own = Db::open(&db)?;
                    (own, member::start(&db, "follower")?)
                }
                _ => {
                    let other = member::start(&db, "leader")?;
                    (Db::open(&db)?, other)
                }
            };
            if db.role() != role {
                return Err(format!("this process should have become {role:?}").into());
            }
            of_process(settings, entries, &db, &mut table)?;
            db.close()?;
        }
        if entries == settings.entries() {
            break;
        }
    }
    Ok(table)
}

fn of_process(settings: &Settings, entries: usize, db: &Db, table: &mut Table) -> Result<()> {
    let data = Data::new(entries);
    member::fill(db, entries)?;
    let process = match db.role() {
        Role::Leader => "first process",
        _ => "second process",
    };
    let db = db.to_async();
    let calls = settings.calls() * 10;
    for (puts, name) in [(false, "get"), (true, "put")] {
        let mut rounds = DEPTHS.map(|_| Vec::new());
        for _ in 0..settings.rounds() {
            for ((tasks, _), rounds) in DEPTHS.into_iter().zip(&mut rounds) {
                rounds.push(run(&db, &data, puts, tasks, calls)?);
            }
        }
        table.group(format!("{name}, {entries} entries, {process}"));
        for ((_, name), rounds) in DEPTHS.iter().zip(&rounds) {
            table.row(*name, Some(Summary::median(rounds)));
        }
    }
    Ok(())
}

fn run(db: &AsyncDb, data: &Data, puts: bool, tasks: usize, calls: usize) -> Result<Summary> {
    let left = Cell::new(calls);
    let (db, left) = (db, &left);
    let tasks = (0..tasks as u64).map(|task| {
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
