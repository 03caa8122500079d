//! What this program is when it was started as a child.

use level_party_bench::{Error, Result};

use crate::{echo, member, stores};

/// Plays a role until its work is done or standard input ends.
pub fn run(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["echo", path] => echo::serve(path.as_ref()),
        ["member", dir] => member::run(dir.as_ref()),
        ["store", store, workload, dir, entries, compression] => {
            stores::run(store, workload, dir.as_ref(), entries.parse()?, compression)
        }
        ["burn"] => burn(),
        _ => Err(Error::from(format!("no such role: {words:?}"))),
    }
}

/// Keeps one core from idling until standard input ends.
fn burn() -> Result<()> {
    std::thread::spawn(|| {
        loop {
            std::hint::spin_loop();
        }
    });
    println!("burning");
    wait_for_end_of_input()
}

/// Returns once the parent has gone or let go.
pub fn wait_for_end_of_input() -> Result<()> {
    for line in std::io::stdin().lines() {
        line?;
    }
    Ok(())
}
