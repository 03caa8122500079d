//! [`Pieces`]: batches of a log, gathered until there are enough for a table; [`Sifted`]: entries of a damaged table that
//! are in their place.
//!
//! Must not know: where the log or the table lies.

use std::borrow::Cow;

use bytes::Bytes;
use level_party_format::Sequence;
use level_party_format::batch::BatchRef;
use level_party_format::key::{self, InternalComparator};

use crate::error::{Error, Result};
use crate::files::FileMeta;
use crate::flush::{TableFile, TableWriting};
use crate::memory;
use crate::run::RunBuilder;

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

/// A table of the entries of a damaged one that are in their place.
pub(super) struct Sifted<'a> {
    writing: &'a TableWriting,
    order: &'a InternalComparator,
    /// The table, whose entries must lie between its first and its last key.
    within: Option<&'a FileMeta>,
    last: Vec<u8>,
    pub(super) output: Option<TableFile<'a>>,
    /// Entries that were not in their place.
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
        let parsed = key::parse(internal_key)
            .ok()
            .filter(|_| !outside && !unordered);
        let Some(parsed) = parsed else {
            self.passed += 1;
            return Ok(());
        };
        self.last_sequence = self.last_sequence.max(parsed.sequence);
        self.last.clear();
        self.last.extend_from_slice(internal_key);
        let output = match &mut self.output {
            Some(output) => output,
            None => self.output.insert(self.writing.begin()?),
        };
        output.add(internal_key, value)
    }
}
