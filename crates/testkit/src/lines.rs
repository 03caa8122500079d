//! The lines of a child's output, with a limit on how long to wait for one.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// Lines that [`Lines::of`] reads ahead at most, so that a child that writes without end is held back as by any slow
/// reader.
const READ_AHEAD: usize = 64;

/// Reads lines on a thread of its own, so that a wait for one can end.
#[derive(Debug)]
pub struct Lines {
    receiver: Receiver<String>,
}

/// What a wait for a line came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A line, without its newline.
    Text(String),
    /// The output has ended.
    End,
    /// Nothing came in time; it may still come.
    Late,
}

impl Lines {
    /// Starts to read `output`. Bytes that are no UTF-8 are replaced.
    pub fn of(output: impl Read + Send + 'static) -> Self {
        Self::reading_ahead(output, READ_AHEAD)
    }

    /// As [`Lines::of`], with room for `most` lines that nobody has asked for yet.
    pub fn reading_ahead(output: impl Read + Send + 'static, most: usize) -> Self {
        let (sender, receiver) = sync_channel(most);
        std::thread::spawn(move || {
            let mut reader = BufReader::new(output);
            let mut line = Vec::new();
            loop {
                line.clear();
                match reader.read_until(b'\n', &mut line) {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
                let text =
                    String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line)).into_owned();
                if sender.send(text).is_err() {
                    return;
                }
            }
        });
        Lines { receiver }
    }

    /// The next line, waited for as long as `limit`.
    pub fn next_within(&self, limit: Duration) -> Line {
        match self.receiver.recv_timeout(limit) {
            Ok(text) => Line::Text(text),
            Err(RecvTimeoutError::Disconnected) => Line::End,
            Err(RecvTimeoutError::Timeout) => Line::Late,
        }
    }

    /// All lines to the end of the output.
    pub fn rest(self) -> Vec<String> {
        self.receiver.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_one_by_one_and_then_the_end() {
        let lines = Lines::of(&b"one\ntwo\n\nlast"[..]);
        let next = || lines.next_within(crate::PATIENCE);
        assert_eq!(next(), Line::Text("one".into()));
        assert_eq!(next(), Line::Text("two".into()));
        assert_eq!(next(), Line::Text(String::new()));
        assert_eq!(next(), Line::Text("last".into()));
        assert_eq!(next(), Line::End);
    }

    #[test]
    fn a_silent_output_is_late_and_not_a_hang() {
        let (_open, silent) = std::io::pipe()
            .map(|(read, write)| (write, read))
            .expect("a pipe");
        assert_eq!(
            Lines::of(silent).next_within(Duration::from_millis(1)),
            Line::Late
        );
    }
}
