//! One member of the party: a child process, and the one that replaces it when it was killed.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

use serde_json::Value;

use super::Stage;
use super::ledger::lock;

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Writer(usize),
    Reader(usize),
    Stream,
    /// Looks at the end whether all is there.
    Check,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Role::Writer(index) => write!(f, "writer {}", index + 1),
            Role::Reader(index) => write!(f, "reader {}", index + 1),
            Role::Stream => f.write_str("stream"),
            Role::Check => f.write_str("check"),
        }
    }
}

/// A place in the party, held by one process after the other.
pub struct Member {
    pub role: Role,
    child: Mutex<Option<Child>>,
    pid: AtomicU32,
    /// Whether the present process was killed by the demo, so that its end is no surprise.
    killed: AtomicBool,
}

impl Member {
    pub fn new(role: Role) -> Self {
        Member {
            role,
            child: Mutex::new(None),
            pid: AtomicU32::new(0),
            killed: AtomicBool::new(false),
        }
    }

    /// The present process, 0 before the first.
    pub fn pid(&self) -> u32 {
        self.pid.load(SeqCst)
    }

    pub fn was_killed(&self) -> bool {
        self.killed.load(SeqCst)
    }

    /// Starts a process that serves requests.
    pub fn start_exec(&self, stage: &Stage<'_>) -> io::Result<Talk> {
        let mut command = Command::new(&stage.program);
        command.arg("exec").arg(stage.dir).stdin(Stdio::piped());
        let (stdin, stdout) = self.start(&mut command)?;
        Ok(Talk {
            stdin,
            stdout,
            line: String::new(),
        })
    }

    /// Starts a process that prints the run's entries, those after a key if one is given.
    pub fn start_scan(
        &self,
        stage: &Stage<'_>,
        after: Option<&str>,
    ) -> io::Result<BufReader<ChildStdout>> {
        let mut command = Command::new(&stage.program);
        command
            .arg("scan")
            .arg(stage.dir)
            .args(["--json", "--prefix", stage.layout.prefix()]);
        if let Some(key) = after {
            command.args(["--gt", key]);
        }
        Ok(self.start(command.stdin(Stdio::null()))?.1)
    }

    fn start(
        &self,
        command: &mut Command,
    ) -> io::Result<(Option<ChildStdin>, BufReader<ChildStdout>)> {
        let mut slot = lock(&self.child);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take();
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| io::Error::other("a child has no standard output"))?;
        self.pid.store(child.id(), SeqCst);
        self.killed.store(false, SeqCst);
        *slot = Some(child);
        Ok((stdin, BufReader::new(stdout)))
    }

    /// Kills the process `pid` with SIGKILL, if it is still the present one, and waits until it is gone.
    pub fn kill(&self, pid: u32) -> io::Result<bool> {
        let mut slot = lock(&self.child);
        let Some(child) = slot.as_mut().filter(|child| child.id() == pid) else {
            return Ok(false);
        };
        if child.try_wait()?.is_some() {
            return Ok(false);
        }
        self.killed.store(true, SeqCst);
        child.kill()?;
        child.wait()?;
        Ok(true)
    }

    /// Kills whatever process there is.
    pub fn kill_any(&self) {
        let mut slot = lock(&self.child);
        if let Some(child) = slot.as_mut() {
            self.killed.store(true, SeqCst);
            let _ = child.kill();
        }
    }

    /// Waits for a process whose output has ended, and gives its last words.
    pub fn end(&self) -> String {
        let Some(mut child) = lock(&self.child).take() else {
            return "it was never started".into();
        };
        let mut words = String::new();
        if let Some(mut stderr) = child.stderr.take() {
            let _ = stderr.read_to_string(&mut words);
        }
        match child.wait() {
            Ok(status) if status.success() => "exit code 0".into(),
            Ok(status) => format!("{status}: {}", words.trim()),
            Err(error) => format!("it cannot be waited for: {error}"),
        }
    }
}

/// A conversation with an `exec` process.
pub struct Talk {
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    line: String,
}

impl Talk {
    /// Sends a request and waits for its answer; `None` when the process is gone.
    pub fn ask(&mut self, request: &Value) -> Option<Value> {
        let stdin = self.stdin.as_mut()?;
        let mut bytes = request.to_string().into_bytes();
        bytes.push(b'\n');
        stdin.write_all(&bytes).ok()?;
        self.line.clear();
        match self.stdout.read_line(&mut self.line) {
            Ok(n) if n > 0 && self.line.ends_with('\n') => serde_json::from_str(&self.line).ok(),
            _ => None,
        }
    }

    /// Ends the conversation, and waits until the process has closed its output.
    pub fn finish(mut self) {
        drop(self.stdin.take());
        let _ = io::copy(&mut self.stdout, &mut io::sink());
    }
}
