//! `repair`: make of a damaged database one that opens.

use std::path::PathBuf;

use clap::Args;
use level_party::{Db, ErrorKind};

use crate::failure::{Failure, Result, say};
use crate::output::Output;

/// Say what is damaged and what a repair would do; with --yes do it.
///
/// Nobody may have the database open. Nothing is deleted: files that the repaired database does not use stay, with names that begin with level-party.replaced-. Writes that an opening has set aside (level-party.aside-) come back. Exits with 1 where something is to be done and was not.
#[derive(Args, Debug)]
pub struct Repair {
    /// The LevelDB directory
    dir: PathBuf,

    /// Do it; without this nothing is changed
    #[arg(long)]
    yes: bool,

    /// Leave what openings have set aside where it is
    #[arg(long)]
    leave_aside: bool,

    /// Make an empty database where nothing of its files can be read
    #[arg(long)]
    allow_empty: bool,

    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

impl Repair {
    /// Looks, or repairs, and prints the report.
    pub fn run(self) -> Result<()> {
        let report = Db::repair_options()
            .dry_run(!self.yes)
            .bring_back_aside(!self.leave_aside)
            .allow_empty(self.allow_empty)
            .run(&self.dir)
            .map_err(refused)?;
        let mut output = Output::stdout();
        if self.json {
            output.json(&report)?;
        } else {
            for problem in &report.problems {
                output.line(format_args!("wrong    {problem}"))?;
            }
            for loss in &report.losses {
                output.line(format_args!("missing  {loss}"))?;
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
        if let Some(refusal) = report.refusal {
            say(format_args!("it can't be repaired: {refusal}"));
            return Err(Failure::Difference);
        }
        match (report.actions.is_empty(), report.done) {
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

/// Why nothing was repaired: not with the hint that damage has elsewhere, to repair it.
fn refused(error: level_party::Error) -> Failure {
    match error.kind() {
        ErrorKind::Corruption => Failure::Database(format!(
            "{error}\nhint: `--allow-empty` makes an empty database of it, and sets all its files aside"
        )),
        _ => error.into(),
    }
}
