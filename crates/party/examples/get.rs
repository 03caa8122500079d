//! Prints `a` four times a second, from the directory given or from `data`. The example `put` lets it grow.

use std::error::Error;
use std::thread::sleep;
use std::time::Duration;

use level_party::{Db, Readable};
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "data".into());
    let db = Db::open(dir)?;
    loop {
        let value: Value = match db.get("a")? {
            Some(json) => serde_json::from_slice(&json)?,
            None => Value::Null, // nobody has put anything yet
        };
        println!("a= {value}");
        sleep(Duration::from_millis(250));
    }
}
