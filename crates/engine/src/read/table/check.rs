//! Reading a whole table, past what is damaged: for `verify` and `repair`.
//!
//! Promises: every block's checksum is looked at; a bad block hides no other one.
//! Must not know: what becomes of what it finds.

use level_party_format::key;
use level_party_format::table::Footer;
use level_party_format::{Corruption, Sequence};

use super::Table;
use crate::base::error::{Error, Result};

/// Places out of order that a check keeps; the others are counted.
const MAX_FOUND: usize = 16;
/// Kinds of such places told of one block: there are no more that have fixed words.
const MAX_KINDS: usize = 8;

/// What a walk over a whole table counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) blocks: u64,
    pub(crate) entries: u64,
    pub(crate) last_sequence: Sequence,
    /// Entries that do not come after the one before them.
    pub(crate) unordered: u64,
}

impl Table {
    /// Gives all entries of all blocks that can be read, in order, each with its block's offset; and the errors of
    /// those that can't, each with the block's position in the index. Stops at the first error that `entry` gives.
    pub(crate) fn walk(
        &self,
        mut entry: impl FnMut(u64, &[u8], &[u8]) -> Result<()>,
        mut bad: impl FnMut(usize, Error),
    ) -> Result<()> {
        for at in 0..self.index.len() {
            let Some(handle) = self.index.handle(at) else {
                break;
            };
            let block = match self.read_block(handle) {
                Ok(block) => block,
                Err(error) => {
                    bad(at, error);
                    continue;
                }
            };
            let mut entries = block.iter(self.comparator.clone());
            let mut moved = entries.seek_to_first();
            while moved.is_ok() && entries.valid() {
                entry(handle.offset, entries.key(), entries.value())?;
                moved = entries.next();
            }
            if let Err(error) = moved {
                bad(at, self.damaged(error.at(handle.offset)));
            }
        }
        Ok(())
    }

    /// Looks at everything in the table: checksums, the order of keys, index against blocks, filter against keys, and
    /// that no key is outside `range` (first and last internal key).
    pub(crate) fn check(
        &self,
        range: Option<(&[u8], &[u8])>,
        mut bad: impl FnMut(Error),
    ) -> Counted {
        let mut counted = Counted {
            blocks: self.index.len() as u64,
            ..Counted::default()
        };
        let filter = self
            .read_footer()
            .and_then(|footer: Footer| self.read_filter(footer.metaindex));
        let filter = match filter {
            Ok(filter) => filter,
            Err(error) => {
                bad(error);
                None
            }
        };
        let mut found = Vec::new();
        let mut more = 0u64;
        let mut kinds: Vec<String> = Vec::new();
        let mut kinds_of = None;
        let mut note = |offset: u64, what: &str| {
            if kinds_of.replace(offset) != Some(offset) {
                kinds.clear();
            }
            // One of a kind for each block is enough.
            if kinds.iter().any(|kind| kind == what) || kinds.len() == MAX_KINDS {
                return;
            }
            kinds.push(what.to_owned());
            match found.len() < MAX_FOUND {
                true => found.push((offset, what.to_owned())),
                false => more += 1,
            }
        };
        let order = &self.comparator;
        let (mut last, mut block, mut block_offset) = (Vec::new(), 0, None);
        let entry = |offset: u64, internal_key: &[u8], _: &[u8]| {
            counted.entries += 1;
            if block_offset.replace(offset) != Some(offset) {
                block = (block..self.index.len())
                    .find(|at| self.index.handle(*at).is_some_and(|h| h.offset == offset))
                    .unwrap_or(block);
            }
            match key::parse(internal_key) {
                Ok(parsed) => {
                    counted.last_sequence = counted.last_sequence.max(parsed.sequence);
                    let filtered = filter
                        .as_ref()
                        .filter(|f| !f.may_match(offset, parsed.user_key));
                    if filtered.is_some() {
                        note(offset, "the filter denies a key that the block holds");
                    }
                }
                Err(error) => note(offset, &error.what),
            }
            if !last.is_empty() && order.compare(&last, internal_key).is_ge() {
                counted.unordered += 1;
                note(offset, "a key is not after the one before it");
            }
            if order.compare(internal_key, self.index.key(block)).is_gt() {
                note(offset, "a key is after the block's key in the index");
            }
            if block > 0
                && order
                    .compare(internal_key, self.index.key(block - 1))
                    .is_le()
            {
                note(
                    offset,
                    "a key is not after the key of the block before in the index",
                );
            }
            if range.is_some_and(|(first, end)| {
                order.compare(internal_key, first).is_lt()
                    || order.compare(internal_key, end).is_gt()
            }) {
                note(offset, "a key is outside the range that the manifest says");
            }
            last.clear();
            last.extend_from_slice(internal_key);
            Ok(())
        };
        if let Err(error) = self.walk(entry, |_, error| bad(error)) {
            bad(error);
        }
        for (offset, what) in found {
            bad(self.damaged(Corruption::new(what).at(offset)));
        }
        let others = self.damaged(Corruption::new("a key is out of place"));
        for _ in 0..more {
            bad(others.clone());
        }
        counted
    }
}
