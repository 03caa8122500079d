//! `run`: another program, made for LevelDB, shares its databases.

#[cfg(target_os = "linux")]
mod elf;
#[cfg(target_os = "linux")]
mod linux;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use clap::builder::OsStringValueParser;

use crate::failure::Result;

/// Run a program that uses LevelDB so that it shares its databases with every other process that opens them.
///
/// The program is not changed: a library is loaded before its own LevelDB, in it and in the programs that it starts (LD_PRELOAD). It has to link LevelDB 1.20 to 1.23 as a shared library; `docs/DIFFERENCES.md` says what else goes to its own library as before: an Env or comparator of its own, say. LEVEL_PARTY_TRACE=1 in the environment shows each database that is opened so, and why another one is not. Linux only.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
                  level-party run -- python3 indexer.py\n  \
                  level-party run --only worlds -- minetestserver --world worlds/one")]
pub struct Run {
    /// Share databases in this directory alone, and those in directories below it; may be given several times
    #[arg(long, value_name = "DIR")]
    only: Vec<PathBuf>,

    /// The library to load [default: LEVEL_PARTY_PRELOAD, or liblevel_party_preload.so beside this program or in ../lib]
    #[arg(long, value_name = "FILE")]
    library: Option<PathBuf>,

    /// The program, and what it is given
    #[arg(required = true, last = true, value_name = "PROGRAM", value_parser = OsStringValueParser::new())]
    program: Vec<OsString>,
}

impl Run {
    /// Becomes the program.
    #[cfg(target_os = "linux")]
    pub fn run(self) -> Result<()> {
        let library = linux::library(self.library)?;
        let only = linux::chosen(&self.only)?;
        linux::become_program(&self.program, &library, only)
    }

    /// Says that it can't.
    #[cfg(not(target_os = "linux"))]
    pub fn run(self) -> Result<()> {
        drop((self.only, self.library, self.program));
        Err(crate::failure::Failure::Usage(
            "`run` loads a library before the program's own, which is done on Linux alone".into(),
        ))
    }
}
