//! `import`: write entries from JSON lines.
//!
//! What it promises: entries are written in the order of the lines, in batches; when a line is wrong, all lines before
//! it have been written, none after it, and the message says so. To import the same lines again is harmless.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use level_party::WriteBatch;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::args::{Creating, Syncing, Target};
use crate::coding::{Coding, Encoding};
use crate::failure::{Failure, Result, say};
use crate::input::stdin_of;
use crate::json::{ByteBuf, OwnedEntry, complaint};
use crate::keyspace::{Keyspace, Within};
use crate::output::Report;
use crate::stop;
use crate::text::{count, counted};

/// Entries in a batch at most: enough to make the round trip cheap, few enough to let other writers in.
const BATCH_ENTRIES: usize = 1_000;
/// Bytes of keys and values after which a batch is written.
const BATCH_BYTES: usize = 1 << 20;
/// The longest line taken: the largest batch in its longest JSON form (`\u0000` for a byte) would be longer, but
/// base64 serves there. It bounds what one line without an end can cost.
const LINE_BYTES: u64 = 256 << 20;

/// Bytes at most that an entry takes in a batch besides key and value.
const BATCH_FORM: usize = 64;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Write entries from JSON lines.
///
/// A line is {"key":..,"value":..}, as `export` prints it. Keys and values are strings (UTF-8) or {"base64":".."}; blank lines are skipped. Entries are written in batches as they come: where a line is wrong, those before it stay, and to import the same lines again is harmless. Several imports may run at once.
#[derive(Args, Debug)]
pub struct Import {
    #[command(flatten)]
    target: Target,

    /// The file to read; `-` or nothing is standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    #[command(flatten)]
    creating: Creating,
    #[command(flatten)]
    syncing: Syncing,
    #[command(flatten)]
    coding: Coding,
    #[command(flatten)]
    within: Within,
    #[command(flatten)]
    report: Report,
}

impl Import {
    /// Writes the entries.
    pub fn run(self) -> Result<()> {
        let (input, bytes): (Box<dyn Read>, Option<u64>) = match self
            .file
            .filter(|file| file.as_os_str() != "-")
        {
            None => (Box::new(stdin_of("entries in JSON")), None),
            Some(path) => {
                let unreadable =
                    |error| Failure::Usage(format!("{} cannot be read: {error}", path.display()));
                let file = File::open(&path).map_err(unreadable)?;
                let facts = file.metadata().map_err(unreadable)?;
                if facts.is_dir() {
                    return Err(Failure::Usage(format!(
                        "{} is a directory; name a file of JSON lines, or `-` for standard input",
                        path.display()
                    )));
                }
                (Box::new(file), facts.is_file().then_some(facts.len()))
            }
        };
        let db = self.target.open_for_writing(self.creating)?;
        let mut importer = Importer::new(
            Sink {
                keyspace: self.within.of(&db)?,
            },
            self.coding,
        );
        importer.batch.sync(self.syncing.sync);
        let written = importer.written.clone();
        stop::first(move || {
            say(format_args!(
                "stopped: at least {} imported; to import the same lines again is harmless",
                counted(written.load(SeqCst), "entry was", "entries were")
            ));
        });
        let bar = progress(bytes);
        let outcome = importer.read(BufReader::with_capacity(128 << 10, input), &bar);
        bar.finish_and_clear();
        let imported = importer.written.load(SeqCst);
        if self.report.json {
            let complete = outcome.is_ok();
            self.report
                .tell_programs(&json!({"imported": imported, "complete": complete}))?;
        } else if outcome.is_ok() {
            say(format_args!(
                "imported {}",
                counted(imported, "entry", "entries")
            ));
        }
        outcome.map_err(|failure| failure.and(importer.standing()))
    }
}

