//! `get`: print the values of keys.

use clap::Args;
use serde::Serialize;

use crate::args::{ByteArg, Target, bytes};
use crate::failure::{Failure, Result, say};
use crate::json::Bytes;
use crate::output::Output;
use crate::text::printable;

/// Print the values of keys.
///
/// One a line, in the order asked. A key that is not there prints nothing, is named on standard error, and makes the exit code 1.
#[derive(Args, Debug)]
pub struct Get {
    #[command(flatten)]
    target: Target,

    /// The keys
    #[arg(required = true, value_name = "KEY", value_parser = bytes())]
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
    key: Bytes<'a>,
    value: Option<Bytes<'a>>,
}

impl Get {
    /// Prints what is found.
    pub fn run(self) -> Result<()> {
        let db = self.target.open_existing()?;
        let mut output = Output::stdout();
        let mut missing = false;
        for ByteArg(key) in &self.keys {
            let value = db.get(key)?;
            if self.json {
                output.json(&Found {
                    key: Bytes(key),
                    value: value.as_deref().map(Bytes),
                })?;
            } else if let Some(value) = &value {
                output.value(value, !self.raw)?;
            }
            if value.is_none() {
                missing = true;
                say(format_args!("not found: {}", printable(key, &[])));
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
