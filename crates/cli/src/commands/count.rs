//! `count`: say how many entries there are.

use clap::Args;
use serde_json::json;

use crate::args::{Span, Target};
use crate::coding::BoundCoding;
use crate::failure::Result;
use crate::keyspace::Within;
use crate::output::{Output, Report};

/// Say how many entries there are.
///
/// The keys are walked over, at one moment; values are not read where they can be left out. A key over the limit, which another program wrote, is not counted but named, and the exit code is 3.
#[derive(Args, Debug)]
pub struct Count {
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

impl Count {
    /// Prints the number.
    pub fn run(self) -> Result<()> {
        let walk = self.span.walk(self.coding.into())?;
        let db = self.target.open_to_view()?;
        let mut count: u64 = 0;
        for key in walk.keys(&self.within.of(&db)?) {
            key?;
            count += 1;
        }
        let mut output = Output::stdout();
        match self.report.json {
            true => output.json(&json!({"entries": count}))?,
            false => output.line(count)?,
        }
        output.flush()?;
        Ok(())
    }
}
