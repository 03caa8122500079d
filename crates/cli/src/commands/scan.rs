//! `scan`: print entries in key order, as they are read.

use clap::Args;

use crate::args::{Target, Window};
use crate::bounds::Entries;
use crate::coding::Coding;
use crate::failure::Result;
use crate::keyspace::Within;
use crate::output::{Output, Part};

/// Print entries in key order.
///
/// A line each, as they are read: key, tab, value; the order is bytewise. All of them are of one moment, that of the scan's start, also when the leader dies meanwhile. An entry that another program wrote and that is too large to be read is left out and named, and the exit code is 3. Keys or values that
/// may hold tabs, newlines or other bytes that are no text are told apart with --json.
#[derive(Args, Debug)]
pub struct Scan {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    coding: Coding,
    #[command(flatten)]
    within: Within,
    #[command(flatten)]
    window: Window,

    /// Print keys only
    #[arg(long, conflicts_with = "values")]
    keys: bool,

    /// Print values only
    #[arg(long)]
    values: bool,

    /// Print lines of JSON: {"key":..,"value":..}, or the one asked for
    #[arg(long)]
    json: bool,
}

impl Scan {
    /// Prints the entries.
    pub fn run(self) -> Result<()> {
        let walk = self.window.walk(self.coding)?;
        let db = self.target.open_to_view()?;
        let keyspace = self.within.of(&db)?;
        let part = match (self.keys, self.values) {
            (true, _) => Part::Key,
            (_, true) => Part::Value,
            _ => Part::Both,
        };
        let mut output = Output::stdout().coded(self.coding);
        let entries: Entries = match part {
            Part::Key => Box::new(walk.keys(&keyspace).map(|key| Ok((key?, Vec::new())))),
            _ => walk.entries(&keyspace),
        };
        for entry in entries {
            let (key, value) = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    output.flush()?;
                    return Err(error.into());
                }
            };
            match self.json {
                true => output.json_entry(part, &key, &value)?,
                false => output.entry(part, &key, &value)?,
            }
        }
        output.flush()?;
        Ok(())
    }
}
