//! Child processes that are measured, or that those who are measured talk to.
//!
//! A child speaks lines: it says something when it is ready, then answers each line it is told by one line. It ends
//! when its standard input does. Promises: no child outlives its [`Child`]. Must not know: what the lines mean.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;

/// A running child, killed when dropped.
#[derive(Debug)]
pub struct Child {
    name: String,
    process: std::process::Child,
    /// Until it is told to finish.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Child {
    /// Starts `command`, whose standard error stays ours.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(name: impl Into<String>, command: &mut Command) -> Result<Child> {
        let name = name.into();
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("can't start {name}: {error}"))?;
        let input = process.stdin.take().expect("its input is piped");
        let output = process.stdout.take().expect("its output is piped");
        Ok(Child {
            name,
            process,
            input: Some(input),
            output: BufReader::new(output),
        })
    }

    /// Starts this very program again; `arguments` tell it what to be.
    ///
    /// # Errors
    /// It can't be started.
    pub fn myself(arguments: &[&str]) -> Result<Child> {
        let name = arguments.first().copied().unwrap_or("a child");
        Child::start(name, Command::new(std::env::current_exe()?).args(arguments))
    }

    /// Tells it a line without waiting for its answer.
    ///
    /// # Errors
    /// It has ended.
    pub fn tell(&mut self, line: &str) -> Result<()> {
        let mut input = self.input.as_ref().expect("finishing takes the child");
        writeln!(input, "{line}").map_err(|error| format!("{}: {error}", self.name).into())
    }

    /// The next line it says.
    ///
    /// # Errors
    /// It has ended.
    pub fn hear(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err(format!("{} has ended without an answer", self.name).into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Tells it a line, and hears its answer.
    ///
    /// # Errors
    /// It has ended.
    pub fn ask(&mut self, line: &str) -> Result<String> {
        self.tell(line)?;
        self.hear()
    }

    /// Ends its input, and waits until it has ended by itself.
    ///
    /// # Errors
    /// It ended with a failure.
    pub fn finish(mut self) -> Result<()> {
        self.input = None;
        let status = self.process.wait()?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("{} ended with {status}", self.name).into()),
        }
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Kills it (`SIGKILL`), and says how long it took until the system was done with it.
    ///
    /// # Errors
    /// The system refused.
    pub fn kill(&mut self) -> Result<Duration> {
        let start = Instant::now();
        self.process.kill()?;
        self.process.wait()?;
        Ok(start.elapsed())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_child_answers_line_by_line_until_it_is_killed() {
        let mut child = Child::start("cat", &mut Command::new("cat")).unwrap();
        assert_eq!(child.ask("a line").unwrap(), "a line");
        assert_eq!(child.ask("another").unwrap(), "another");
        child.kill().unwrap();
        let error = child.ask("anyone?").unwrap_err().to_string();
        assert!(error.contains("cat"), "{error}");
    }
}
