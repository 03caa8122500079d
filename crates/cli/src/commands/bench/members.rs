//! Several processes that measure at once: this program again, told on standard input what to measure next.
//!
//! What it promises: all have the database open before anything is measured, and each kind of call is begun by all at
//! once. A process whose standard input ends has nothing more to do and leaves: none outlives the one that started it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::Bench;
use super::calls::Figure;
use crate::failure::{Failure, Result};

/// What a process says when it has the database open.
pub const READY: &str = "ready";

/// A process that measures.
pub struct Member {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Member {
    /// Starts one, and waits until it has the database open. A `quiet` one does not say what the database has lost.
    pub fn start(bench: &Bench, level: &str, quiet: bool) -> Result<Member> {
        let program = std::env::current_exe()
            .map_err(|error| failed(format_args!("this program cannot find itself: {error}")))?;
        let target = &bench.target;
        let mut child = Command::new(program)
            .arg("bench")
            .args(["--member", level])
            .args(["--seconds", &bench.seconds.as_secs_f64().to_string()])
            .args(["--keys", &bench.keys.to_string()])
            .args(["--value-size", &bench.value_size.to_string()])
            .args(["--create", &bench.creating.create.to_string()])
            .args(["--retry", &target.retry.to_string()])
            .args(["--timeout", &target.timeout.as_secs_f64().to_string()])
            .args([
                "--open-timeout",
                &target.open_timeout().as_secs_f64().to_string(),
            ])
            .args(["--lead", target.lead.as_str()])
            .args(quiet.then_some("--quiet"))
            .arg("--")
            .arg(&target.dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(format_args!("a process cannot be started: {error}")))?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed("a process has no standard input and output"));
        };
        let mut member = Member {
            child,
            requests: Some(requests),
            answers: BufReader::new(answers),
        };
        match member.line()? {
            line if line == READY => Ok(member),
            line => Err(failed(format_args!("a process began with {line:?}"))),
        }
    }

    /// Has it measure one kind of call.
    pub fn ask(&mut self, call: &str) -> Result<()> {
        let asked = self
            .requests
            .as_mut()
            .map(|requests| writeln!(requests, "{call}"));
        asked
            .unwrap_or(Ok(()))
            .map_err(|error| failed(format_args!("a process takes no requests: {error}")))
    }

    /// What it measured.
    pub fn figure(&mut self) -> Result<Figure> {
        let line = self.line()?;
        serde_json::from_str(&line)
            .map_err(|error| failed(format_args!("a process answered {line:?}: {error}")))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(0) => Err(failed("a process of it ended early")), // It has said why on standard error.
            Ok(_) => Ok(line.trim_end().into()),
            Err(error) => Err(failed(format_args!("a process cannot be heard: {error}"))),
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.requests.take();
        let _ = self.child.wait(); // It leaves now, and has said what there was to say.
    }
}

fn failed(what: impl std::fmt::Display) -> Failure {
    Failure::Database(format!("the bench cannot go on: {what}"))
}
