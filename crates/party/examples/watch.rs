//! Prints every change of the keys that begin with a prefix, from whichever process it comes.
//!
//! ```sh
//! cargo run --example watch -- data user/     # in one terminal
//! level-party put data user/ada 1815          # in another
//! ```

use level_party::{Db, Prefix, WatchFrom, WatchItem};

fn main() -> level_party::Result<()> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().unwrap_or_else(|| "data".into());
    let prefix = args.next().unwrap_or_default();
    let db = Db::open(dir)?;
    let watch = db.watch(Prefix(&prefix), WatchFrom::Now)?;
    println!("watching");
    for item in watch {
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
    }
    Ok(())
}
