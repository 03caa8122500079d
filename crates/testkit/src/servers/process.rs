//! One server process: its words, its signals, its end.

use std::collections::VecDeque;
use std::fmt::Write;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::PATIENCE;
use crate::program::{run_command, wait_within};

/// Lines of a server that are kept for the words of a failure.
const KEPT: usize = 60;

/// A server's output. A thread reads all of it, so that the server never waits for a reader.
#[derive(Debug, Default)]
struct Log {
    state: Mutex<Said>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Said {
    last: VecDeque<String>,
    /// How many lines there were.
    count: usize,
    ended: bool,
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Said> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, output: impl Read) {
        let mut lines = BufReader::new(output);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = lines.read_until(b'\n', &mut line);
            let mut said = self.lock();
            if matches!(read, Ok(0) | Err(_)) {
                said.ended = true;
                self.news.notify_all();
                return;
            }
            said.count += 1;
            said.last
                .push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
            if said.last.len() > KEPT {
                said.last.pop_front();
            }
            self.news.notify_all();
        }
    }
}

/// A server that runs, or has ended. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Process {
    name: String,
    child: Child,
    log: Arc<Log>,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `program` for as long as this process lives, as the user `user` where that is given.
    pub fn start(name: &str, user: Option<&str>, program: &str, args: &[String]) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some(user) = user {
            command.args(["--reuid", user, "--regid", user, "--clear-groups"]);
        }
        // One pipe for both, so that its end is the end of all that the server started.
        let (output, input) = std::io::pipe().expect("a pipe");
        command
            .arg(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(input.try_clone().expect("a second end"))
            .stderr(input);
        let child = spawn(command)
            .unwrap_or_else(|error| panic!("setpriv could not start {name}: {error}"));
        let log = Arc::new(Log::default());
        let reader = Arc::clone(&log);
        std::thread::spawn(move || reader.read(output));
        Process {
            name: name.to_owned(),
            child,
            log,
            ended: None,
        }
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has said a line with `words`. `Err`: it ended before, with its last lines.
    pub fn wait_for_line(&self, words: &str) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        let (mut seen, mut said) = (0, self.log.lock());
        loop {
            let new = (said.count - seen).min(said.last.len());
            if said.last.iter().rev().take(new).any(|l| l.contains(words)) {
                return Ok(());
            }
            seen = said.count;
            let left = until.saturating_duration_since(Instant::now());
            if said.ended || left.is_zero() {
                return Err(words_of(&self.name, &said));
            }
            let waited = self.log.news.wait_timeout(said, left);
            said = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Its last lines, for a failure.
    pub fn words(&self) -> String {
        words_of(&self.name, &self.log.lock())
    }

    /// Sends it a signal, if it has not ended.
    pub fn signal(&self, signal: Signal) {
        if self.ended.is_none() {
            send(self.pid(), signal);
        }
    }

    /// Ends it by `signal`, and waits until it and all that it started have ended.
    ///
    /// # Panics
    /// If they do not end.
    pub fn end(&mut self, signal: Signal) {
        if self.ended.is_some() {
            return;
        }
        self.signal(signal);
        self.signal(Signal::CONT);
        let status = wait_within(&mut self.child, PATIENCE);
        self.ended = Some(status.unwrap_or_else(|| panic!("{} lives on", self.words())));
        let until = Instant::now() + PATIENCE;
        let mut said = self.log.lock();
        while !said.ended {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "a child of {} lives on", self.name);
            let waited = self.log.news.wait_timeout(said, left);
            said = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended.is_none() {
            // What can fail here is that it has ended already.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn words_of(name: &str, said: &Said) -> String {
    let mut words = format!("{name} said:");
    for line in &said.last {
        write!(words, "\n  {line}").expect("a string");
    }
    words
}

/// Starts a process by one thread that never ends: `PR_SET_PDEATHSIG` is about the thread that started it. The command is dropped
/// then, with this process's ends of its pipes.
fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, Sender<io::Result<Child>>);
    static THREAD: LazyLock<Sender<Order>> = LazyLock::new(|| {
        let (order, orders) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in orders {
                let started = command.spawn();
                drop(command);
                // Whoever ordered it waits.
                let _ = reply.send(started);
            }
        });
        order
    });
    let (reply, started) = channel();
    THREAD
        .send((command, reply))
        .expect("the thread never ends");
    started.recv().expect("the thread answers")
}

/// Sends a signal to a process that may have ended.
pub(super) fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid as i32).expect("a pid");
    match kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => panic!("no signal reaches {pid:?}: {error}"),
    }
}

/// Runs a program of a server's package to its end; its standard output.
///
/// # Panics
/// If it fails, or does not end.
pub(super) fn run(command: &mut Command) -> String {
    run_command(command, Vec::new()).success().text().to_owned()
}
