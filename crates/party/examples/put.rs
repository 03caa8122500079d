//! Counts `a` up by one each second, in the directory given or in `data`.
//!
//! Start it and the example `get` in any number of terminals, in any order, and end any of them at any time:
//!
//! ```sh
//! cargo run --example put
//! cargo run --example get
//! ```

use std::error::Error;
use std::thread::sleep;
use std::time::Duration;

use level_party::Db;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "data".into());
    let db = Db::open(dir)?;
    loop {
        // No two processes count from the same number.
        db.update("a", |json| {
            let n: u64 = json.map_or(0, |json| serde_json::from_slice(json).unwrap_or(0));
            Some((n + 1).to_string())
        })?;
        sleep(Duration::from_secs(1));
    }
}
