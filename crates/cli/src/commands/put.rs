//! `put`: set keys to values.

use clap::Args;
use level_party::WriteBatch;
use serde_json::json;

use crate::args::{ByteArg, Creating, Syncing, Target, bytes};
use crate::coding::Coding;
use crate::failure::{Failure, Result};
use crate::keyspace::Within;
use crate::output::Report;
use crate::text::printable;

/// Set keys to values.
///
/// Several pairs are one batch, which takes effect as a whole or not at all; of a key given twice the last value stays. Keys and values that begin with a dash and are no numbers come after `--`.
#[derive(Args, Debug)]
pub struct Put {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    creating: Creating,
    #[command(flatten)]
    syncing: Syncing,
    #[command(flatten)]
    coding: Coding,
    #[command(flatten)]
    within: Within,

    /// Keys and values in turn
    #[arg(required = true, num_args = 2.., value_names = ["KEY", "VALUE"], value_parser = bytes(), allow_negative_numbers = true)]
    pairs: Vec<ByteArg>,

    #[command(flatten)]
    report: Report,
}

impl Put {
    /// Writes the pairs.
    pub fn run(self) -> Result<()> {
        let (pairs, rest) = self.pairs.as_chunks::<2>();
        if let [ByteArg(key)] = rest {
            return Err(Failure::Usage(format!(
                "the key {:?} has no value; give keys and values in turn, nothing was written",
                printable(key, &[])
            )));
        }
        let mut batch = WriteBatch::new();
        for [key, value] in pairs {
            batch.put(&self.coding.key(key)?, &self.coding.value(value)?);
        }
        let db = self.target.open_for_writing(self.creating)?;
        let keyspace = self.within.of(&db)?;
        keyspace.write(batch.sync(self.syncing.sync))?;
        self.report
            .tell_programs(&json!({"operations": batch.len()}))
    }
}
