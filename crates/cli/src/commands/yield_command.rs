//! `yield`: have the leader give way to another process.

use clap::Args;

use crate::args::Target;
use crate::failure::{Failure, Result, say};

/// Have the leading process give way to another one; exit with 1 if there is none.
///
/// Calls, streams and watches of all processes go on. Useful before a process is stopped or slowed down. This command itself never leads.
#[derive(Args, Debug)]
pub struct Yield {
    #[command(flatten)]
    target: Target,
}

impl Yield {
    /// Asks, and says who leads now.
    pub fn run(self) -> Result<()> {
        let db = self.target.open_to_follow()?;
        let then = db.yield_leadership()?;
        if then.handed_over {
            say(format_args!("pid {} leads now", then.leader_pid));
            return Ok(());
        }
        say(format_args!(
            "pid {} leads on: no other process is there that could",
            then.leader_pid
        ));
        Err(Failure::Difference)
    }
}
