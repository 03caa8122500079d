//! `man`: the manual pages.

use std::path::PathBuf;

use clap::{Args, CommandFactory};

use crate::args::Cli;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// Print the manual page, or write the page of each command.
///
/// To read it: `level-party man | man -l -`.
#[derive(Args, Debug)]
pub struct Man {
    /// A command whose page is printed instead
    #[arg(value_name = "COMMAND")]
    command: Option<String>,

    /// Write all pages into this directory
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    out: Option<PathBuf>,
}

impl Man {
    /// Prints or writes.
    pub fn run(self) -> Result<()> {
        // `help` says what the pages say: it has none of its own.
        let mut cli = Cli::command().disable_help_subcommand(true);
        cli.build();
        if let Some(dir) = &self.out {
            return clap_mangen::generate_to(cli, dir).map_err(|error| {
                Failure::Usage(format!("{} cannot be written to: {error}", dir.display()))
            });
        }
        let command = match &self.command {
            None => &cli,
            Some(name) => cli.find_subcommand(name).ok_or_else(|| {
                Failure::Usage(format!(
                    "there is no command {name:?}; `level-party --help` lists them"
                ))
            })?,
        };
        let mut page = Vec::new();
        clap_mangen::Man::new(command.clone())
            .render(&mut page)
            .map_err(Failure::output)?;
        let mut output = Output::stdout();
        output.bytes(&page)?;
        output.flush()
    }
}
