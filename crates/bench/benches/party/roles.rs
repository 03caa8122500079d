//! What this program is when it was started as a child.

use level_party_bench::{Error, Result};

use crate::{echo, member, stores, worker};

/// Plays a role until its work is done or standard input ends.
pub fn run(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["echo", path] => echo::serve(path.as_ref()),
        ["member", dir] => member::run(dir.as_ref()),
        ["store", store, workload, dir, entries, compression] => {
            stores::run(store, workload, dir.as_ref(), entries.parse()?, compression)
        }
        ["worker", store, dir, entries] => worker::run(store, dir.as_ref(), entries.parse()?),
        ["idle"] => idle(),
        _ => Err(Error::from(format!("no such role: {words:?}"))),
    }
}

/// Does nothing, with nothing open, until standard input ends.
fn idle() -> Result<()> {
    println!("idle");
    wait_for_end_of_input()
}

/// Returns once the parent has gone or let go.
pub fn wait_for_end_of_input() -> Result<()> {
    for line in std::io::stdin().lines() {
        line?;
    }
    Ok(())
}
