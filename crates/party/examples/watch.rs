//! Prints every change of the keys that begin with a prefix, from whichever process it comes.
//!
//! ```sh
//! cargo run --example watch -- data user/     # in one terminal
//! level-party put data user/ada 1815          # in another
//! ```
//!
//! With a file as the third argument it keeps its position there, and goes on after it when it is started again.

use std::path::PathBuf;

use level_party::{Db, Position, Prefix, WatchFrom, WatchItem};

/// The position that an earlier run kept, or now.
fn kept_in(file: Option<&PathBuf>) -> WatchFrom {
    let text = file.and_then(|file| std::fs::read_to_string(file).ok());
    let position = text.and_then(|text| text.parse::<Position>().ok());
    position.map_or(WatchFrom::Now, WatchFrom::After)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().unwrap_or_else(|| "data".into());
    let prefix = args.next().unwrap_or_default();
    let file = args.next().map(PathBuf::from);
    let db = Db::open(dir)?;
    let mut watch = db.watch(Prefix(&prefix), kept_in(file.as_ref()))?;
    println!("watching");
    while let Some(item) = watch.next() {
        match item? {
            WatchItem::Change(change) => {
                let key = String::from_utf8_lossy(&change.key);
                match change.value {
                    Some(value) => println!("{key} = {}", String::from_utf8_lossy(&value)),
                    None => println!("{key} was deleted"),
                }
            }
            // This process was too slow. A program that keeps a copy reads the range again here.
            WatchItem::Gap { from, resume } => println!("missed {from} to {}", resume - 1),
            other => println!("{other:?}"),
        }
        if let Some(file) = &file {
            // In one step: a program that is killed in the middle keeps the position before.
            let new = file.with_extension("new");
            std::fs::write(&new, watch.position().to_string())?;
            std::fs::rename(&new, file)?;
        }
    }
    Ok(())
}
