//! `repair`: make of a damaged database one that opens.

use std::path::PathBuf;

use clap::Args;
use level_party::Db;

use crate::failure::{Failure, Result, say};
use crate::output::Output;

/// Say what is damaged and what a repair would do; with --yes do it.
///
/// Nobody may have the database open. Nothing is deleted: files that are replaced stay, with names that begin with level-party.aside-. Exits with 1 where something is wrong and was not repaired.
#[derive(Args, Debug)]
pub struct Repair {
    /// The LevelDB directory
    dir: PathBuf,

    /// Do it; without this nothing is changed
    #[arg(long)]
    yes: bool,

    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

impl Repair {
    /// Looks, or repairs, and prints the report.
    pub fn run(self) -> Result<()> {
        let report = match self.yes {
            true => Db::repair(&self.dir)?,
            false => Db::repair_dry_run(&self.dir)?,
        };
        let mut output = Output::stdout();
        if self.json {
            output.json(&report)?;
        } else {
            for problem in &report.problems {
                output.line(format_args!("wrong    {problem}"))?;
            }
            for action in &report.actions {
                output.line(format_args!(
                    "{}{action}",
                    if report.done {
                        "done     "
                    } else {
                        "to do    "
                    }
                ))?;
            }
            for lost in &report.lost {
                output.line(format_args!("lost     {lost}"))?;
            }
            for (was, is) in &report.aside {
                output.line(format_args!("aside    {was} is {is} now"))?;
            }
        }
        output.flush()?;
        match (report.problems.is_empty(), report.done) {
            (true, _) => say("nothing is wrong, nothing was done"),
            (false, true) => say("repaired"),
            (false, false) => {
                say("nothing was changed; --yes does what is to be done");
                return Err(Failure::Difference);
            }
        }
        Ok(())
    }
}
