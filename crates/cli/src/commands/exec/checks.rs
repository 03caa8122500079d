//! The checks of a transaction, by whole keys.

use level_party::{Readable, Transaction};

use super::request::{Check, Checked};
use crate::bounds::KeyBound;
use crate::keyspace::Keyspace;

/// A check, with keys as they are in the database.
pub enum WholeCheck {
    /// The key holds this value; `None`: nothing.
    Key(Vec<u8>, Option<Vec<u8>>),
    /// A scan gives these entries and no others.
    Range {
        /// `None`: no key can lie there.
        bounds: Option<(KeyBound, KeyBound)>,
        reverse: bool,
        limit: Option<u64>,
        entries: Vec<(Vec<u8>, Vec<u8>)>,
    },
}

impl WholeCheck {
    /// `home` is where a check that names no sublevel looks.
    pub fn of(check: &Check, home: &Keyspace) -> level_party::Result<WholeCheck> {
        let keyspace = home.named(check.sublevel.as_deref())?;
        Ok(match &check.what {
            Checked::Key(key, value) => WholeCheck::Key(keyspace.whole_key(key), value.clone()),
            Checked::Range(walk, entries) => WholeCheck::Range {
                bounds: walk.bounds().map(|bounds| keyspace.in_whole(bounds)),
                reverse: walk.reverse,
                limit: walk.limit,
                entries: entries
                    .iter()
                    .map(|(key, value)| (keyspace.whole_key(&key.0), value.0.clone()))
                    .collect(),
            },
        })
    }

    /// The key that it is about, and what that is to hold.
    pub fn key(&self) -> Option<(&Vec<u8>, Option<&Vec<u8>>)> {
        match self {
            WholeCheck::Key(key, value) => Some((key, value.as_ref())),
            WholeCheck::Range { .. } => None,
        }
    }

    /// Whether what it says of a range is so. It reads no further than it must.
    pub fn range_holds(&self, tx: &Transaction) -> level_party::Result<bool> {
        let WholeCheck::Range {
            bounds,
            reverse,
            limit,
            entries,
        } = self
        else {
            return Ok(true);
        };
        let Some(bounds) = bounds.clone() else {
            return Ok(entries.is_empty());
        };
        let mut range = tx.range(bounds);
        let mut expected = entries.iter();
        let mut left = limit.unwrap_or(u64::MAX);
        while left > 0 {
            let found = match reverse {
                true => range.next_back(),
                false => range.next(),
            };
            let found = found.transpose()?;
            let wanted = expected.next();
            if found.as_ref() != wanted {
                return Ok(false);
            }
            if found.is_none() {
                return Ok(true);
            }
            left -= 1;
        }
        Ok(expected.next().is_none())
    }
}
