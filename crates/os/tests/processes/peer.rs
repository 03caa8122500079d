//! Another process, as a test sees it: it says lines, hears lines, and can be killed.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A child process that plays a role. Killed when dropped.
pub struct Peer {
    child: Child,
    says: BufReader<ChildStdout>,
    hears: Option<ChildStdin>,
}

impl Peer {
    pub fn start<A: AsRef<OsStr>>(role: &str, args: impl IntoIterator<Item = A>) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("our own path"))
            .arg(format!("role:{role}"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the other process starts");
        let says = BufReader::new(child.stdout.take().expect("piped"));
        let hears = child.stdin.take();
        Self { child, says, hears }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its next line. Fails the test if it ends without one.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self
            .says
            .read_line(&mut line)
            .expect("its output can be read");
        assert_ne!(read, 0, "the other process ended without a word");
        line.trim_end().to_owned()
    }

    pub fn tell(&mut self, line: &str) {
        let hears = self.hears.as_mut().expect("not released yet");
        writeln!(hears, "{line}").expect("the other process listens");
    }

    #[cfg(unix)]
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid() as i32).expect("a child's pid");
        rustix::process::kill_process(pid, signal).expect("the child is there");
    }

    /// SIGKILL or `TerminateProcess`, and its end is waited for.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    #[cfg(unix)]
    /// Lets a process go that waits for our word, and its children: they hear the end.
    pub fn release(&mut self) {
        self.hears = None;
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the other process says.
pub fn say(line: &str) {
    let mut out = std::io::stdout();
    out.write_all(format!("{line}\n").as_bytes())
        .expect("the test listens");
    out.flush().expect("the test listens");
}

/// Waits in the other process for a line, or for the test to let it go.
pub fn hear() -> String {
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .expect("the test speaks");
    line.trim_end().to_owned()
}
