//! The commands, a file each. Each has its arguments as a struct, and `run`.

pub mod del;
pub mod demo;
pub mod exec;
pub mod export;
pub mod get;
pub mod import;
pub mod put;
pub mod scan;
pub mod status;

use crate::args::Command;
use crate::failure::Result;

/// Does what was asked.
pub fn run(command: Command) -> Result<()> {
    match command {
        Command::Get(get) => get.run(),
        Command::Put(put) => put.run(),
        Command::Del(del) => del.run(),
        Command::Scan(scan) => scan.run(),
        Command::Import(import) => import.run(),
        Command::Export(export) => export.run(),
        Command::Status(status) => status.run(),
        Command::Exec(exec) => exec.run(),
        Command::Demo(demo) => demo.run(),
    }
}
