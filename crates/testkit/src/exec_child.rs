//! A child process that holds a database open: `level-party exec DIR`.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use level_party_os::process::{ProcessState, describe};
use serde_json::{Value, json};

use crate::PATIENCE;
use crate::lines::{Line, Lines};
use crate::program::{missing, start, wait_within};

/// Answers that may wait unread, so that a test can send many requests before it looks at the first answer.
const ANSWERS_AHEAD: usize = 16_384;

/// A running `level-party exec DIR`. It is killed when dropped.
///
/// Methods that ask wait at most [`PATIENCE`] and panic with the child's words when no good answer comes; `send` with
/// [`ExecChild::answer`] or [`ExecChild::answer_within`] is for tests that expect failures or kill in between.
#[derive(Debug)]
pub struct ExecChild {
    child: Child,
    stdin: Option<ChildStdin>,
    answers: Lines,
    stderr: Arc<Mutex<String>>,
}

impl ExecChild {
    /// Starts `program exec dir`.
    ///
    /// # Panics
    /// If the program cannot be started.
    pub fn spawn(program: impl AsRef<Path>, dir: impl AsRef<Path>) -> Self {
        Self::spawn_with(program, dir, [] as [&str; 0])
    }

    /// Starts `program exec dir` on a directory that nobody has open, and waits until it leads. After
    /// [`ExecChild::spawn`] alone, whoever is started next may win.
    ///
    /// # Panics
    /// As [`ExecChild::spawn`], and if another process leads.
    pub fn spawn_leader(program: impl AsRef<Path>, dir: impl AsRef<Path>) -> Self {
        let mut child = Self::spawn(program, dir);
        assert_eq!(child.leader_pid(), child.pid(), "another process leads");
        child
    }

    /// Starts `program exec dir` with further flags, such as `["--retry", "false"]`.
    ///
    /// # Panics
    /// If the program cannot be started.
    pub fn spawn_with<A: AsRef<OsStr>>(
        program: impl AsRef<Path>,
        dir: impl AsRef<Path>,
        flags: impl IntoIterator<Item = A>,
    ) -> Self {
        Self::spawn_in(program, dir, flags, &[])
    }

