//! Moves money between two accounts, a hundred times. Start it in several terminals: the sum never changes.
//!
//! ```sh
//! cargo run --example transaction -- data
//! ```

use level_party::{BigEndian, Db, Result, Typed, Utf8};

const START: u64 = 1_000;

fn main() -> Result<()> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "data".into());
    let db = Db::open(dir)?;
    let accounts: Typed<Utf8, BigEndian<u64>> = db.sublevel("accounts")?.typed();
    for n in 0..100 {
        let (from, to) = if n % 3 == 0 { ("b", "a") } else { ("a", "b") };
        transfer(&db, &accounts, from, to, 7)?;
    }
    // A snapshot shows one moment, so no transfer is seen half done.
    let now = db.snapshot()?.of(&accounts);
    let (a, b) = (balance(now.get("a")?), balance(now.get("b")?));
    println!("a has {a}, b has {b}, together {}", a + b);
    Ok(())
}

fn transfer(
    db: &Db,
    accounts: &Typed<Utf8, BigEndian<u64>>,
    from: &str,
    to: &str,
    amount: u64,
) -> Result<()> {
    // The closure runs again if another process changed one of the two keys meanwhile.
    db.transaction(|tx| {
        let accounts = tx.of(accounts);
        let (has, gets) = (balance(accounts.get(from)?), balance(accounts.get(to)?));
        if has >= amount {
            accounts.put(from, &(has - amount))?;
            accounts.put(to, &(gets + amount))?;
        }
        Ok(())
    })
}

fn balance(stored: Option<u64>) -> u64 {
    stored.unwrap_or(START)
}
