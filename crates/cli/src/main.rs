//! The program `level-party`: one LevelDB directory, any number of processes.
//!
//! What it is: a thin shell over the public API of the crate `level-party`. [`args`] says what can be asked,
//! [`commands`] has one file for each command, [`output`] is the only way to standard output, and [`failure`] holds
//! the exit codes: 0 done, 1 not found or a difference, 2 wrong usage, 3 the database or the system failed.
//!
//! What it promises: data goes to standard output and everything else to standard error; a reader that closes the pipe
//! ends the program quietly; every failure is a sentence that says what to do next.
//!
//! What it must not know: the engine, the operating system's locks, the protocol. It can do nothing that another
//! program could not do with the same crate.
//!
//! How it ends: [`stop`] has every directory left first, also when a signal ends the program.
#![forbid(unsafe_code)]

mod args;
mod bounds;
mod coding;
mod commands;
mod failure;
mod happened;
mod input;
mod json;
mod keyspace;
mod log;
mod output;
mod stop;
mod text;
mod warnings;

use clap::Parser;

fn main() -> std::process::ExitCode {
    let cli = args::Cli::parse();
    let outcome = log::install(cli.verbose)
        .and_then(|()| stop::install())
        .and_then(|()| commands::run(cli.command));
    stop::yield_to_signal();
    stop::leave();
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
