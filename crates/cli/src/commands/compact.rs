//! `compact`: merge tables, so that deleted and overwritten entries go.

use clap::Args;
use serde_json::json;

use crate::args::{Span, Target};
use crate::bounds::Walk;
use crate::coding::BoundCoding;
use crate::failure::Result;
use crate::keyspace::Within;
use crate::output::Report;
use crate::text::size;

/// Merge the tables of a range, or all, so that deleted and overwritten entries go.
///
/// The leader does it while everybody goes on; it may take long.
#[derive(Args, Debug)]
pub struct Compact {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    within: Within,
    #[command(flatten)]
    span: Span,

    #[command(flatten)]
    coding: BoundCoding,
    #[command(flatten)]
    report: Report,
}

impl Compact {
    /// Has it done and says what came of it.
    pub fn run(self) -> Result<()> {
        let walk: Walk = self.span.walk(self.coding.into())?;
        let db = self.target.open_existing()?;
        let bytes = || -> Result<u64> { Ok(db.status()?.leader.bytes_per_level.iter().sum()) };
        let keyspace = self.within.of(&db)?;
        let before = bytes()?;
        if let Some(bounds) = walk.bounds() {
            keyspace.compact(bounds)?;
        }
        let after = bytes()?;
        self.report.tell(
            &json!({"bytes_before": before, "bytes_after": after}),
            format_args!("tables held {} and hold {}", size(before), size(after)),
        )
    }
}
