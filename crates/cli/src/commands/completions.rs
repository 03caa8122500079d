//! `completions`: the words that a shell can complete.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::failure::Result;
use crate::output::Output;

/// Print a shell's completions of this program.
///
/// For bash: `source <(level-party completions bash)`.
#[derive(Args, Debug)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    /// Prints them.
    pub fn run(self) -> Result<()> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "level-party", &mut text);
        let mut output = Output::stdout();
        output.bytes(&text)?;
        output.flush()
    }
}