    /// Starts `program exec dir` with environment variables of its own.
    ///
    /// # Panics
    /// If the program cannot be started.
    pub fn spawn_in<A: AsRef<OsStr>>(
        program: impl AsRef<Path>,
        dir: impl AsRef<Path>,
        flags: impl IntoIterator<Item = A>,
        environment: &[(&str, &str)],
    ) -> Self {
        let program = program.as_ref();
        let mut command = Command::new(program);
        command
            .envs(environment.iter().copied())
            .arg("exec")
            .arg(dir.as_ref())
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = start(&mut command).unwrap_or_else(|error| missing(program, &error));
        let stderr = Arc::new(Mutex::new(String::new()));
        let lines = Lines::of(child.stderr.take().expect("standard error is piped"));
        let words = stderr.clone();
        std::thread::spawn(move || {
            while let Line::Text(line) = lines.next_within(Duration::MAX) {
                let mut words = words
                    .lock()
                    .expect("nothing panics while it holds the words");
                words.push_str(&line);
                words.push('\n');
            }
        });
        let stdout = child.stdout.take().expect("standard output is piped");
        ExecChild {
            stdin: child.stdin.take(),
            answers: Lines::reading_ahead(stdout, ANSWERS_AHEAD),
            stderr,
            child,
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr
            .lock()
            .expect("nothing panics while it holds the words")
            .clone()
    }

    /// Sends a request and does not wait for its answer.
    ///
    /// # Panics
    /// If the child no longer reads.
    pub fn send(&mut self, request: &Value) {
        self.send_line(request.to_string().as_bytes());
    }

    /// Sends a line of any bytes; the newline is added.
    ///
    /// # Panics
    /// If the child no longer reads.
    pub fn send_line(&mut self, line: &[u8]) {
        let mut bytes = line.to_vec();
        bytes.push(b'\n');
        let stdin = self
            .stdin
            .as_mut()
            .expect("the child's standard input was closed");
        if let Err(error) = stdin.write_all(&bytes).and_then(|()| stdin.flush()) {
            panic!(
                "exec child {} takes no request: {error}; {}",
                self.child.id(),
                self.words()
            );
        }
    }

    /// The next answer, whatever it says.
    ///
    /// # Panics
    /// If none comes within [`PATIENCE`], or the child has ended.
    pub fn answer(&mut self) -> Value {
        match self.answer_within(PATIENCE) {
            Some(answer) => answer,
            None => panic!(
                "exec child {} gave no answer within {PATIENCE:?}; {}",
                self.pid(),
                self.words()
            ),
        }
    }

    /// The next answer, or `None` if none comes in time. It can still be waited for.
    ///
    /// # Panics
    /// If the child has ended, or its answer is not JSON.
    pub fn answer_within(&mut self, limit: Duration) -> Option<Value> {
        match self.answers.next_within(limit) {
            Line::Late => None,
            Line::Text(line) => Some(serde_json::from_str(&line).unwrap_or_else(|e| {
                panic!("exec child {} answered {line:?}: {e}", self.child.id())
            })),
            Line::End => {
                let status = wait_within(&mut self.child, PATIENCE);
                panic!(
                    "exec child {} has ended ({status:?}); {}",
                    self.pid(),
                    self.words()
                )
            }
        }
    }

    /// Sends a request and waits for its answer, whatever it says.
    ///
    /// # Panics
    /// As [`ExecChild::answer`].
    pub fn ask(&mut self, request: &Value) -> Value {
        self.send(request);
        self.answer()
    }

    /// Sends a request and waits for its answer; `None` if the child has ended, as one that others kill may at any
    /// moment.
    ///
    /// # Panics
    /// If a living child gives no answer within [`PATIENCE`].
    pub fn try_ask(&mut self, request: &Value) -> Option<Value> {
        if !self.try_send(request) {
            return None;
        }
        match self.answers.next_within(PATIENCE) {
            Line::End => None,
            Line::Late => panic!(
                "exec child {} gave no answer within {PATIENCE:?}; {}",
                self.pid(),
                self.words()
            ),
            // A child that is killed while it writes leaves half a line.
            Line::Text(line) => serde_json::from_str(&line).ok(),
        }
    }

    /// Sends a request to a child that may have ended, and does not wait for its answer. False: it has.
    pub fn try_send(&mut self, request: &Value) -> bool {
        let stdin = self
            .stdin
            .as_mut()
            .expect("the child's standard input was closed");
        writeln!(stdin, "{request}")
            .and_then(|()| stdin.flush())
            .is_ok()
    }

    /// The next answer of a child that may have ended, or `None` if none comes in time.
    pub fn try_answer_within(&mut self, limit: Duration) -> Option<Value> {
        match self.answers.next_within(limit) {
            // A child that is killed while it writes leaves half a line.
            Line::Text(line) => serde_json::from_str(&line).ok(),
            Line::Late | Line::End => None,
        }
    }

    /// Sends a request and waits for its answer, which must be `ok`.
    ///
    /// # Panics
    /// As [`ExecChild::answer`], and if it is not.
    pub fn ok(&mut self, request: &Value) -> Value {
        let answer = self.ask(request);
        assert_eq!(
            answer["ok"],
            true,
            "exec child {}: {request} was answered by {answer}",
            self.pid()
        );
        answer
    }

    /// Puts a text under a text.
    ///
    /// # Panics
    /// As [`ExecChild::ok`].
    pub fn put(&mut self, key: &str, value: &str) {
        self.ok(&json!({"op": "put", "key": key, "value": value}));
    }

    /// Removes a key.
    ///
    /// # Panics
    /// As [`ExecChild::ok`].
    pub fn delete(&mut self, key: &str) {
        self.ok(&json!({"op": "delete", "key": key}));
    }

    /// The text under a key.
    ///
    /// # Panics
    /// As [`ExecChild::ok`], and if the value is no text.
    pub fn get(&mut self, key: &str) -> Option<String> {
        let answer = self.ok(&json!({"op": "get", "key": key}));
        match &answer["value"] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => panic!("the value of {key:?} is no text: {other}"),
        }
    }

    /// All entries whose keys begin with `prefix`, keys and values being text.
    ///
    /// # Panics
    /// As [`ExecChild::ok`], and if a key or value is no text.
    pub fn scan(&mut self, prefix: &str) -> Vec<(String, String)> {
        let answer = self.ok(&json!({"op": "scan", "prefix": prefix}));
        serde_json::from_value(answer["entries"].clone())
            .unwrap_or_else(|e| panic!("entries that are no text: {e}"))
    }

