//! What calls cost on a server, beside floors of the same run: `SELECT 1`, one row by its key, and a commit of one row.
//!
//! `cargo run --release -p level-party-remote --features postgres --example round-trips -- postgres://...`

use std::error::Error;
use std::ops::Bound;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use level_party_remote::address::Address;
use level_party_remote::{Answer, Call, KeyRange, Remote, Scan, Settings, Start, Wait, Write};

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

/// The half of the times that is below, and that of 99 of 100, in microseconds.
fn show(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |part: usize| times[times.len() * part / 100].as_nanos() as f64 / 1000.0;
    println!(
        "{what:34} p50 {:9.1} us   p99 {:9.1} us   ({} calls)",
        at(50),
        at(99),
        times.len()
    );
}

fn timed(
    count: usize,
    mut make: impl FnMut(usize) -> Outcome,
) -> Result<Vec<Duration>, Box<dyn Error>> {
    let mut times = Vec::with_capacity(count);
    for n in 0..count {
        let begun = Instant::now();
        make(n)?;
        times.push(begun.elapsed());
    }
    Ok(times)
}

/// The floor: the same client, driven in the same way, and nothing of ours.
fn floors(url: &str, count: usize) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let plain: tokio_postgres::Config = url.parse()?;
    let (client, connection) = runtime.block_on(plain.connect(tokio_postgres::NoTls))?;
    runtime.spawn(connection);
    let one = runtime.block_on(client.prepare("SELECT 1"))?;
    let select = timed(count * 10, |_| {
        Ok(runtime.block_on(client.query(&one, &[])).map(drop)?)
    })?;
    show("floor: SELECT 1", select);
    let by_key =
        runtime.block_on(client.prepare("SELECT oid, relname FROM pg_class WHERE oid = 1259"))?;
    let row = timed(count * 10, |_| {
        Ok(runtime.block_on(client.query(&by_key, &[])).map(drop)?)
    })?;
    show("floor: one row by its key", row);
    let make = "CREATE TABLE IF NOT EXISTS public.level_party_floor (k int PRIMARY KEY, v int)";
    runtime.block_on(client.batch_execute(make))?;
    let row = "INSERT INTO public.level_party_floor VALUES (1, 1) ON CONFLICT (k) DO UPDATE SET v = level_party_floor.v + 1";
    let row = runtime.block_on(client.prepare(row))?;
    let commit = timed(count, |_| {
        Ok(runtime.block_on(client.query(&row, &[])).map(drop)?)
    })?;
    show("floor: one row committed", commit);
    runtime.block_on(client.batch_execute("DROP TABLE public.level_party_floor"))?;
    Ok(())
}

fn all() -> KeyRange {
    KeyRange {
        lower: Bound::Unbounded,
        upper: Bound::Unbounded,
    }
}

fn reads(remote: &dyn Remote, count: usize) -> Outcome {
    show(
        "get",
        timed(count * 10, |n| {
            now(remote.get(&call(), format!("key{:05}", n % 10_000).as_bytes(), None)).map(drop)
        })?,
    );
    let moment = now(remote.pin(&call()))?;
    show(
        "get at a moment",
        timed(count * 10, |n| {
            now(remote.get(
                &call(),
                format!("key{:05}", n % 10_000).as_bytes(),
                Some(moment),
            ))
            .map(drop)
        })?,
    );
    for (what, at) in [
        ("page of 1,000", None),
        ("page of 1,000 at a moment", Some(moment)),
    ] {
        show(
            what,
            timed(count, |n| {
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
            })?,
        );
    }
    remote.unpin(moment);
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
        .map_or(Ok(500), |count| count.parse())?;
    floors(&url, count)?;
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
    reads(&*remote, count)?;
    show(
        "put",
        timed(count, |n| {
            now(remote.write(&call(), put(format!("key{n:05}"), &[b'w'; 100]))).map(drop)
        })?,
    );
    for threads in [8, 64, 256] {
        combined(&remote, threads, (count * 8 / threads).max(20))?;
    }
    let mut feed = now(remote.feed(&call(), Start::Now, all()))?;
    show(
        "put, until a watch has told it",
        timed(count, |n| {
            now(remote.write(&call(), put(format!("key{n:05}"), b"watched")))?;
            while feed
                .next(Instant::now() + Duration::from_secs(10))?
                .is_none_or(|told| told.changes.is_empty())
            {}
            Ok(())
        })?,
    );
    remote.close();
    Ok(())
}
