//! What calls cost on a server, in turn with floors: `SELECT 1`, one row by its key, and a commit of one row.
//!
//! `cargo run --release -p level-party-remote --features postgres --example round-trips -- postgres://...`

use std::error::Error;
use std::ops::Bound;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use level_party_remote::address::Address;
use level_party_remote::{
    Answer, Call, KeyRange, Moment, Remote, Scan, Settings, Start, Wait, Write,
};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, Statement};

const ROUNDS: usize = 20;

type Outcome = Result<(), Box<dyn Error>>;

/// The answer to a call of a thread, which its first poll has.
fn now<T>(mut answer: Answer<'_, T>) -> Result<T, Box<dyn Error>> {
    match answer
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(answer) => Ok(answer?),
        Poll::Pending => Err("a call of a thread did not block".into()),
    }
}

fn call() -> Call {
    Call {
        wait: Wait::Thread,
        deadline: Instant::now() + Duration::from_secs(30),
        retry: true,
    }
}

fn put(key: String, value: &[u8]) -> Write {
    Write {
        ops: vec![(key.into_bytes(), Some(value.to_vec()))],
        ..Write::default()
    }
}

/// Times of one kind of call.
struct Row {
    what: &'static str,
    times: Vec<Duration>,
}

impl Row {
    fn new(what: &'static str) -> Self {
        let times = Vec::new();
        Row { what, times }
    }

    fn time(&mut self, count: usize, mut make: impl FnMut(usize) -> Outcome) -> Outcome {
        for n in 0..count {
            let begun = Instant::now();
            make(n)?;
            self.times.push(begun.elapsed());
        }
        Ok(())
    }

    /// The half of the times that is below, and that of 99 of 100, in microseconds; the first as often as that of `floor`.
    fn show(&mut self, floor: Option<f64>) -> f64 {
        self.times.sort_unstable();
        let at = |part: usize| self.times[self.times.len() * part / 100].as_nanos() as f64 / 1000.0;
        let ratio = floor.map_or(String::new(), |floor| {
            format!("   {:.2} of the floor", at(50) / floor)
        });
        println!(
            "{:32} p50 {:8.1} us   p99 {:8.1} us   ({} calls){ratio}",
            self.what,
            at(50),
            at(99),
            self.times.len()
        );
        at(50)
    }
}

/// The floors: the same client, driven in the same way, and nothing of ours.
struct Floors {
    runtime: Runtime,
    client: Client,
    one: Statement,
    by_key: Statement,
    commit: Statement,
}

impl Floors {
    fn new(url: &str) -> Result<Self, Box<dyn Error>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let plain: tokio_postgres::Config = url.parse()?;
        let (client, connection) = runtime.block_on(plain.connect(tokio_postgres::NoTls))?;
        runtime.spawn(connection);
        let table =
            "CREATE TABLE IF NOT EXISTS public.level_party_floor (k int PRIMARY KEY, v int)";
        runtime.block_on(client.batch_execute(table))?;
        let prepare = |text| runtime.block_on(client.prepare(text));
        Ok(Floors {
            one: prepare("SELECT 1")?,
            by_key: prepare("SELECT oid, relname FROM pg_class WHERE oid = 1259")?,
            commit: prepare(
                "INSERT INTO public.level_party_floor VALUES (1, 1) \
                 ON CONFLICT (k) DO UPDATE SET v = level_party_floor.v + 1",
            )?,
            runtime,
            client,
        })
    }

    fn ask(&self, statement: &Statement) -> Outcome {
        let rows = self.runtime.block_on(self.client.query(statement, &[]));
        Ok(rows.map(drop)?)
    }
}

impl Drop for Floors {
    fn drop(&mut self) {
        let dropped = self
            .client
            .batch_execute("DROP TABLE public.level_party_floor");
        if let Err(error) = self.runtime.block_on(dropped) {
            eprintln!("the table public.level_party_floor is left there: {error}");
        }
    }
}

fn all() -> KeyRange {
    KeyRange {
        lower: Bound::Unbounded,
        upper: Bound::Unbounded,
    }
}

fn get(remote: &dyn Remote, n: usize, at: Option<Moment>) -> Outcome {
    now(remote.get(&call(), format!("key{:05}", n % 10_000).as_bytes(), at)).map(drop)
}

