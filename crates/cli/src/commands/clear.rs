//! `clear`: remove all entries of a range.

use clap::Args;
use serde_json::json;

use crate::args::{Span, Target};
use crate::coding::BoundCoding;
use crate::failure::{Failure, Result};
use crate::keyspace::Within;
use crate::output::Report;
use crate::text::counted;

/// Remove all entries of a range, or with --all of the whole database or sublevel.
///
/// They go in batches, each as a whole; keys that others write meanwhile may stay.
#[derive(Args, Debug)]
pub struct Clear {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    within: Within,
    #[command(flatten)]
    span: Span,

    /// Remove everything
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    coding: BoundCoding,
    #[command(flatten)]
    report: Report,
}

impl Clear {
    /// Removes the entries and says how many there were.
    pub fn run(self) -> Result<()> {
        if self.all != self.span.is_everything() {
            return Err(Failure::Usage(
                "say what to remove: give a range, such as --prefix, or --all for everything; nothing was removed".into(),
            ));
        }
        let walk = self.span.walk(self.coding.into())?;
        let db = self.target.open_existing()?;
        let keyspace = self.within.of(&db)?;
        let removed = match walk.bounds() {
            Some(bounds) => keyspace.clear(bounds)?,
            None => 0,
        };
        self.report.tell(
            &json!({"removed": removed}),
            format_args!("removed {}", counted(removed, "entry", "entries")),
        )
    }
}
