//! `verify`: look at every block of every table.

use clap::Args;

use crate::args::Target;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::text::counted;

/// Look at every block of every table; exit with 1 if anything is wrong.
///
/// Checksums, the order of keys, and what LevelDB's levels promise. What openings of the database lost counts as wrong until `acknowledge` or a repair. The leader does it while everybody goes on. Entries are counted as the tables have them: old versions and deletions that no compaction has removed yet are counted too, and entries that are only in memory are not; `count` says how many keys there are.
#[derive(Args, Debug)]
pub struct Verify {
    #[command(flatten)]
    target: Target,

    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    /// Prints what is wrong, and what was looked at.
    pub fn run(self) -> Result<()> {
        let db = self.target.open_for_reading()?;
        let report = db.verify()?;
        let mut output = Output::stdout();
        if self.json {
            output.json(&report)?;
        } else {
            for problem in &report.problems {
                output.line(problem)?;
            }
            for loss in &report.losses {
                output.line(format_args!("lost: {loss}"))?;
            }
            let found = match report.problems.len() as u64 {
                0 if report.losses.is_empty() => "nothing is wrong".to_string(),
                0 => "the files are sound, but earlier openings lost something".to_string(),
                wrong => counted(wrong, "problem", "problems"),
            };
            output.line(format_args!(
                "{found}; {}, {}, {}",
                counted(report.tables, "table", "tables"),
                counted(report.blocks, "block", "blocks"),
                counted(report.entries, "stored entry", "stored entries")
            ))?;
        }
        output.flush()?;
        match report.is_sound() {
            true => Ok(()),
            false => Err(Failure::Difference),
        }
    }
}
