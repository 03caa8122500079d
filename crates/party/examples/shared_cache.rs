//! A cache shared by agents: results that one process has computed are used by all, and each keeps in its own memory what
//! it has used. A watch drops from that memory what any process changes.
//!
//! Start it in several terminals, and give it keys on standard input:
//!
//! ```sh
//! cargo run --example shared_cache -- data
//! ```
//!
//! `KEY` looks a key up, `KEY=VALUE` sets it for all.

use std::collections::HashMap;
use std::io::BufRead;

use level_party::{Db, Readable, Result, Watch, WatchFrom, WatchItem};

/// One process's part of the cache.
struct Cache {
    db: Db,
    watch: Watch,
    near: HashMap<String, String>,
}

/// Where a value was found.
#[derive(Debug)]
enum Found {
    InMemory,
    InDatabase,
    Computed,
}

impl Cache {
    fn open(dir: &str) -> Result<Cache> {
        let db = Db::open(dir)?;
        let watch = db.watch(.., WatchFrom::Now)?;
        Ok(Cache {
            db,
            watch,
            near: HashMap::new(),
        })
    }

    fn get(&mut self, key: &str) -> Result<(String, Found)> {
        self.forget_what_changed()?;
        if let Some(value) = self.near.get(key) {
            return Ok((value.clone(), Found::InMemory));
        }
        let (value, found) = match self.db.get(key)? {
            Some(bytes) => (text(&bytes), Found::InDatabase),
            None => {
                let value = compute(key);
                // If another process was faster, its value counts.
                match self
                    .db
                    .compare_and_swap(key, None, Some(value.as_bytes()))?
                {
                    Ok(()) => (value, Found::Computed),
                    Err(other) => (text(&other.unwrap_or_default()), Found::InDatabase),
                }
            }
        };
        self.near.insert(key.to_owned(), value.clone());
        Ok((value, found))
    }

    /// Drops what any process changed since the last call. Changes after it are told by the next one, so a value that is
    /// read between the two is dropped then.
    fn forget_what_changed(&mut self) -> Result<()> {
        while let Some(item) = self.watch.try_next()? {
            match item {
                WatchItem::Change(change) => {
                    self.near.remove(&text(&change.key));
                }
                // A gap: which keys changed is not known any more.
                _ => self.near.clear(),
            }
        }
        Ok(())
    }
}

/// Stands for a model call, a download, a parse.
fn compute(key: &str) -> String {
    key.chars().rev().collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "data".into());
    let mut cache = Cache::open(&dir)?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        match line.split_once('=') {
            Some((key, value)) => {
                cache.db.put(key, value)?;
                println!("{key} is set");
            }
            None => {
                let (value, found) = cache.get(&line)?;
                println!("{line} is {value} ({found:?})");
            }
        }
    }
    Ok(())
}
