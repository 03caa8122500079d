//! `acknowledge`: ends the warnings about what earlier openings of the database lost.

use clap::Args;
use serde_json::json;

use crate::args::Target;
use crate::failure::{Result, say};
use crate::output::{Output, Report};

/// End the warnings about what earlier openings of the database lost.
///
/// It prints each loss on a line of its own. Files that an opening set aside stay, and `repair` can still bring back what is in them.
#[derive(Args, Debug)]
pub struct Acknowledge {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    report: Report,
}

impl Acknowledge {
    /// Clears the record of losses, and prints it.
    pub fn run(self) -> Result<()> {
        let db = self.target.open_quietly()?;
        let losses = db.acknowledge_losses()?;
        if self.report.json {
            return self.report.tell_programs(&json!({"acknowledged": losses}));
        }
        let mut output = Output::stdout();
        for loss in &losses {
            output.line(loss)?;
        }
        output.flush()?;
        say(match losses.len() {
            0 => "there was nothing to acknowledge",
            _ => "acknowledged: commands no longer warn of this",
        });
        Ok(())
    }
}
