//! Many tasks of one thread: reads, writes, a transaction and a watch as futures. They need no particular runtime; this
//! program drives them with `futures-lite`, and tokio does as well.
//!
//! ```sh
//! cargo run --example tasks -- data
//! ```

use futures_lite::future::{block_on, zip};
use level_party::{AsyncDb, AsyncReadable, Prefix, Result, WatchFrom, WatchItem};

fn main() -> Result<()> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "data".into());
    block_on(run(&dir))
}

async fn run(dir: &str) -> Result<()> {
    let db = AsyncDb::open(dir).await?;
    let mut watch = db.watch(Prefix("task/"), WatchFrom::Now).await?;

    let first = count(&db, "task/first");
    let second = count(&db, "task/second");
    let (first, second) = zip(first, second).await;
    println!("counted {} and {}", first?, second?);

    // Each change is told once and in order: those of this process, and those of others.
    for _ in 0..2 {
        if let Some(WatchItem::Change(change)) = watch.next().await.transpose()? {
            println!("{} changed", String::from_utf8_lossy(&change.key));
        }
    }
    let mut entries = db.range(Prefix("task/"));
    let mut found = 0;
    while let Some(entry) = entries.next().await {
        entry?;
        found += 1;
    }
    println!("{found} entries");
    db.close().await
}

/// Adds one to the number at `key`, and gives it.
async fn count(db: &AsyncDb, key: &str) -> Result<u64> {
    db.transaction(async |tx| {
        let stored = tx.get(key).await?;
        let text = stored.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let number = text.and_then(|text| text.parse().ok()).unwrap_or(0) + 1;
        tx.put(key, number.to_string())?;
        Ok(number)
    })
    .await
}
