//! [`Pieces`]: batches of a log, gathered until there are enough for a table; [`Sifted`]: entries of a damaged table that
//! are in their place.
//!
//! Must not know: where the log or the table lies.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use level_party_format::Sequence;
use level_party_format::batch::BatchRef;
use level_party_format::key::{self, InternalComparator};

use crate::base::error::{Error, Result};
use crate::commit::memory;
use crate::lead::run::RunBuilder;
use crate::lead::table_writer::{TableFile, TableWriting};
use crate::read::files::FileMeta;

/// Batches of one log that go into one table.
pub(super) struct Pieces<'a> {
    log: &'a Bytes,
    limit: usize,
    demand: usize,
    builder: RunBuilder,
}

impl<'a> Pieces<'a> {
    /// Of the log with these bytes; a piece is full with operations of about `limit` bytes.
    pub(super) fn new(log: &'a Bytes, limit: usize) -> Pieces<'a> {
        let mut pieces = Pieces {
            log,
            limit,
            demand: 0,
            builder: RunBuilder::new(),
        };
        pieces.take();
        pieces
    }

    /// Adds a batch that can be parsed.
    pub(super) fn add(&mut self, payload: Cow<'_, [u8]>) -> Result<()> {
        let (payload, own) = match payload {
            Cow::Borrowed(payload) => (payload, None),
            Cow::Owned(payload) => (&[][..], Some(Bytes::from(payload))),
        };
        let batch = BatchRef::parse(own.as_deref().unwrap_or(payload))
            .map_err(|error| Error::corruption("a batch", error))?;
        self.demand = self.demand.saturating_add(memory::bytes_for(batch.iter()));
        self.builder.add(batch, own.clone());
        Ok(())
    }

    pub(super) fn is_full(&self) -> bool {
        self.demand >= self.limit
    }

    /// What was gathered; the next piece begins.
    pub(super) fn take(&mut self) -> RunBuilder {
        self.demand = 0;
        let mut next = RunBuilder::new();
        next.begin_log(self.log);
        std::mem::replace(&mut self.builder, next)
    }
}

/// Bytes of entries out of their place that are held in memory.
const MAX_STRAY_BYTES: usize = 4 << 20;

/// A table of the entries of a damaged one that are in their place.
pub(super) struct Sifted<'a> {
    writing: &'a TableWriting,
    order: &'a InternalComparator,
    /// The table, whose entries must lie between its first and its last key.
    within: Option<&'a FileMeta>,
    last: Vec<u8>,
    output: Option<TableFile<'a>>,
    /// Entries that are not in their place, and their bytes. They are as they were written, so they are kept elsewhere.
    strays: Vec<(Vec<u8>, Vec<u8>)>,
    stray_bytes: usize,
    /// How many there were in all.
    pub(super) strayed: u64,
    /// Tables of them.
    pub(super) stray_tables: Vec<Arc<FileMeta>>,
    /// Entries whose keys are none.
    pub(super) passed: u64,
    pub(super) last_sequence: Sequence,
}

impl<'a> Sifted<'a> {
    pub(super) fn new(
        writing: &'a TableWriting,
        order: &'a InternalComparator,
        within: Option<&'a FileMeta>,
    ) -> Sifted<'a> {
        Sifted {
            writing,
            order,
            within,
            last: Vec::new(),
            output: None,
            strays: Vec::new(),
            stray_bytes: 0,
            strayed: 0,
            stray_tables: Vec::new(),
            passed: 0,
            last_sequence: 0,
        }
    }

    pub(super) fn order(&self) -> &'a InternalComparator {
        self.order
    }

    pub(super) fn add(&mut self, internal_key: &[u8], value: &[u8]) -> Result<()> {
        let outside = self.within.is_some_and(|file| {
            self.order.compare(internal_key, &file.smallest).is_lt()
                || self.order.compare(internal_key, &file.largest).is_gt()
        });
        let unordered =
            !self.last.is_empty() && self.order.compare(&self.last, internal_key).is_ge();
        let Ok(parsed) = key::parse(internal_key) else {
            self.passed += 1;
            return Ok(());
        };
        self.last_sequence = self.last_sequence.max(parsed.sequence);
        if outside || unordered {
            return self.stray(internal_key, value);
        }
        self.last.clear();
        self.last.extend_from_slice(internal_key);
        let output = match &mut self.output {
            Some(output) => output,
            None => self.output.insert(self.writing.begin()?),
        };
        output.add(internal_key, value)
    }

    fn stray(&mut self, internal_key: &[u8], value: &[u8]) -> Result<()> {
        self.strayed += 1;
        self.stray_bytes += internal_key.len() + value.len();
        self.strays.push((internal_key.to_vec(), value.to_vec()));
        match self.stray_bytes >= MAX_STRAY_BYTES {
            true => self.write_strays(),
            false => Ok(()),
        }
    }

    fn write_strays(&mut self) -> Result<()> {
        let mut strays = std::mem::take(&mut self.strays);
        self.stray_bytes = 0;
        let order = self.order;
        strays.sort_by(|(a, _), (b, _)| order.compare(a, b));
        strays.dedup_by(|(again, _), (first, _)| order.compare(again, first).is_eq());
        if strays.is_empty() {
            return Ok(());
        }
        let mut table = self.writing.begin()?;
        for (internal_key, value) in &strays {
            table.add(internal_key, value)?;
        }
        self.stray_tables.push(table.finish()?);
        Ok(())
    }

    /// Ends the table, if there is one.
    pub(super) fn finish(&mut self) -> Result<Option<Arc<FileMeta>>> {
        self.write_strays()?;
        self.output.take().map(TableFile::finish).transpose()
    }
}
