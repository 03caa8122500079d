//! `checkpoint`: a copy of the database as it is at one moment.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::args::Target;
use crate::failure::Result;
use crate::output::Report;
use crate::text::count;

/// Copy the database as it is now into a new directory, while everybody goes on.
///
/// Tables are hard links where that is possible, so the copy costs little. It is a database of its own, and on stable storage when the command ends. The directory must not exist, or be empty; the one that it is to be in must exist.
///
/// To restore: stop every process that has the database open, move its directory away, and move or copy the checkpoint (`cp -r`) to its place. The next command opens it. Never copy into a directory that is open.
#[derive(Args, Debug)]
pub struct Checkpoint {
    #[command(flatten)]
    target: Target,

    /// The directory that the copy is to be
    #[arg(value_name = "TO")]
    to: PathBuf,

    #[command(flatten)]
    report: Report,
}

impl Checkpoint {
    /// Has it made.
    pub fn run(self) -> Result<()> {
        let db = self.target.open_for_reading()?;
        let sequence = db.checkpoint(&self.to)?;
        let to = self.to.display();
        self.report.tell(
            &json!({"to": to.to_string(), "sequence": sequence}),
            format_args!("{to} holds everything up to sequence {}", count(sequence)),
        )
    }
}
