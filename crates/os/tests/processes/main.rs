//! What only several processes can show. This program runs the tests, and is at the same time every
//! other process in them: with a role as its first argument it plays that role instead.
//!
//! It is single-threaded between tests (no test harness), because some roles fork.

mod bells;
#[cfg(unix)]
mod byte_locks;
#[cfg(unix)]
mod databases;
#[cfg(unix)]
mod endpoints;
#[cfg(unix)]
mod forks;
#[cfg(unix)]
mod locks;
mod members;
mod peer;
#[cfg(unix)]
mod roles;
#[cfg(unix)]
mod segment_limits;
mod segments;
#[cfg(unix)]
mod strangers;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as roles;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// How a test went, if it did not panic.
pub enum Outcome {
    /// It showed what it says.
    Passed,
    #[cfg(unix)]
    /// It can't be shown here; the reason is printed, so that nobody takes it for a pass.
    Impossible(&'static str),
}

type Test = (&'static str, fn() -> Outcome);

/// Names a list of test functions by their paths.
#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), $name as fn() -> $crate::Outcome)),*] };
}

fn main() {
    let mut args = std::env::args_os().skip(1);
    if let Some(role) = args
        .next()
        .filter(|arg| arg.to_string_lossy().starts_with("role:"))
    {
        return roles::play(&role.to_string_lossy()["role:".len()..], args.collect());
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let filters: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    #[cfg(windows)]
    let all: Vec<Test> = [
        windows::TESTS,
        members::TESTS,
        segments::TESTS,
        bells::TESTS,
    ]
    .concat();
    #[cfg(unix)]
    let all: Vec<Test> = [
        locks::TESTS,
        endpoints::TESTS,
        members::TESTS,
        strangers::TESTS,
        byte_locks::TESTS,
        segments::TESTS,
        segment_limits::TESTS,
        bells::TESTS,
        forks::TESTS,
        databases::TESTS,
    ]
    .concat();
    if words.iter().any(|word| word == "--list") {
        all.iter().for_each(|(name, _)| println!("{name}: test"));
        return;
    }
    let mut failed = Vec::new();
    for (name, test) in all {
        if !filters.is_empty() && !filters.iter().any(|filter| name.contains(filter.as_str())) {
            continue;
        }
        match catch_unwind(AssertUnwindSafe(test)) {
            Ok(Outcome::Passed) => println!("test {name} ... ok"),
            #[cfg(unix)]
            Ok(Outcome::Impossible(why)) => println!("test {name} ... IMPOSSIBLE HERE: {why}"),
            Err(_) => {
                println!("test {name} ... FAILED");
                failed.push(name);
            }
        }
    }
    if !failed.is_empty() {
        println!("failed: {failed:?}");
        std::process::exit(101);
    }
}
