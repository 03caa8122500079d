//! The keys and values that the demo writes, and what they prove.
//!
//! All keys begin with `demo/RUN/`, so that a directory can be used again. Below that:
//!
//! | key | value |
//! |---|---|
//! | `base/NNNNNN` | filling: what the stream walks over |
//! | `writer-W/last` | the number of the writer's newest batch |
//! | `writer-W/n/NNNNNNNN` | `open TOKEN`, or `done TOKEN` once the next batch closed it |
//!
//! Batch `n` of a writer is three operations: put entry `n` open, put entry `n-1` done, put `last` = n. So in any one
//! moment: entries 0..=last are all there (else a write is lost); all but the newest are done (an open one before it is a
//! batch that was applied again, late); and the sequence number is three times the batches further than at the start
//! (more is a batch that was applied twice in a row).

use std::io::{self, BufWriter, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// Operations in each batch of a writer.
pub const OPS_PER_BATCH: u64 = 3;

/// Names and values of one run.
pub struct Layout {
    prefix: String,
    run: String,
    pub writers: usize,
    pub base_entries: u64,
}

/// What a key stands for.
#[derive(Debug, PartialEq, Eq)]
pub enum KeyKind {
    Base(u64),
    Last(usize),
    Entry(usize, u64),
}

impl Layout {
    /// A run of its own.
    pub fn new(writers: usize, base_entries: u64) -> Self {
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis();
        Self::named(
            format!("{time}-{}", std::process::id()),
            writers,
            base_entries,
        )
    }

    /// A run with a given name.
    pub fn named(run: String, writers: usize, base_entries: u64) -> Self {
        Layout {
            prefix: format!("demo/{run}/"),
            run,
            writers,
            base_entries,
        }
    }

    /// What all keys begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    pub fn base_key(&self, index: u64) -> String {
        format!("{}base/{index:06}", self.prefix)
    }

    pub fn last_key(&self, writer: usize) -> String {
        format!("{}writer-{writer}/last", self.prefix)
    }

    pub fn entry_key(&self, writer: usize, n: u64) -> String {
        format!("{}writer-{writer}/n/{n:08}", self.prefix)
    }

    pub fn open(&self, writer: usize, n: u64) -> String {
        format!("open {}-{writer}-{n}", self.run)
    }

    pub fn done(&self, writer: usize, n: u64) -> String {
        format!("done {}-{writer}-{n}", self.run)
    }

    pub fn base_value(&self, index: u64) -> String {
        format!("{:.<64}", format!("filling {index} of {} ", self.run))
    }

    /// The request that writes batch `n`, which is 1 or more.
    pub fn batch(&self, writer: usize, n: u64) -> Value {
        let put = |key: String, value: String| json!({"type": "put", "key": key, "value": value});
        json!({"op": "batch", "ops": [
            put(self.entry_key(writer, n), self.open(writer, n)),
            put(self.entry_key(writer, n - 1), self.done(writer, n - 1)),
            put(self.last_key(writer), n.to_string()),
        ]})
    }

    /// Writes what is there from the start as the lines that `import` reads.
    pub fn import_lines(&self, to: impl Write) -> io::Result<()> {
        let mut to = BufWriter::new(to);
        let mut line =
            |key: String, value: String| writeln!(to, "{}", json!({"key": key, "value": value}));
        for index in 0..self.base_entries {
            line(self.base_key(index), self.base_value(index))?;
        }
        for writer in 0..self.writers {
            line(self.last_key(writer), "0".into())?;
            line(self.entry_key(writer, 0), self.open(writer, 0))?;
        }
        to.flush()
    }

    /// What `key` stands for, if it is one of this run.
    pub fn kind(&self, key: &str) -> Option<KeyKind> {
        let key = key.strip_prefix(&self.prefix)?;
        if let Some(index) = key.strip_prefix("base/") {
            return Some(KeyKind::Base(index.parse().ok()?));
        }
        let (writer, rest) = key.strip_prefix("writer-")?.split_once('/')?;
        let writer = writer
            .parse()
            .ok()
            .filter(|writer| *writer < self.writers)?;
        match rest {
            "last" => Some(KeyKind::Last(writer)),
            _ => Some(KeyKind::Entry(
                writer,
                rest.strip_prefix("n/")?.parse().ok()?,
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back_as_what_they_stand_for() {
        let layout = Layout::named("r".into(), 2, 5);
        assert_eq!(layout.kind(&layout.base_key(3)), Some(KeyKind::Base(3)));
        assert_eq!(layout.kind(&layout.last_key(1)), Some(KeyKind::Last(1)));
        assert_eq!(
            layout.kind(&layout.entry_key(1, 77)),
            Some(KeyKind::Entry(1, 77))
        );
        assert_eq!(layout.kind("demo/other/base/000003"), None);
        assert_eq!(layout.kind(&layout.last_key(2)), None);
    }

    #[test]
    fn the_start_has_every_writer_at_zero() {
        let layout = Layout::named("r".into(), 2, 3);
        let mut lines = Vec::new();
        layout
            .import_lines(&mut lines)
            .expect("a vector takes everything");
        let text = String::from_utf8(lines).expect("JSON is UTF-8");
        assert_eq!(text.lines().count(), 3 + 2 * 2);
        assert!(
            text.contains(r#"{"key":"demo/r/writer-1/n/00000000","value":"open r-1-0"}"#),
            "{text}"
        );
    }
}
