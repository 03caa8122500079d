//! Users with an index by city: two sublevels with typed keys and values, written together.
//!
//! ```sh
//! cargo run --example sublevels -- data
//! ```

use level_party::{BigEndian, Db, Prefix, Result, Utf8, WriteBatch};

fn main() -> Result<()> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "data".into());
    let db = Db::open(dir)?;
    let names = db.sublevel("users")?.typed::<BigEndian<u64>, Utf8>();
    let by_city = db.sublevel("city")?.typed::<Utf8, BigEndian<u64>>();

    for (id, name, city) in [
        (1, "Ada", "London"),
        (2, "Emmy", "Erlangen"),
        (3, "Alan", "London"),
    ] {
        // One batch: no process ever sees a user without its place in the index.
        let mut batch = WriteBatch::new();
        batch.put_in(&names, &id, name);
        batch.put_in(&by_city, &format!("{city}/{id}"), &id);
        db.write(&batch)?;
    }

    // A snapshot, so that index and users are of the same moment.
    let now = db.snapshot()?;
    for id in now.of(&by_city).range(Prefix("London/")).values() {
        let name = now.of(&names).get(&id?)?;
        println!("{} lives in London", name.unwrap_or_default());
    }
    println!("sublevels: {}", db.sublevels()?.join(", "));
    Ok(())
}
