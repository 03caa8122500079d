//! `destroy`: remove a database.

use std::path::PathBuf;

use clap::Args;
use level_party::Db;

use crate::failure::{Failure, Result, say};
use crate::output::Report;
use crate::text::{counted, printable};

/// Remove a database that nobody has open, with all its entries.
///
/// Only a database's files go, and the directory if nothing else is in it. There is no way back.
#[derive(Args, Debug)]
pub struct Destroy {
    /// The LevelDB directory
    dir: PathBuf,

    /// Do it; without this nothing is done
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    report: Report,
}

impl Destroy {
    /// Removes it.
    pub fn run(self) -> Result<()> {
        let dir = self.dir.display();
        if !self.yes {
            return Err(Failure::Usage(format!(
                "this removes all entries of {dir} for good; say --yes if it is meant. Nothing was removed"
            )));
        }
        let done = Db::destroy(&self.dir)?;
        if self.report.json {
            return self.report.tell_programs(&done);
        }
        say(format_args!(
            "removed {}{}",
            counted(done.removed.len() as u64, "file", "files"),
            match done.directory_removed {
                true => " and the directory",
                false => "",
            }
        ));
        for name in &done.left {
            let name = printable(name.as_bytes(), &[]);
            say(format_args!("left: {name}, which is no database's"));
        }
        Ok(())
    }
}
