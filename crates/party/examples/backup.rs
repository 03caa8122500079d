//! Copies a database while other processes write to it, and shows what the copy has.
//!
//! ```sh
//! cargo run --example backup -- data copy
//! ```
//!
//! To restore, stop every process that has the database open, and put the copy in the place of its directory.

use level_party::{Db, Readable, Result};

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().unwrap_or_else(|| "data".into());
    let copy = args.next().unwrap_or_else(|| "copy".into());
    let db = Db::open(dir)?;

    // A snapshot is one moment of a living database: it costs no copy, and ends with its process.
    let moment = db.snapshot()?;
    println!("{} entries at a moment", moment.iter().keys().count());

    // A checkpoint is a directory of its own, and on stable storage when the call returns.
    let sequence = db.checkpoint(&copy)?;
    println!("copied up to write {sequence}");

    let copied = Db::open(&copy)?;
    println!("{} entries in the copy", copied.iter().keys().count());
    println!("sound: {}", copied.verify()?.is_sound());
    Ok(())
}
