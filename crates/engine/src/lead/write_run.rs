//! A [`Run`] as tables.
//!
//! Promises: its entries, all of them, in one table or in two that have no key in common. They are not synced.
//! Must not know: why the run was made, or who names the tables.

use std::thread;

use crate::base::error::{Error, ErrorKind, Result};
use crate::lead::table_writer::{TableWriting, Unsynced};
use crate::read::run::{Part, Run};

/// Bytes of keys and values from which on they are written by two threads, as two tables that have no key in common.
const SPLIT_FROM: usize = 1 << 20;

impl Run {
    /// Writes its entries as one table; none if there are none. It is not synced.
    pub(crate) fn write(&self, writing: &TableWriting) -> Result<Vec<Unsynced>> {
        Ok(write_part(writing, self.whole())?.into_iter().collect())
    }

    /// As [`Run::write`], but many entries as two tables, written at the same time.
    pub(crate) fn write_fast(&self, writing: &TableWriting) -> Result<Vec<Unsynced>> {
        let Some((first, second)) = self.halves().filter(|_| self.bytes() >= SPLIT_FROM) else {
            return self.write(writing);
        };
        let tables = thread::scope(|scope| {
            let builder = thread::Builder::new().name("level-party-recovery".to_owned());
            let second = builder.spawn_scoped(scope, || write_part(writing, second));
            let second = second.map_err(|error| {
                Error::with_source(ErrorKind::Io, "can't start a thread", error)
            })?;
            let first = write_part(writing, first);
            let panicked = |_| {
                Err(Error::new(
                    ErrorKind::Io,
                    "panicked while a table was written",
                ))
            };
            let second = second.join().unwrap_or_else(panicked);
            Ok([first?, second?])
        })?;
        Ok(tables.into_iter().flatten().collect())
    }
}

fn write_part(writing: &TableWriting, part: Part<'_>) -> Result<Option<Unsynced>> {
    if part.is_empty() {
        return Ok(None);
    }
    let mut table = writing.begin()?;
    part.try_each(|internal_key, value| table.add(internal_key, value))?;
    table.end().map(Some)
}