/// A bar on a terminal's standard error: over `bytes`, or a counter of entries. Elsewhere nothing.
pub fn progress(bytes: Option<u64>) -> ProgressBar {
    let (bar, form) = match bytes {
        Some(total) => (
            ProgressBar::new(total),
            "{bar:30} {binary_bytes}/{binary_total_bytes} {msg} ({elapsed}, {eta} left)",
        ),
        None => (
            ProgressBar::new_spinner(),
            "{spinner} {human_pos} {msg} ({elapsed})",
        ),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template(form).expect("the template is a constant"));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Where batches go.
trait Batches {
    /// Bytes of what stands before each key in the database.
    fn prefix(&self) -> usize;

    fn write(&mut self, batch: &WriteBatch) -> Result<()>;
}

struct Sink {
    keyspace: Keyspace,
}

impl Batches for Sink {
    fn prefix(&self) -> usize {
        self.keyspace.prefix().len()
    }

    fn write(&mut self, batch: &WriteBatch) -> Result<()> {
        Ok(self.keyspace.write(batch)?)
    }
}

/// Reads lines, gathers batches, and knows at any time what has been written.
struct Importer<S> {
    sink: S,
    coding: Coding,
    batch: WriteBatch,
    /// Entries written for certain.
    written: Arc<AtomicU64>,
    /// Lines read, the present one included.
    line: u64,
    /// The line of the batch's first entry.
    batch_line: u64,
    /// Whether a batch has failed, so that its entries are in doubt.
    batch_failed: bool,
}

impl<S: Batches> Importer<S> {
    fn new(sink: S, coding: Coding) -> Self {
        Importer {
            sink,
            coding,
            batch: WriteBatch::new(),
            written: Arc::default(),
            line: 0,
            batch_line: 1,
            batch_failed: false,
        }
    }

    fn read(&mut self, mut input: impl BufRead, bar: &ProgressBar) -> Result<()> {
        let mut line = Vec::new();
        loop {
            line.clear();
            self.line += 1;
            let read = (&mut input)
                .take(LINE_BYTES)
                .read_until(b'\n', &mut line)
                .map_err(|error| {
                    Failure::Usage(format!("line {} cannot be read: {error}", self.line))
                });
            let entry = match read {
                Ok(0) => return self.flush(),
                Ok(n) if n as u64 == LINE_BYTES && line.last() != Some(&b'\n') => {
                    Err(Failure::Usage(format!(
                        "line {} is over {} bytes",
                        self.line,
                        count(LINE_BYTES)
                    )))
                }
                Ok(_) if line.trim_ascii().is_empty() => continue,
                Ok(_) => parse(self.json(&line), self.coding)
                    .and_then(|entry| self.fits(&entry).map(|()| entry))
                    .map_err(|why| Failure::Usage(format!("line {}: {why}", self.line))),
                Err(failure) => Err(failure),
            };
            match entry {
                Ok(entry) => self.add(&entry)?,
                Err(failure) => {
                    self.flush()?;
                    return Err(failure);
                }
            }
            self.advance(bar, line.len());
        }
    }

    /// A line without the mark that some editors put at the beginning of a file.
    fn json<'l>(&self, line: &'l [u8]) -> &'l [u8] {
        match line.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) if self.line == 1 => rest,
            _ => line,
        }
    }

    /// Whether the database can hold an entry.
    fn fits(&self, entry: &OwnedEntry) -> std::result::Result<(), String> {
        let key = entry.key.0.len() + self.sink.prefix();
        let bytes = key + entry.value.0.len() + BATCH_FORM;
        if key > WriteBatch::MAX_KEY_BYTES {
            return Err(format!(
                "the key is over {} bytes",
                count(WriteBatch::MAX_KEY_BYTES as u64)
            ));
        }
        if bytes > WriteBatch::MAX_BYTES {
            return Err(format!(
                "the entry is over {} bytes",
                count(WriteBatch::MAX_BYTES as u64)
            ));
        }
        Ok(())
    }

    fn advance(&self, bar: &ProgressBar, bytes: usize) {
        if bar.length().is_some() {
            bar.inc(bytes as u64);
        } else {
            bar.inc(1);
        }
    }

    fn add(&mut self, entry: &OwnedEntry) -> Result<()> {
        let bytes = entry.key.0.len() + entry.value.0.len();
        if bytes > BATCH_BYTES {
            self.flush()?; // It is a batch by itself, whose limit was asked for it alone.
        }
        if self.batch.is_empty() {
            self.batch_line = self.line;
        }
        self.batch.put(&entry.key.0, &entry.value.0);
        if self.batch.len() >= BATCH_ENTRIES || self.batch.byte_size() >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        if let Err(failure) = self.sink.write(&self.batch) {
            self.batch_failed = true;
            return Err(failure);
        }
        self.written.fetch_add(self.batch.len() as u64, SeqCst);
        self.batch.clear();
        Ok(())
    }

    /// What stands in the database after a failure.
    fn standing(&self) -> String {
        let entries = counted(self.written.load(SeqCst), "entry was", "entries were");
        if self.batch_failed {
            let first = self.batch_line;
            return format!(
                "{entries} imported before line {first}; of the {} from that line on, all or none may have been. \
                 To import the same lines again is harmless.",
                count(self.batch.len() as u64)
            );
        }
        format!(
            "{entries} imported before this line and nothing after it. Correct the line and import again: \
             to import the same lines twice is harmless."
        )
    }
}

/// The entry on a line, or what is wrong with it.
fn parse(line: &[u8], coding: Coding) -> std::result::Result<OwnedEntry, String> {
    let Ok(text) = std::str::from_utf8(line) else {
        return Err(r#"it is not UTF-8; write such a key or value as {"base64":".."}"#.to_string());
    };
    let text = text.trim_ascii_end();
    let wrong = |error| {
        let what = complaint(&error);
        let other = match what.contains("base64") {
            true => "; --value-encoding json takes any JSON as the value",
            false => "",
        };
        format!(r#"{what}; a line is {{"key":..,"value":..}}{other}"#)
    };
    if coding == Coding::default() {
        return serde_json::from_str(text).map_err(wrong);
    }
    let coded: CodedEntry<'_> = serde_json::from_str(text).map_err(wrong)?;
    let field = |name, encoding: Encoding, field| {
        let bytes = encoding.read_json(field).map(ByteBuf);
        bytes.map_err(|why| format!("the {name}: {why}"))
    };
    Ok(OwnedEntry {
        key: field("key", coding.key, coded.key)?,
        value: field("value", coding.value, coded.value)?,
    })
}

/// An entry in other encodings than those that need no choice.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodedEntry<'a> {
    #[serde(borrow)]
    key: &'a RawValue,
    #[serde(borrow)]
    value: &'a RawValue,
}

#[cfg(test)]
mod tests;