fn page(remote: &dyn Remote, n: usize, at: Option<Moment>) -> Outcome {
    let scan = Scan {
        range: KeyRange {
            lower: Bound::Included(format!("key{:05}", n % 9 * 1000).into_bytes()),
            upper: Bound::Unbounded,
        },
        reverse: false,
        keys_only: false,
        limit_bytes: 1 << 20,
        limit_entries: 1000,
        hold: false,
    };
    let chunk = now(remote.scan(&call(), scan, at))?;
    if let Some(pinned) = chunk.pinned {
        remote.unpin(pinned);
    }
    Ok(())
}

/// Calls and their floors, in turn.
fn one_by_one(url: &str, remote: &dyn Remote, count: usize) -> Outcome {
    let floors = Floors::new(url)?;
    let moment = now(remote.pin(&call()))?;
    let mut feed = now(remote.feed(&call(), Start::Now, all()))?;
    let mut select = Row::new("floor: SELECT 1");
    let mut by_key = Row::new("floor: one row by its key");
    let mut commit = Row::new("floor: one row committed");
    let mut gets = Row::new("get");
    let mut gets_at = Row::new("get at a moment");
    let mut pages = Row::new("page of 1,000");
    let mut pages_at = Row::new("page of 1,000 at a moment");
    let mut puts = Row::new("put");
    let mut watched = Row::new("put, until a watch has told it");
    for _ in 0..ROUNDS {
        select.time(count * 10, |_| floors.ask(&floors.one))?;
        gets.time(count * 10, |n| get(remote, n, None))?;
        by_key.time(count * 10, |_| floors.ask(&floors.by_key))?;
        gets_at.time(count * 10, |n| get(remote, n, Some(moment)))?;
        pages.time(count, |n| page(remote, n, None))?;
        pages_at.time(count, |n| page(remote, n, Some(moment)))?;
        commit.time(count, |_| floors.ask(&floors.commit))?;
        puts.time(count, |n| {
            now(remote.write(&call(), put(format!("key{n:05}"), &[b'w'; 100]))).map(drop)
        })?;
        while feed.next(Instant::now())?.is_some() {}
        watched.time(count, |n| {
            let write = put(format!("key{n:05}"), b"watched");
            let sequence = now(remote.write(&call(), write))?.ok_or("it had no conditions")?;
            while feed.through().sequence < sequence {
                feed.next(call().deadline)?;
            }
            Ok(())
        })?;
    }
    remote.unpin(moment);
    let floor = select.show(None);
    for row in [
        &mut by_key,
        &mut gets,
        &mut gets_at,
        &mut pages,
        &mut pages_at,
    ] {
        row.show(Some(floor));
    }
    let floor = commit.show(None);
    for row in [&mut puts, &mut watched] {
        row.show(Some(floor));
    }
    Ok(())
}

fn combined(remote: &Arc<dyn Remote>, threads: usize, each: usize) -> Outcome {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let work = |thread: usize| {
            scope.spawn(move || -> Result<(), String> {
                for n in 0..each {
                    let write = put(
                        format!("key{:05}", (thread * each + n) % 10_000),
                        &[b'w'; 100],
                    );
                    now(remote.write(&call(), write)).map_err(|error| error.to_string())?;
                }
                Ok(())
            })
        };
        let running: Vec<_> = (0..threads).map(work).collect();
        running
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?)
    })?;
    let rate = (threads * each) as f64 / begun.elapsed().as_secs_f64();
    println!(
        "{:34} {rate:.0} a second",
        format!("puts of {threads} threads")
    );
    Ok(())
}

fn main() -> Outcome {
    let url = std::env::args()
        .nth(1)
        .ok_or("which server? postgres://...")?;
    let count = std::env::args()
        .nth(2)
        .map_or(Ok(25), |count| count.parse())?;
    let settings = Settings {
        open_timeout: Duration::from_secs(10),
        create_if_missing: true,
        error_if_exists: false,
        fills: false,
    };
    let mut address = Address::parse(&url)?;
    address.parameters.push((
        "schema".into(),
        format!("round_trips_{}", std::process::id()),
    ));
    let remote = level_party_remote::postgres::open(&address, &settings)?;
    let ops = |n: usize| (format!("key{n:05}").into_bytes(), Some(vec![b'v'; 100]));
    let fill = Write {
        ops: (0..10_000).map(ops).collect(),
        ..Write::default()
    };
    now(remote.write(&call(), fill))?;
    one_by_one(&url, &*remote, count)?;
    for threads in [8, 64, 256] {
        combined(&remote, threads, (count * ROUNDS * 8 / threads).max(20))?;
    }
    remote.close();
    Ok(())
}
