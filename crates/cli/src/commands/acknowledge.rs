//! `acknowledge`: have no command warn any more of what openings of the database lost.

use clap::Args;
use serde_json::json;

use crate::args::Target;
use crate::failure::{Result, say};
use crate::output::{Output, Report};

/// Say that you have seen what openings of the database lost; no command warns of it any more.
///
/// It prints what that was, a line each. Files that were set aside stay, and `repair` can still bring back what is in them.
#[derive(Args, Debug)]
pub struct Acknowledge {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    report: Report,
}

impl Acknowledge {
    /// Has it forgotten, and prints it.
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
            _ => "acknowledged: no command warns of this any more",
        });
        Ok(())
    }
}
