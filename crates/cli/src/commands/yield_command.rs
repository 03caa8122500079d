//! `yield`: have the leader give way to another process.

use clap::Args;
use serde_json::json;

use crate::args::{Leading, Target};
use crate::failure::{Failure, Result};
use crate::output::Report;

/// Have the leading process give way to another one; exit with 1 if there is none.
///
/// Calls, streams and watches of all processes go on. Useful before a process is stopped or slowed down. This command itself never leads: where nobody has the database open it says so at once, and exits with 1 too; with `--lead never` it waits until somebody has.
#[derive(Args, Debug)]
#[command(mut_arg("lead", |arg| arg.default_value("join")))]
pub struct Yield {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    report: Report,
}

impl Yield {
    /// Asks, and says who leads now.
    pub fn run(self) -> Result<()> {
        if self.target.lead == Leading::Auto {
            return Err(Failure::Usage(
                "`yield` asks another process, and never leads: give --lead join or never".into(),
            ));
        }
        let Some(db) = self.target.join_leader()? else {
            let dir = self.target.shown();
            self.report.tell(
                &json!({"handed_over": false, "leader_pid": null, "epoch": null}),
                format!("nobody leads {dir}: no process has it open"),
            )?;
            return Err(Failure::Difference);
        };
        let then = db.yield_leadership()?;
        let pid = then.leader_pid;
        let words = match then.handed_over {
            true => format!("pid {pid} leads now"),
            false => format!("pid {pid} leads on: no other process is there that could"),
        };
        self.report.tell(
            &json!({"handed_over": then.handed_over, "leader_pid": pid, "epoch": then.epoch}),
            words,
        )?;
        match then.handed_over {
            true => Ok(()),
            false => Err(Failure::Difference),
        }
    }
}
