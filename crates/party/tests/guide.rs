//! The code of `docs/GUIDE.md` compiles and does what the guide says: each Rust block of the page stands word for word
//! here or in an example, and is run.

use std::ops::Bound;
use std::path::Path;
use std::thread::JoinHandle;

use level_party::{
    Db, ErrorKind, Lead, Readable, Result, Watch, WatchCloser, WatchFrom, WatchItem,
};

/// Seconds for which a worker has a job.
const LEASE: u64 = 60;

struct Job {
    lease: Vec<u8>,
    work: Vec<u8>,
}

/// Takes the first job. Several workers never get the same one.
fn claim(db: &Db, now: u64) -> Result<Option<Job>> {
    let (ready, leased) = (db.sublevel("ready")?, db.sublevel("leased")?);
    db.transaction(|tx| {
        let Some((id, work)) = tx.of(&ready).first(..)? else {
            return Ok(None);
        };
        // Leases are sorted by the second in which they expire.
        let lease = [&(now + LEASE).to_be_bytes()[..], &id].concat();
        tx.of(&ready).delete(&id)?;
        tx.of(&leased).put(&lease, &work)?;
        Ok(Some(Job { lease, work }))
    })
}

/// Ends a job. `false`: the lease had expired, and the job was given to somebody else.
fn finish(db: &Db, job: &Job) -> Result<bool> {
    Ok(db.sublevel("leased")?.take(&job.lease)?.is_some())
}

/// Makes the jobs of workers that died ready again. Any process may call it, at any time.
fn give_back_expired(db: &Db, now: u64) -> Result<()> {
    let (ready, leased) = (db.sublevel("ready")?, db.sublevel("leased")?);
    db.transaction(|tx| {
        for entry in tx.of(&leased).range(..now.to_be_bytes()) {
            let (lease, work) = entry?;
            tx.of(&leased).delete(&lease)?;
            tx.of(&ready).put(&lease[8..], work)?;
        }
        Ok(())
    })
}

#[test]
fn queue_gives_each_job_once_and_takes_back_expired_ones() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path()).expect("opened");
    let ready = db.sublevel("ready").expect("a name");
    ready.put("1", "first").expect("put");
    ready.put("2", "second").expect("put");
    let first = claim(&db, 100).expect("claimed").expect("a job");
    let second = claim(&db, 110).expect("claimed").expect("a job");
    assert_eq!(
        (&first.work[..], &second.work[..]),
        (&b"first"[..], &b"second"[..])
    );
    assert!(claim(&db, 110).expect("claimed").is_none());
    give_back_expired(&db, 100 + LEASE).expect("given back");
    assert!(
        claim(&db, 160).expect("claimed").is_none(),
        "no lease has expired"
    );
    give_back_expired(&db, 101 + LEASE).expect("given back");
    assert!(!finish(&db, &first).expect("finished"), "it came too late");
    assert!(finish(&db, &second).expect("finished"));
    let again = claim(&db, 161).expect("claimed").expect("a job");
    assert_eq!(again.work, b"first");
}

/// The next `size` entries after the key `after`; the last key of a page asks for the next page.
fn page(
    source: &impl Readable,
    after: Option<&[u8]>,
    size: u64,
) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
    let entries = source.range((begin, Bound::Unbounded)).limit(size);
    entries.collect()
}

#[test]
fn pages_follow_each_other_without_a_gap() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path()).expect("opened");
    for n in 0..5 {
        db.put(format!("{n}"), "").expect("put");
    }
    let moment = db.snapshot().expect("a snapshot");
    db.put("00", "later").expect("put");
    let mut last: Option<Vec<u8>> = None;
    let mut pages = Vec::new();
    loop {
        let entries = page(&moment, last.as_deref(), 2).expect("read");
        let Some((key, _)) = entries.last() else {
            break;
        };
        last = Some(key.clone());
        pages.push(entries.len());
    }
    assert_eq!(pages, [2, 2, 1]);
    let live = page(&db, Some(b"0"), 1).expect("read");
    assert_eq!(live[0].0, b"00");
}

/// Opens a database to look at it. The processes that have it open notice nothing.
fn open_viewer(dir: &Path) -> Result<Db> {
    Db::options()
        .lead(Lead::Join) // never leads; `NoLeader` at once where no process has it open
        .reject_writes(true) // writes fail with `ReadOnly`
        .open(dir)
}

#[test]
fn viewer_reads_and_never_leads() {
    let dir = tempfile::tempdir().expect("a directory");
    let nobody = open_viewer(dir.path()).expect_err("nobody has it open");
    assert_eq!(nobody.kind(), ErrorKind::NotFound);
    let db = Db::open(dir.path()).expect("opened");
    db.put("a", "1").expect("put");
    db.close().expect("closed");
    let nobody = open_viewer(dir.path()).expect_err("nobody has it open");
    assert_eq!(nobody.kind(), ErrorKind::NoLeader);
}

/// Calls `changed` for each change until the watch is closed.
fn follow(watch: Watch, changed: impl Fn(&[u8])) -> Result<()> {
    for item in watch {
        match item {
            Ok(WatchItem::Change(change)) => changed(&change.key),
            Ok(_) => {} // a gap: read the range again
            Err(error) if error.kind() == ErrorKind::Closed => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn shut_down(db: &Db, closer: &WatchCloser, follower: JoinHandle<Result<()>>) -> Result<()> {
    closer.close(); // the thread that waits for changes is told `Closed`
    follower.join().expect("the thread did not panic")?;
    db.close() // what is queued is written; a leader hands over
}

#[test]
fn shutdown_ends_the_watch_and_the_handle() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path()).expect("opened");
    let watch = db.watch(.., WatchFrom::Now).expect("a watch");
    let closer = watch.closer();
    let (sender, seen) = std::sync::mpsc::channel();
    let follower =
        std::thread::spawn(move || follow(watch, |key| sender.send(key.to_vec()).expect("heard")));
    db.put("a", "1").expect("put");
    assert_eq!(seen.recv().expect("told"), b"a");
    shut_down(&db, &closer, follower).expect("ended");
    assert_eq!(db.get("a").unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn guide_shows_only_code_that_is_run() {
    const RUN: [&str; 4] = [
        include_str!("guide.rs"),
        include_str!("../examples/shared_cache.rs"),
        include_str!("../examples/transaction.rs"),
        include_str!("../examples/watch.rs"),
    ];
    let page = include_str!("../../../docs/GUIDE.md");
    let blocks: Vec<_> = page
        .split("```rust\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(blocks.len() >= 5, "{} blocks", blocks.len());
    for block in blocks {
        let stands = |indent: &str| {
            let line = |line: &str| match line.is_empty() {
                true => "\n".to_owned(),
                false => format!("{indent}{line}\n"),
            };
            let block: String = block.lines().map(line).collect();
            RUN.iter().any(|source| source.contains(&block))
        };
        assert!(stands("") || stands("    "), "run nowhere:\n{block}");
    }
}
