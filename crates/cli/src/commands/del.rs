//! `del`: remove keys.

use clap::Args;
use level_party::WriteBatch;
use serde_json::json;

use crate::args::{ByteArg, Syncing, Target, bytes};
use crate::coding::{Coding, Encoding};
use crate::failure::Result;
use crate::keyspace::Within;
use crate::output::Report;

/// Remove keys.
///
/// Several are one batch, which takes effect as a whole or not at all. It is no error when a key is not there.
#[derive(Args, Debug)]
pub struct Del {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    syncing: Syncing,
    #[command(flatten)]
    within: Within,

    /// How keys are given
    #[arg(
        long,
        value_name = "ENCODING",
        default_value = "bytes",
        hide_default_value = true,
        help_heading = "Keys and values"
    )]
    key_encoding: Encoding,

    /// The keys
    #[arg(required = true, value_name = "KEY", value_parser = bytes(), allow_negative_numbers = true)]
    keys: Vec<ByteArg>,

    #[command(flatten)]
    report: Report,
}

impl Del {
    /// Removes the keys.
    pub fn run(self) -> Result<()> {
        let mut batch = WriteBatch::new();
        let coding = Coding {
            key: self.key_encoding,
            ..Coding::default()
        };
        for key in &self.keys {
            batch.delete(&coding.key(key)?);
        }
        let db = self.target.open_existing()?;
        let keyspace = self.within.of(&db)?;
        keyspace.write(batch.sync(self.syncing.sync))?;
        self.report
            .tell_programs(&json!({"operations": batch.len()}))
    }
}
