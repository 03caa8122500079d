//! How a command fails: a sentence for people, and an exit code for scripts.

use std::io::Write;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use level_party::ErrorKind;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// The result of everything in this program that can fail.
pub type Result<T> = std::result::Result<T, Failure>;

/// Why the program ends without having done what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// A key was not there, or what was compared differs; the command has already said what.
    Difference,
    /// The caller's arguments or input are wrong.
    Usage(String),
    /// The database or the system failed.
    Database(String),
    /// A signal ended the command; who sent it knows.
    Interrupted,
    /// The reader of standard output has gone: nobody is left to tell.
    BrokenPipe,
}

impl Failure {
    /// The exit code, which is part of the program's interface.
    pub fn code(&self) -> u8 {
        match self {
            Failure::BrokenPipe => 0,
            Failure::Difference => 1,
            Failure::Usage(_) => 2,
            Failure::Database(_) => 3,
            Failure::Interrupted => 130,
        }
    }

    /// Says the failure on standard error and gives the exit code.
    pub fn report(&self) -> ExitCode {
        if let Failure::Usage(message) | Failure::Database(message) = self {
            let message = message.replace("\nhint:", &format!("\n{HINT}hint:{HINT:#}"));
            say(format_args!("{ERROR}error:{ERROR:#} {message}"));
        }
        ExitCode::from(self.code())
    }

    /// Puts `what` in front of the message.
    pub fn context(self, what: impl std::fmt::Display) -> Self {
        match self {
            Failure::Usage(message) => Failure::Usage(format!("{what}: {message}")),
            Failure::Database(message) => Failure::Database(format!("{what}: {message}")),
            quiet => quiet,
        }
    }

    /// Adds a sentence behind the message.
    pub fn and(self, sentence: impl std::fmt::Display) -> Self {
        match self {
            Failure::Usage(message) => Failure::Usage(format!("{message}\n{sentence}")),
            Failure::Database(message) => Failure::Database(format!("{message}\n{sentence}")),
            quiet => quiet,
        }
    }

    /// A failure to write to standard output.
    pub fn output(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
            _ => Failure::Database(format!("standard output could not be written: {error}")),
        }
    }
}

impl From<level_party::Error> for Failure {
    fn from(error: level_party::Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidArgument => Failure::Usage(in_words(&error)),
            _ => Failure::Database(in_words(&error)),
        }
    }
}

/// The failure to open a database, which may be made where it is missing.
pub fn not_opened(error: level_party::Error) -> Failure {
    Failure::Database(in_words(&error))
}

/// The failure to open a database that must be there.
pub fn not_there(error: level_party::Error) -> Failure {
    let absent = error.kind() == ErrorKind::NotFound;
    let failure = not_opened(error);
    match absent {
        true => failure.and("hint: check the path; `put`, `import` and `exec` create a database"),
        false => failure,
    }
}

fn in_words(error: &level_party::Error) -> String {
    match hint(error) {
        Some(hint) => format!("{error}\n{hint}"),
        None => error.to_string(),
    }
}

/// What can be done about an error with this program's own means, where the error itself cannot know them.
fn hint(error: &level_party::Error) -> Option<&'static str> {
    if is_read_only(error) {
        return Some(
            "hint: a database is opened where it can be written to, also for reading: copy it to such a place",
        );
    }
    match error.kind() {
        ErrorKind::Unsupported if error.message().contains("Minecraft Bedrock") => Some(
            "hint: `--compression zlib-raw` writes what the game reads; commands that only read need no flag",
        ),
        ErrorKind::OutOfSpace => {
            Some("hint: free some space there and try again; what was acknowledged is not lost")
        }
        ErrorKind::OutcomeUnknown if is_out_of_space(error) => Some(
            "hint: free some space there, look whether it is there, and try again; what was acknowledged is not lost",
        ),
        ErrorKind::Busy if error.message().contains("a copy is being made") => {
            Some("hint: `copy` with the same directories goes on with it; `destroy` removes it")
        }
        ErrorKind::Timeout => Some("hint: `--timeout` and `--open-timeout` set how long to wait"),
        ErrorKind::NoLeader => Some(
            "hint: `--lead never` waits until a process has it open; `--lead auto` opens it here",
        ),
        ErrorKind::ConnectionLost => {
            Some("hint: with `--retry true` calls go on with the next leader")
        }
        ErrorKind::Corruption => Some(
            "hint: `repair` shows the damage and what it would do; it changes nothing without --yes",
        ),
        _ => None,
    }
}

/// Whether the file system takes no writes. The system's words are looked at: its error itself is not kept over an
/// attempt to lead.
fn is_read_only(error: &level_party::Error) -> bool {
    error.kind() == ErrorKind::PermissionDenied && error.message().contains("Read-only file system")
}

/// Whether a write ended in doubt because the disk is full. The system's words are looked at: the error's kind is the
/// doubt.
fn is_out_of_space(error: &level_party::Error) -> bool {
    let words = ["No space left on device", "not enough space on the disk"];
    words.iter().any(|words| error.message().contains(words))
}

/// Prints a warning: somebody should act on it.
pub fn warn(what: impl std::fmt::Display) {
    say(format_args!("{WARNING}warning:{WARNING:#} {what}"));
}

/// Prints a note: it needs no action.
pub fn note(what: impl std::fmt::Display) {
    say(format_args!("note: {what}"));
}

/// Prints a hint: what the user can do.
pub fn say_hint(what: impl std::fmt::Display) {
    say(format_args!("{HINT}hint:{HINT:#} {what}"));
}

/// Writes a line to standard error, with its colours on a terminal alone, if anybody still reads it.
pub fn say(line: impl std::fmt::Display) {
    let _ = writeln!(anstream::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_documented_ones() {
        assert_eq!(Failure::BrokenPipe.code(), 0);
        assert_eq!(Failure::Difference.code(), 1);
        assert_eq!(Failure::Usage(String::new()).code(), 2);
        assert_eq!(Failure::Database(String::new()).code(), 3);
        assert_eq!(Failure::Interrupted.code(), 130);
    }

    #[test]
    fn a_closed_pipe_is_told_from_a_full_disk() {
        let broken = Failure::output(std::io::ErrorKind::BrokenPipe.into());
        assert!(matches!(broken, Failure::BrokenPipe));
        let full = Failure::output(std::io::ErrorKind::StorageFull.into());
        assert_eq!(full.code(), 3);
    }
}
