//! Sets `a` to a number that grows by one each second, in the directory given or in `data`.
//!
//! Start it in one terminal and the example `get` in others, in any order, and end any of them at any time:
//!
//! ```sh
//! cargo run --example put
//! cargo run --example get
//! ```

use std::error::Error;
use std::thread::sleep;
use std::time::Duration;

use level_party::{Db, Readable};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "data".into());
    let db = Db::open(dir)?;
    loop {
        let n: u64 = match db.get("a")? {
            Some(json) => serde_json::from_slice(&json)?,
            None => 0,
        };
        db.put("a", serde_json::to_vec(&(n + 1))?)?;
        sleep(Duration::from_secs(1));
    }
}