    /// What `status` answers.
    ///
    /// # Panics
    /// As [`ExecChild::ok`].
    pub fn status(&mut self) -> Value {
        self.ok(&json!({"op": "status"}))
    }

    /// The process that leads, as this child sees it. If that one is dead, waits for its successor.
    ///
    /// # Panics
    /// As [`ExecChild::ok`]; if nobody succeeds it within [`PATIENCE`].
    pub fn leader_pid(&mut self) -> u32 {
        let start = Instant::now();
        loop {
            let status = self.status();
            let pid = status["leader_pid"]
                .as_u64()
                .and_then(|pid| u32::try_from(pid).ok());
            let pid = pid.unwrap_or_else(|| panic!("a status without leader_pid: {status}"));
            if !matches!(
                describe(pid).state,
                ProcessState::Gone | ProcessState::Zombie
            ) {
                return pid;
            }
            assert!(start.elapsed() < PATIENCE, "nobody succeeds {pid}");
            std::thread::yield_now();
        }
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    ///
    /// # Panics
    /// If it had already ended by itself: a test that kills means a living child.
    pub fn kill(mut self) {
        if let Ok(Some(status)) = self.child.try_wait() {
            panic!(
                "exec child {} had ended ({status}) before it was killed; {}",
                self.pid(),
                self.words()
            );
        }
        self.child
            .kill()
            .unwrap_or_else(|e| panic!("exec child {} cannot be killed: {e}", self.child.id()));
        self.child
            .wait()
            .unwrap_or_else(|e| panic!("exec child {} cannot be waited for: {e}", self.child.id()));
    }

    /// Stops it as `kill -STOP` does: it lives and does nothing. On return all of its threads stand: the signal alone
    /// leaves the others some microseconds in which they may still answer.
    ///
    /// # Panics
    /// If it has ended.
    #[cfg(unix)]
    pub fn pause(&mut self) {
        use rustix::process::{Pid, Signal, WaitOptions, waitpid};
        self.signal(Signal::STOP);
        let pid = Pid::from_child(&self.child);
        let waited = waitpid(Some(pid), WaitOptions::UNTRACED);
        match waited {
            Ok(Some((_, status))) if status.stopped() => {}
            other => panic!("exec child {} was to stop: {other:?}", self.child.id()),
        }
    }

    /// Lets it go on after [`ExecChild::pause`].
    #[cfg(unix)]
    pub fn resume(&mut self) {
        self.signal(rustix::process::Signal::CONT);
    }

    #[cfg(unix)]
    fn signal(&mut self, signal: rustix::process::Signal) {
        assert!(
            self.is_running(),
            "exec child {} has ended; {}",
            self.pid(),
            self.words()
        );
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal)
            .unwrap_or_else(|e| panic!("signal to {pid:?}: {e}"));
    }

    /// Ends its input, so that it leaves the directory, and waits for its end.
    ///
    /// # Panics
    /// If it does not end within [`PATIENCE`].
    pub fn close(mut self) -> ExitStatus {
        drop(self.stdin.take());
        let status = wait_within(&mut self.child, PATIENCE);
        status.unwrap_or_else(|| {
            panic!(
                "exec child {} did not end with its input; {}",
                self.pid(),
                self.words()
            )
        })
    }

    fn words(&self) -> String {
        format!("it said: {:?}", self.stderr())
    }
}

impl Drop for ExecChild {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The index of the child that leads; waits until all of them that answer agree on one of their own.
///
/// # Panics
/// If a child has ended, or they do not agree within [`PATIENCE`].
pub fn find_leader(party: &mut [ExecChild]) -> usize {
    assert!(!party.is_empty(), "a party of nobody has no leader");
    let start = Instant::now();
    loop {
        let named: Vec<u32> = party.iter_mut().map(ExecChild::leader_pid).collect();
        let leader = party.iter().position(|child| child.pid() == named[0]);
        if let Some(leader) = leader.filter(|_| named.iter().all(|pid| *pid == named[0])) {
            return leader;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "the children name {named:?} as leaders after {PATIENCE:?}"
        );
    }
}
