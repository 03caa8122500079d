//! C++ LevelDB, as the program that `peers/build.sh` compiles, where it was run.
//!
//! Promises: a peer that was found works on the same data as we. Must not know: what it is measured against.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Data, Result, Summary};

/// Where the program is, beside the build's profiles.
const PROGRAM: &str = "peers/leveldb_bench";

/// The C++ program.
#[derive(Clone, Debug)]
pub struct Peer {
    program: PathBuf,
    /// As it names itself, with LevelDB's version.
    pub name: String,
}

impl Peer {
    /// The peer in the target directory that this program was built in; `None` if it was not built.
    ///
    /// # Errors
    /// It is there but does not run, or works on other data.
    pub fn find() -> Result<Option<Peer>> {
        let myself = std::env::current_exe()?;
        // TARGET/[TRIPLE/]release/deps/party-HASH
        let mut programs = myself.ancestors().take(5).map(|dir| dir.join(PROGRAM));
        match programs.find(|path| path.is_file()) {
            Some(program) => Peer::open(program).map(Some),
            None => Ok(None),
        }
    }

    fn open(program: PathBuf) -> Result<Peer> {
        let mut peer = Peer {
            program,
            name: String::new(),
        };
        peer.name = peer.run(&["name"])?;
        let theirs = peer.run(&["fingerprint"])?;
        let ours = format!("{:016x}", Data::fingerprint());
        if theirs != ours {
            return Err(format!(
                "{} works on other data ({theirs}, not {ours}): build it again with crates/bench/peers/build.sh",
                peer.program.display()
            )
            .into());
        }
        Ok(peer)
    }

    /// Has it do `workload` in `dir`, in a process of its own.
    ///
    /// # Errors
    /// It failed; it says why on standard error.
    pub fn measure(
        &self,
        workload: &str,
        dir: &Path,
        entries: usize,
        compression: &str,
    ) -> Result<Summary> {
        let dir = dir.to_str().ok_or("a directory whose name is not UTF-8")?;
        let line = self.run(&[workload, dir, &entries.to_string(), compression])?;
        Summary::from_line(&line)
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(&self.program)
            .args(arguments)
            .stderr(std::process::Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err(format!("{} {arguments:?} failed", self.program.display()).into());
        }
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }
}
