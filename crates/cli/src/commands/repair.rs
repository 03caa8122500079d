//! `repair`: reports damage, and makes a damaged database usable again.

use std::path::PathBuf;

use clap::Args;
use level_party::{Db, ErrorKind};

use crate::failure::{Failure, Result, say};
use crate::output::Output;

/// Files set aside that are listed; `--json` lists all.
const ASIDE_SHOWN: usize = 20;

/// Say what is damaged and what a repair would do; with --yes do it.
///
/// No process may have the database open. A repair deletes nothing: it renames the files that the repaired database does not use to level-party.replaced-NAME. It brings back the writes that an earlier opening set aside in level-party.aside-NAME. The exit code is 1 if a repair is needed and was not made.
#[derive(Args, Debug)]
pub struct Repair {
    /// The LevelDB directory
    dir: PathBuf,

    /// Make the repair; without this nothing is changed
    #[arg(long)]
    yes: bool,

    /// Do not bring back what earlier openings set aside
    #[arg(long)]
    leave_aside: bool,

    /// Make an empty database if no entry can be kept
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
            for (was, is) in report.aside.iter().take(ASIDE_SHOWN) {
                output.line(format_args!("aside    {was} is {is} now"))?;
            }
            if report.aside.len() > ASIDE_SHOWN {
                let more = report.aside.len() - ASIDE_SHOWN;
                output.line(format_args!("aside    and {more} more files"))?;
            }
        }
        output.flush()?;
        if let Some(refusal) = report.refusal {
            say(format_args!("a repair is refused: {refusal}"));
            return Err(Failure::Difference);
        }
        match (report.actions.is_empty(), report.done) {
            (true, _) => say("nothing is wrong, nothing was done"),
            (false, true) => say("repaired"),
            (false, false) => {
                say("nothing was changed; --yes makes the repair");
                return Err(Failure::Difference);
            }
        }
        Ok(())
    }
}

/// Why nothing was repaired. Other commands hint at `repair` here, which would lead in a circle.
fn refused(error: level_party::Error) -> Failure {
    match error.kind() {
        ErrorKind::Corruption => Failure::Database(format!(
            "{error}\nhint: `--allow-empty` makes an empty database here and sets all files aside"
        )),
        _ => error.into(),
    }
}
