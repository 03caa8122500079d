//! The commands, a file each. Each has its arguments as a struct, and `run`.

pub mod acknowledge;
pub mod batch;
pub mod bench;
pub mod checkpoint;
pub mod clear;
pub mod compact;
pub mod completions;
pub mod copy;
pub mod count;
pub mod del;
pub mod demo;
pub mod destroy;
pub mod exec;
pub mod export;
pub mod get;
pub mod import;
pub mod man;
pub mod put;
pub mod repair;
pub mod run;
pub mod scan;
pub mod serve;
pub mod status;
pub mod top;
pub mod verify;
pub mod watch;
pub mod yield_command;

use crate::args::Command;
use crate::failure::Result;

/// Does what was asked.
pub fn run(command: Command) -> Result<()> {
    match command {
        Command::Get(get) => get.run(),
        Command::Put(put) => put.run(),
        Command::Del(del) => del.run(),
        Command::Scan(scan) => scan.run(),
        Command::Count(count) => count.run(),
        Command::Batch(batch) => batch.run(),
        Command::Clear(clear) => clear.run(),
        Command::Import(import) => import.run(),
        Command::Export(export) => export.run(),
        Command::Status(status) => status.run(),
        Command::Watch(watch) => watch.run(),
        Command::Top(top) => top.run(),
        Command::Serve(serve) => serve.run(),
        Command::Yield(give_way) => give_way.run(),
        Command::Compact(compact) => compact.run(),
        Command::Verify(verify) => verify.run(),
        Command::Checkpoint(checkpoint) => checkpoint.run(),
        Command::Copy(copy) => copy.run(),
        Command::Repair(repair) => repair.run(),
        Command::Acknowledge(acknowledge) => acknowledge.run(),
        Command::Destroy(destroy) => destroy.run(),
        Command::Exec(exec) => exec.run(),
        Command::Run(other) => other.run(),
        Command::Bench(bench) => bench.run(),
        Command::Demo(demo) => demo.run(),
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(),
    }
}
