//! [`Pairs`] and [`Keys`]: owned iterators above the lending cursor, from both ends.
//!
//! Promises: what one end gave the other does not give again; after an error the iterator is at its end. The second end
//! costs nothing before it is used.
//! Must not know: bounds; the cursor keeps them.

use super::RangeCursor;
use crate::base::error::{Error, Result};

/// The pairs of a range, each a key and its value, of one moment.
///
/// ```
/// use std::sync::Arc;
/// use level_party_engine::{Engine, KeyRange, MemFs, Options, Write, WriteBatch};
///
/// let engine = Engine::open(Arc::new(MemFs::new()), Options::default())?;
/// let mut batch = WriteBatch::new();
/// batch.put(b"a", b"1");
/// batch.put(b"b", b"2");
/// engine.write(Write::new(batch))?;
/// let mut pairs = engine.range(KeyRange::all())?.pairs();
/// assert_eq!(pairs.next_back().unwrap()?, (b"b".to_vec(), b"2".to_vec()));
/// assert_eq!(pairs.next().unwrap()?, (b"a".to_vec(), b"1".to_vec()));
/// assert!(pairs.next().is_none());
/// # Ok::<(), level_party_engine::Error>(())
/// ```
pub struct Pairs {
    ends: Ends,
}

/// The keys of a range, of one moment.
pub struct Keys {
    ends: Ends,
}

/// A cursor from each end. What is left is between them.
struct Ends {
    front: Option<RangeCursor>,
    /// Made when it is first used.
    back: Option<RangeCursor>,
    /// Whether the front, the back, has been positioned.
    started: (bool, bool),
    keys_only: bool,
}

impl Ends {
    fn new(cursor: RangeCursor, keys_only: bool) -> Ends {
        Ends {
            front: Some(cursor),
            back: None,
            started: (false, false),
            keys_only,
        }
    }

    /// Moves the front end on; `None` at the end.
    fn advance(&mut self) -> Option<Result<&RangeCursor>> {
        let front = self.front.as_mut()?;
        let moved = match std::mem::replace(&mut self.started.0, true) {
            false => front.seek_to_first(),
            true => front.next(),
        };
        if let Err(error) = moved {
            return Some(Err(self.end(error)));
        }
        if !self.is_left(true) {
            self.front = None;
            return None;
        }
        self.front.as_ref().map(Ok)
    }

    /// Moves the back end on; `None` at the end.
    fn advance_back(&mut self) -> Option<Result<&RangeCursor>> {
        let front = self.front.as_ref()?;
        let keys_only = self.keys_only;
        let back = self.back.get_or_insert_with(|| twin(front, keys_only));
        let moved = match std::mem::replace(&mut self.started.1, true) {
            false => back.seek_to_last(),
            true => back.prev(),
        };
        if let Err(error) = moved {
            return Some(Err(self.end(error)));
        }
        if !self.is_left(false) {
            self.front = None;
            return None;
        }
        self.back.as_ref().map(Ok)
    }

    /// Whether the end that was moved is still before the other.
    fn is_left(&self, front_moved: bool) -> bool {
        let (Some(front), back) = (&self.front, self.back.as_ref()) else {
            return false;
        };
        let moved = if front_moved { Some(front) } else { back };
        if !moved.is_some_and(RangeCursor::valid) {
            return false;
        }
        match back {
            Some(back) if self.started == (true, true) => {
                let user = front.cursor.user();
                user.compare(front.key(), back.key()).is_lt()
            }
            _ => true,
        }
    }

    fn end(&mut self, error: Error) -> Error {
        self.front = None;
        error
    }
}

/// Another cursor over the same moment and range.
fn twin(cursor: &RangeCursor, keys_only: bool) -> RangeCursor {
    let twin = RangeCursor::new(cursor.cursor.twin(), cursor.range.clone());
    if keys_only { twin.keys_only() } else { twin }
}

impl Pairs {
    pub(super) fn new(cursor: RangeCursor) -> Pairs {
        Pairs {
            ends: Ends::new(cursor, false),
        }
    }
}

impl Keys {
    pub(super) fn new(cursor: RangeCursor) -> Keys {
        Keys {
            ends: Ends::new(cursor, true),
        }
    }
}

fn pair(cursor: &RangeCursor) -> (Vec<u8>, Vec<u8>) {
    (cursor.key().to_vec(), cursor.value().to_vec())
}

impl Iterator for Pairs {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.ends.advance()?.map(pair))
    }
}

impl DoubleEndedIterator for Pairs {
    fn next_back(&mut self) -> Option<Self::Item> {
        Some(self.ends.advance_back()?.map(pair))
    }
}

impl std::iter::FusedIterator for Pairs {}

impl Iterator for Keys {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.ends.advance()?.map(|cursor| cursor.key().to_vec()))
    }
}

impl DoubleEndedIterator for Keys {
    fn next_back(&mut self) -> Option<Self::Item> {
        Some(
            self.ends
                .advance_back()?
                .map(|cursor| cursor.key().to_vec()),
        )
    }
}

impl std::iter::FusedIterator for Keys {}
