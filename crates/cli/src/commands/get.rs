//! `get`: print the values of keys.

use clap::Args;
use serde::Serialize;

use crate::args::{ByteArg, Target, bytes};
use crate::coding::{Coding, InJson};
use crate::failure::{Failure, Result, say};
use crate::keyspace::Within;
use crate::output::Output;
use crate::text::printable;

/// Print the values of keys.
///
/// One a line, in the order asked. A key that is not there prints nothing, is named on standard error, and makes the exit code 1.
#[derive(Args, Debug)]
pub struct Get {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    coding: Coding,
    #[command(flatten)]
    within: Within,

    /// The keys
    #[arg(required = true, value_name = "KEY", value_parser = bytes(), allow_negative_numbers = true)]
    keys: Vec<ByteArg>,

    /// Print values without a newline behind them
    #[arg(long, conflicts_with = "json")]
    raw: bool,

    /// Print {"key":..,"value":..} lines; the value of a missing key is null
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Found<'a> {
    key: InJson<'a>,
    value: Option<InJson<'a>>,
}

impl Get {
    /// Prints what is found.
    pub fn run(self) -> Result<()> {
        let coding = self.coding;
        let keys = self.keys.iter().map(|key| coding.key(key));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let db = self.target.open_to_view()?;
        let keyspace = self.within.of(&db)?;
        let mut output = Output::stdout().coded(coding);
        let mut missing = false;
        for (key, ByteArg(given)) in keys.iter().zip(&self.keys) {
            let value = keyspace.get(key)?;
            if self.json {
                output.json(&Found {
                    key: coding.key.json(key)?,
                    value: value.as_deref().map(|v| coding.value.json(v)).transpose()?,
                })?;
            } else if let Some(value) = &value {
                output.value(value, !self.raw)?;
            }
            if value.is_none() {
                missing = true;
                say(format_args!("not found: {}", printable(given, &[])));
            }
        }
        output.flush()?;
        if missing {
            Err(Failure::Difference)
        } else {
            Ok(())
        }
    }
}
