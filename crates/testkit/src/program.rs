//! A program run to its end.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::PATIENCE;

/// What Wine 8 says, now and then, of a process that it could not begin (`ERROR_INTERNAL_ERROR`).
const NOT_BEGUN: i32 = 1359;
/// How often it is begun anew then.
const BEGINNINGS: usize = 5;

/// Starts a process. One that Wine could not begin has run nothing, and is begun anew.
pub(crate) fn start(command: &mut Command) -> io::Result<Child> {
    for _ in 1..BEGINNINGS {
        match command.spawn() {
            Err(error) if cfg!(windows) && error.raw_os_error() == Some(NOT_BEGUN) => {}
            started => return started,
        }
    }
    command.spawn()
}

/// The example program `name` of the package under test, which `cargo test` builds beside its tests.
///
/// # Panics
/// If it is not there: a test run for one target alone does not build it.
pub fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let profile = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
    let path = profile
        .join("examples")
        .join(name)
        .with_extension(std::env::consts::EXE_EXTENSION);
    assert!(
        path.exists(),
        "{} is missing: build it first (cargo build --examples)",
        path.display()
    );
    path
}

/// Makes an executable script. Another process writes it: a descriptor of this one that may write it could be inherited by
/// a child that another thread is about to start, and until that has come to its own program nobody may run the script
/// (`ETXTBSY`).
///
/// # Panics
/// If it cannot be made.
#[cfg(unix)]
pub fn script(path: &Path, text: &str) {
    let words = r#"printf %s "$1" >"$2" && chmod 755 "$2""#;
    let mut sh = Command::new("sh");
    sh.args(["-c", words, "sh", text]).arg(path);
    let made = sh
        .status()
        .unwrap_or_else(|error| missing(Path::new("sh"), &error));
    assert!(made.success(), "{} cannot be made: {made}", path.display());
}

/// What a program that has ended left behind.
#[derive(Debug, Clone)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error, for people.
    pub stderr: String,
}

impl Finished {
    /// The exit code.
    ///
    /// # Panics
    /// If a signal ended it.
    pub fn code(&self) -> i32 {
        match self.status.code() {
            Some(code) => code,
            None => panic!(
                "the program was ended by a signal: {}; it said: {}",
                self.status, self.stderr
            ),
        }
    }

    /// Standard output as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("standard output was to be UTF-8")
    }

    /// Itself, if the exit code is 0.
    ///
    /// # Panics
    /// With what the program said, if not.
    pub fn success(self) -> Self {
        assert!(
            self.status.success(),
            "the program failed, {}; it said: {}",
            self.status,
            self.stderr
        );
        self
    }
}

/// Runs a program to its end, with nothing on standard input.
///
/// # Panics
/// If it cannot be started, or does not end within [`PATIENCE`].
pub fn run<A: AsRef<OsStr>>(
    program: impl AsRef<Path>,
    args: impl IntoIterator<Item = A>,
) -> Finished {
    run_with_input(program, args, Vec::new())
}

/// Runs a program to its end, with `input` on standard input.
///
/// # Panics
/// If it cannot be started, or does not end within [`PATIENCE`].
pub fn run_with_input<A: AsRef<OsStr>>(
    program: impl AsRef<Path>,
    args: impl IntoIterator<Item = A>,
    input: impl Into<Vec<u8>>,
) -> Finished {
    run_command(Command::new(program.as_ref()).args(args), input)
}

/// Runs a program to its end, with `input` on standard input.
///
/// # Panics
/// If it cannot be started, or does not end within [`PATIENCE`].
pub(crate) fn run_command(command: &mut Command, input: impl Into<Vec<u8>>) -> Finished {
    let program = PathBuf::from(command.get_program());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = start(command).unwrap_or_else(|error| missing(&program, &error));
    let mut stdin = child.stdin.take().expect("standard input is piped");
    let input = input.into();
    // A program may end without reading all of its input; that is for the test to judge by its output.
    std::thread::spawn(move || stdin.write_all(&input));
    let stdout = gather(child.stdout.take().expect("standard output is piped"));
    let stderr = gather(child.stderr.take().expect("standard error is piped"));
    let late = |child: &mut Child| -> ! {
        let _ = child.kill();
        panic!("{} was still running after {PATIENCE:?}", program.display());
    };
    let Ok(stdout) = stdout.recv_timeout(PATIENCE) else {
        late(&mut child)
    };
    let Ok(stderr) = stderr.recv_timeout(PATIENCE) else {
        late(&mut child)
    };
    let Some(status) = wait_within(&mut child, PATIENCE) else {
        late(&mut child)
    };
    Finished {
        status,
        stdout,
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

/// Fails the test because a program cannot be started.
pub(crate) fn missing(program: &Path, error: &std::io::Error) -> ! {
    panic!(
        "the program {} could not be started: {error}; build it first (cargo build)",
        program.display()
    )
}

fn gather(mut output: impl Read + Send + 'static) -> std::sync::mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = output.read_to_end(&mut bytes);
        let _ = sender.send(bytes);
    });
    receiver
}

/// Waits for a child that is about to end (its output has ended, or it was killed).
pub(crate) fn wait_within(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if start.elapsed() < limit => std::thread::sleep(Duration::from_millis(1)),
            _ => return None,
        }
    }
}
