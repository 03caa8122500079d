//! The only way to standard output.
//!
//! What it promises: bytes reach the reader of a pipe while a long scan goes on (at the latest [`FLUSH_BYTES`] or
//! [`FLUSH_AFTER`] behind), a reader that has gone ends the program quietly, and a terminal never gets control
//! bytes out of stored data.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use crate::coding::{Coding, Encoding};
use crate::failure::{Failure, Result, say};
use crate::json::EntryLine;
use crate::text::printable;

/// Bytes written at most before they are passed on: as much as a pipe takes at once, in a few calls.
const FLUSH_BYTES: usize = 16 << 10;
/// The time after which the next entry passes on what waits, so that a slow scan is seen as it goes.
const FLUSH_AFTER: Duration = Duration::from_millis(10);

/// How a command that prints no entries says what it has done.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Report {
    /// Print one line of JSON
    #[arg(long)]
    pub json: bool,
}

impl Report {
    /// Says it in words on standard error, or as a line of JSON on standard output.
    pub fn tell(self, what: &impl Serialize, words: impl Display) -> Result<()> {
        if self.json {
            return self.tell_programs(what);
        }
        say(words);
        Ok(())
    }

    /// Says it as a line of JSON where that is asked for, and else nothing.
    pub fn tell_programs(self, what: &impl Serialize) -> Result<()> {
        if !self.json {
            return Ok(());
        }
        let mut output = Output::stdout();
        output.json(what)?;
        output.flush()
    }
}

/// Which part of an entry is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Key, tab, value.
    Both,
    /// The key.
    Key,
    /// The value.
    Value,
}

/// A buffered writer of standard output.
pub struct Output<W: Write = StdoutLock<'static>> {
    writer: BufWriter<W>,
    terminal: bool,
    coding: Coding,
    waiting: usize,
    flushed: Option<Instant>,
}

impl Output {
    /// Takes standard output.
    pub fn stdout() -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        Output::new(stdout.lock(), terminal)
    }
}

impl<W: Write> Output<W> {
    /// Writes to `writer` as to a terminal or as to a pipe.
    pub fn new(writer: W, terminal: bool) -> Self {
        Output {
            writer: BufWriter::with_capacity(FLUSH_BYTES, writer),
            terminal,
            coding: Coding::default(),
            waiting: 0,
            flushed: None,
        }
    }

    /// Writes keys and values in these encodings from here on.
    pub fn coded(mut self, coding: Coding) -> Self {
        self.coding = coding;
        self
    }

    /// One value on a line of its own, or bare.
    pub fn value(&mut self, value: &[u8], newline: bool) -> Result<()> {
        self.coded_bytes(self.coding.value, value, &['\n', '\t'])?;
        if newline {
            self.bytes(b"\n")?;
        }
        Ok(())
    }

    /// One entry, or a part of it, as a plain line.
    pub fn entry(&mut self, part: Part, key: &[u8], value: &[u8]) -> Result<()> {
        if part != Part::Value {
            self.coded_bytes(self.coding.key, key, &[])?;
        }
        if part == Part::Both {
            self.bytes(b"\t")?;
        }
        if part != Part::Key {
            self.coded_bytes(self.coding.value, value, &[])?;
        }
        self.end_of_line()
    }

    /// One entry, or a part of it, as a line of JSON.
    pub fn json_entry(&mut self, part: Part, key: &[u8], value: &[u8]) -> Result<()> {
        let Coding { key: k, value: v } = self.coding;
        match part {
            Part::Both => self.json(&EntryLine {
                key: k.json(key)?,
                value: v.json(value)?,
            }),
            Part::Key => self.json(&k.json(key)?),
            Part::Value => self.json(&v.json(value)?),
        }
    }

    /// Anything as a line of JSON.
    pub fn json(&mut self, what: &impl Serialize) -> Result<()> {
        let line = serde_json::to_vec(what).map_err(|e| Failure::output(e.into()))?;
        self.bytes(&line)?;
        self.end_of_line()
    }

    /// A line of text.
    pub fn line(&mut self, text: impl std::fmt::Display) -> Result<()> {
        self.bytes(text.to_string().as_bytes())?;
        self.end_of_line()
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.waiting += bytes.len();
        self.writer.write_all(bytes).map_err(Failure::output)
    }

    /// Passes on all that waits.
    pub fn flush(&mut self) -> Result<()> {
        self.waiting = 0;
        self.writer.flush().map_err(Failure::output)
    }

    fn coded_bytes(&mut self, encoding: Encoding, bytes: &[u8], keep: &[char]) -> Result<()> {
        let text = encoding.encode(bytes)?;
        match self.terminal {
            true => self.bytes(printable(&text, keep).as_bytes()),
            false => self.bytes(&text),
        }
    }

    fn end_of_line(&mut self) -> Result<()> {
        self.bytes(b"\n")?;
        let now = Instant::now();
        let due = self
            .flushed
            .is_none_or(|last| now.duration_since(last) >= FLUSH_AFTER);
        if due || self.waiting >= FLUSH_BYTES {
            self.flushed = Some(now);
            self.flush()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(terminal: bool, what: impl FnOnce(&mut Output<&mut Vec<u8>>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut output = Output::new(&mut bytes, terminal);
        what(&mut output);
        output.flush().expect("a vector takes everything");
        drop(output);
        bytes
    }

    #[test]
    fn pipe_gets_raw_bytes_and_terminal_no_cursor_moves() {
        let entry = |terminal| {
            printed(terminal, |o| {
                o.entry(Part::Both, b"k\x1b", &[0xff]).expect("written");
            })
        };
        assert_eq!(entry(false), b"k\x1b\t\xff\n");
        assert_eq!(entry(true), b"k\\x1b\t\\xff\n");
    }

    #[test]
    fn json_lines_carry_the_asked_part() {
        let line = |part| {
            printed(false, |o| {
                o.json_entry(part, b"k", &[0xff]).expect("written");
            })
        };
        assert_eq!(
            line(Part::Both),
            b"{\"key\":\"k\",\"value\":{\"base64\":\"/w==\"}}\n"
        );
        assert_eq!(line(Part::Key), b"\"k\"\n");
        assert_eq!(line(Part::Value), b"{\"base64\":\"/w==\"}\n");
    }

    #[test]
    fn the_first_entry_is_passed_on_at_once() {
        struct Seen(std::rc::Rc<std::cell::Cell<usize>>);
        impl Write for Seen {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.set(self.0.get() + bytes.len());
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let seen = std::rc::Rc::new(std::cell::Cell::new(0));
        let mut output = Output::new(Seen(seen.clone()), false);
        output.entry(Part::Key, b"first", b"").expect("written");
        assert_eq!(seen.get(), 6);
    }
}
