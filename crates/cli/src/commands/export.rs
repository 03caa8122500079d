//! `export`: print entries as the JSON lines that `import` reads.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;

use crate::args::{Target, Window};
use crate::coding::Coding;
use crate::commands::import::progress;
use crate::failure::{Failure, Result, say};
use crate::keyspace::Within;
use crate::output::{Output, Part};
use crate::text::counted;

/// Print entries as JSON lines that `import` reads.
///
/// A line is {"key":..,"value":..}, and is read back to the same bytes. Keys and values are strings where they are UTF-8, else {"base64":".."}. All entries are of one moment. An entry that another program wrote and that is too large to be read is left out and named, and the exit code is 3.
#[derive(Args, Debug)]
pub struct Export {
    #[command(flatten)]
    target: Target,

    /// The file to write; `-` or nothing is standard output
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    #[command(flatten)]
    coding: Coding,
    #[command(flatten)]
    within: Within,
    #[command(flatten)]
    window: Window,
}

impl Export {
    /// Writes the entries.
    pub fn run(self) -> Result<()> {
        let (walk, coding) = (self.window.walk(self.coding)?, self.coding);
        let db = self.target.open_to_view()?;
        let entries = walk.entries(&self.within.of(&db)?);
        let Some(path) = self.file.filter(|file| file.as_os_str() != "-") else {
            let bar_wanted = !std::io::stdout().is_terminal();
            return write_all(Output::stdout().coded(coding), entries, bar_wanted).map(drop);
        };
        let incomplete = || format!("the export to {} is incomplete", path.display());
        let file = File::create(&path).map_err(|error| {
            Failure::Usage(format!("{} cannot be written: {error}", path.display()))
        })?;
        let count = write_all(Output::new(&file, false).coded(coding), entries, true)
            .map_err(|f| f.context(incomplete()))?;
        file.sync_all()
            .map_err(|error| Failure::output(error).context(incomplete()))?;
        say(format_args!(
            "exported {} to {}",
            counted(count, "entry", "entries"),
            path.display()
        ));
        Ok(())
    }
}

/// Gives how many entries were written.
fn write_all<W: Write>(
    mut output: Output<W>,
    entries: crate::bounds::Entries,
    bar_wanted: bool,
) -> Result<u64> {
    let bar = if bar_wanted {
        progress(None)
    } else {
        indicatif::ProgressBar::hidden()
    };
    let mut count = 0;
    for entry in entries {
        let (key, value) = match entry {
            Ok(entry) => entry,
            Err(error) => {
                output.flush()?;
                return Err(error.into());
            }
        };
        output.json_entry(Part::Both, &key, &value)?;
        count += 1;
        bar.inc(1);
    }
    output.flush()?;
    bar.finish_and_clear();
    Ok(count)
}
