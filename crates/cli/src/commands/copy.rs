//! `copy`: a database into another one while it is used; its users may be moved there.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use level_party::{Migration, MigrationPhase, MigrationProgress, MigrationReport};
use serde_json::json;

use crate::args::{Target, place};
use crate::commands::import::progress;
use crate::failure::Result;
use crate::output::Report;
use crate::text::{count, counted};

/// Copy a database into another while it is used, and move its users there.
///
/// The copy follows what is written meanwhile. Until it is done nobody else can open it. A copy that was stopped or killed goes on where it was: give the same command again. It ends
///
/// - as it is: when it has what the database had shortly before. Nobody can open it yet; a later `copy` goes on.
///
/// - `--then open`: both are compared, and the copy is opened for everyone as it was at that moment. The database goes on by itself.
///
/// - `--then cut-over`: the database refuses writes from then on, in every process, with the error Moved, which names the copy; what is left is copied, both are compared, and the copy is opened for everyone. No acknowledged write is lost. Reads of the database go on and show what it was. If anything fails before the end the database takes writes again.
///
/// - `--then abort`: nothing is copied. A database whose cut-over was killed takes writes again.
#[derive(Args, Debug)]
pub struct Copy {
    #[command(flatten)]
    source: Target,

    /// What the copy is to be: a directory or URL where nothing is, or a part of this copy
    #[arg(value_name = "TO", value_parser = place())]
    to: PathBuf,

    /// What to do when the copy has caught up
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    then: Then,

    #[command(flatten)]
    report: Report,
}

/// What to do when a copy has caught up.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Then {
    /// End; a later copy goes on
    #[default]
    Stop,
    /// Open the copy for everyone, as a database of its own
    Open,
    /// Move all users to it
    CutOver,
    /// Copy nothing, and undo a cut-over that was not completed
    Abort,
}

impl Copy {
    /// Has it made.
    pub fn run(self) -> Result<()> {
        let source = self.source.open_existing()?;
        let target = Target {
            dir: self.to.clone(),
            ..self.source.clone()
        };
        let bar = progress(None);
        let migration = Migration::new(&source, &self.to)
            .target_options(target.options())
            .on_progress(|progress| show(&bar, progress));
        let done = match self.then {
            Then::Stop => migration.catch_up().map(Some),
            Then::Open => migration.finish().map(Some),
            Then::CutOver => migration.cut_over().map(Some),
            Then::Abort => migration.abort().map(|()| None),
        };
        bar.finish_and_clear();
        let to = target.shown();
        let Some(report) = done? else {
            let dir = self.source.shown();
            let words = format_args!("{dir} takes writes; {to} stays closed");
            return self.report.tell(&json!({"aborted": true}), words);
        };
        let words = in_words(&report);
        self.report.tell(
            &report,
            match self.then {
                Then::Open => format!("{to} is a database of its own: {words}"),
                Then::CutOver => format!("{to} is the database now: {words}"),
                Then::Stop | Then::Abort => format!(
                    "{to} has caught up: {words}; it can be opened after `--then open` or `--then cut-over`"
                ),
            },
        )
    }
}

fn show(bar: &ProgressBar, progress: &MigrationProgress) {
    let (position, what) = match progress.phase {
        MigrationPhase::Comparing => (progress.compared, "entries compared"),
        MigrationPhase::Following => (progress.changes, "changes followed"),
        _ => (progress.entries, "entries looked at"),
    };
    bar.set_position(position);
    bar.set_message(what);
}

fn in_words(report: &MigrationReport) -> String {
    let MigrationReport {
        progress,
        contents,
        unwritable_for,
        ..
    } = report;
    let mut words = format!(
        "{} looked at, {} followed",
        counted(progress.entries, "entry", "entries"),
        counted(progress.changes, "change", "changes"),
    );
    if let Some(contents) = contents {
        words += &format!(
            ", {} alike in both (CRC-32C {:08x})",
            count(contents.entries),
            contents.crc32c
        );
    }
    if let Some(time) = unwritable_for {
        words += &format!(
            ", no writes for {:?}",
            Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
        );
    }
    words
}
