//! [`Cursor`]: the user keys of a view as they were at one sequence, in both directions (LevelDB's `DBIter`).
//!
//! Invariant: going forward the merge is at the very entry shown. Going backward it is at an entry before all entries
//! of the key shown, whose key, value and sequence are kept in the cursor.
//! Promises: the moment shown does not change, whatever is written meanwhile. After an error the cursor is not valid,
//! and may be positioned anew.
//! Must not know: pins, or where the view came from.

use std::fmt;
use std::sync::Arc;

use level_party_format::key::{self, ValueType};
use level_party_format::{Comparator, MAX_SEQUENCE, Sequence};

use crate::base::error::Result;
use crate::base::seek_key::SeekKey;
use crate::read::dead_ranges::{FIRST_LOOK, Way};
use crate::read::iter::MergingIter;
use crate::read::snapshots::Pin;
use crate::read::version::Version;
use crate::read::view::View;
use crate::read::view_source::ViewSource;

mod dead_row;

use dead_row::DeadRow;

/// Hidden entries of one key passed one by one before the cursor seeks beyond them.
const STEPS_BEFORE_SEEK: u32 = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

/// How a cursor shows values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Values {
    /// At hand with each key.
    AtHand,
    /// Appended where the caller wants them. Going backward they are at hand even so.
    Appended,
    /// Neither shown nor copied.
    None,
}

/// A cursor over user keys at one moment. It lends its key and value until it moves, and keeps its view alive.
///
/// A new cursor is not valid until it is positioned. Moving a cursor that is not valid does nothing.
///
/// ```
/// use std::sync::Arc;
/// use level_party_engine::{Engine, MemFs, Options, Write};
/// use level_party_format::batch::WriteBatch;
///
/// let engine = Engine::open(Arc::new(MemFs::new()), Options::default())?;
/// let mut batch = WriteBatch::new();
/// batch.put(b"apple", b"red");
/// batch.put(b"pear", b"green");
/// engine.write(Write::new(batch))?;
///
/// let mut cursor = engine.cursor()?;
/// cursor.seek(b"b")?;
/// assert_eq!((cursor.key(), cursor.value(), cursor.sequence()), (&b"pear"[..], &b"green"[..], 2));
/// cursor.prev()?;
/// assert_eq!(cursor.key(), b"apple");
/// cursor.prev()?;
/// assert!(!cursor.valid());
/// # Ok::<(), level_party_engine::Error>(())
/// ```
pub struct Cursor {
    merge: MergingIter,
    user: Comparator,
    sequence: Sequence,
    direction: Direction,
    valid: bool,
    /// Going backward, the key shown; going forward, the key whose older entries are passed over.
    saved_key: Vec<u8>,
    saved_value: Vec<u8>,
    saved_sequence: Sequence,
    /// The first of a row of entries that are too new, to tell many writes to one key from many keys.
    too_new: Vec<u8>,
    /// The key last sought while looking for the next one to show; empty if none.
    sought: Vec<u8>,
    /// Removed keys passed in this search.
    removed: u64,
    /// What is known of them, once they are many.
    dead_row: DeadRow,
    values: Values,
    /// Bytes of entries to pass until the next sample.
    until_sample: u64,
    /// Keys without a value that may be passed yet.
    passes: u64,
    /// Where it stopped because there were more of them.
    stopped: Option<Vec<u8>>,
    view: Arc<View>,
    /// Where a newer view comes from, if this one may become too old to be read.
    renewal: Option<Box<Renewal>>,
}

/// What a cursor needs to go on in a newer view.
struct Renewal {
    source: Arc<dyn ViewSource>,
    /// Keeps the moment readable, if nobody else does.
    pin: Option<Pin>,
    /// The key that the move under way began at.
    from: Vec<u8>,
}

/// Where a move leads to, wherever the cursor stands.
#[derive(Clone, Copy)]
enum Place {
    First,
    Last,
    /// At or after the key that is remembered; behind it; before it.
    At,
    After,
    Before,
}

impl View {
    /// A cursor over the user keys as they were at `sequence`. It keeps the view alive. Nothing is read yet.
    pub fn cursor(self: &Arc<Self>, sequence: Sequence) -> Cursor {
        Cursor::new(Arc::clone(self), sequence)
    }
}

impl Cursor {
    /// A cursor over `view` at `sequence`.
    pub(crate) fn new(view: Arc<View>, sequence: Sequence) -> Cursor {
        Cursor {
            merge: view.internal_iter(),
            user: view.comparator().user.clone(),
            sequence: view.clamped(sequence.min(MAX_SEQUENCE)),
            direction: Direction::Forward,
            valid: false,
            saved_key: Vec::new(),
            saved_value: Vec::new(),
            saved_sequence: 0,
            too_new: Vec::new(),
            sought: Vec::new(),
            removed: 0,
            dead_row: DeadRow::default(),
            values: Values::AtHand,
            until_sample: view.version.tables().sample_period(),
            passes: u64::MAX,
            stopped: None,
            view,
            renewal: None,
        }
    }

    /// The same, going on in a newer view at the same moment whenever this one is too old. `pin` keeps that moment.
    pub(crate) fn renewing(mut self, source: Arc<dyn ViewSource>, pin: Option<Pin>) -> Cursor {
        let from = Vec::new();
        self.renewal = Some(Box::new(Renewal { source, pin, from }));
        self
    }

    /// Another cursor at the same moment, which stands nowhere.
    pub(crate) fn twin(&self) -> Cursor {
        let twin = Cursor::new(Arc::clone(&self.view), self.sequence);
        match &self.renewal {
            Some(renewal) => twin.renewing(Arc::clone(&renewal.source), renewal.pin.clone()),
            None => twin,
        }
    }

    /// The view it reads.
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// A cursor that shows no values: [`Cursor::value`] is empty, and going backward none is copied.
    pub fn keys_only(mut self) -> Cursor {
        self.values = Values::None;
        self
    }

    /// A cursor whose values are taken by [`Cursor::append_value`] alone: going forward [`Cursor::value`] is empty for what is in
    /// memory, which is copied once less.
    pub fn appending_values(mut self) -> Cursor {
        // One that goes on in newer views copies values before it looks whether they were right.
        if self.values == Values::AtHand && self.renewal.is_none() {
            self.values = Values::Appended;
        }
        self
    }

    /// A cursor that passes no more than about `passes` entries that show nothing (removed keys, and keys newer than its
    /// moment), in all its moves together. A move that would have to is not valid, and [`Cursor::stopped`] says where.
    pub fn passing_at_most(mut self, passes: u64) -> Cursor {
        self.passes = passes;
        self
    }

    /// Where the last move stopped because of [`Cursor::passing_at_most`]: every key before it, in the direction of the
    /// move, was shown or shows nothing; it itself is still to be looked at.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use level_party_engine::{Engine, MemFs, Options, Write, WriteBatch};
    ///
    /// let engine = Engine::open(Arc::new(MemFs::new()), Options::default())?;
    /// let mut batch = WriteBatch::new();
    /// for key in [b"a", b"b", b"c"] {
    ///     batch.delete(key);
    /// }
    /// engine.write(Write::new(batch))?;
    /// let mut cursor = engine.cursor()?.passing_at_most(2);
    /// cursor.seek_to_first()?;
    /// assert_eq!((cursor.valid(), cursor.stopped()), (false, Some(&b"c"[..])));
    /// # Ok::<(), level_party_engine::Error>(())
    /// ```
    pub fn stopped(&self) -> Option<&[u8]> {
        self.stopped.as_deref()
    }

    /// The order of the user keys.
    #[inline]
    pub(crate) fn user(&self) -> &Comparator {
        &self.user
    }

    /// The moment it shows.
    pub fn at(&self) -> Sequence {
        self.sequence
    }

    /// Whether it is at a key.
    #[inline]
    pub fn valid(&self) -> bool {
        self.valid
    }

    /// The user key it is at; empty if not valid.
    #[inline]
    pub fn key(&self) -> &[u8] {
        match self.direction {
            _ if !self.valid => &[],
            Direction::Forward => key::user_key(self.merge.key()),
            Direction::Backward => &self.saved_key,
        }
    }

    /// The value of the key it is at; empty if not valid.
    #[inline]
    pub fn value(&self) -> &[u8] {
        match self.direction {
            _ if !self.valid || self.values == Values::None => &[],
            Direction::Forward => self.merge.value(),
            Direction::Backward => &self.saved_value,
        }
    }

    /// Appends the value of the key it is at; nothing if not valid.
    #[inline]
    pub fn append_value(&self, out: &mut Vec<u8>) {
        match (self.values, self.direction) {
            (Values::Appended, Direction::Forward) if self.valid => self.merge.append_value(out),
            _ => out.extend_from_slice(self.value()),
        }
    }

    /// The sequence of the write that put the value; 0 if not valid.
    #[inline]
    pub fn sequence(&self) -> Sequence {
        match self.direction {
            _ if !self.valid => 0,
            Direction::Forward => key::tag(self.merge.key()) >> 8,
            Direction::Backward => self.saved_sequence,
        }
    }

    /// Moves to the first key.
    ///
    /// # Errors
    /// What keeps a block on the way from being read; so for all moves.
    pub fn seek_to_first(&mut self) -> Result<()> {
        let moved = self.go_to_first();
        self.settle(moved, Place::First)
    }

    fn go_to_first(&mut self) -> Result<()> {
        self.begin(Direction::Forward);
        self.merge.seek_to_first()?;
        self.find_next(false)
    }

    /// Moves to the last key.
    ///
    /// # Errors
    /// As [`Cursor::seek_to_first`].
    pub fn seek_to_last(&mut self) -> Result<()> {
        let moved = self.go_to_last();
        self.settle(moved, Place::Last)
    }

    fn go_to_last(&mut self) -> Result<()> {
        self.begin(Direction::Backward);
        self.merge.seek_to_last()?;
        self.find_prev()
    }

    /// Moves to the first key at or after `user_key`.
    ///
    /// # Errors
    /// As [`Cursor::seek_to_first`].
    pub fn seek(&mut self, user_key: &[u8]) -> Result<()> {
        self.remember(user_key);
        let moved = self.go_to(user_key);
        self.settle(moved, Place::At)
    }

    fn go_to(&mut self, user_key: &[u8]) -> Result<()> {
        self.begin(Direction::Forward);
        let target = SeekKey::new(user_key, self.sequence);
        self.merge.seek(target.as_bytes())?;
        self.find_next(false)
    }

    /// Moves to the last key before `user_key`.
    ///
    /// # Errors
    /// As [`Cursor::seek_to_first`].
    pub fn seek_before(&mut self, user_key: &[u8]) -> Result<()> {
        self.remember(user_key);
        let moved = self.go_before(user_key);
        self.settle(moved, Place::Before)
    }

    fn go_before(&mut self, user_key: &[u8]) -> Result<()> {
        self.begin(Direction::Backward);
        self.seek_entry_before(&SeekKey::new(user_key, MAX_SEQUENCE))?;
        self.find_prev()
    }

    /// Moves the merge to the last entry before an internal key.
    fn seek_entry_before(&mut self, target: &SeekKey) -> Result<()> {
        self.merge.seek(target.as_bytes())?;
        match self.merge.valid() {
            true => self.merge.prev(),
            false => self.merge.seek_to_last(),
        }
    }

    /// Moves to the next key.
    ///
    /// # Errors
    /// As [`Cursor::seek_to_first`].
    #[inline]
    #[expect(
        clippy::should_implement_trait,
        reason = "it lends, as no Iterator can, and prev is its twin"
    )]
    pub fn next(&mut self) -> Result<()> {
        if !self.valid {
            return Ok(());
        }
        if self.renewal.is_none() {
            return self.go_next();
        }
        self.remember_own_key();
        let moved = self.go_next();
        self.settle(moved, Place::After)
    }

    #[inline]
    fn go_next(&mut self) -> Result<()> {
        self.valid = false;
        match self.direction {
            Direction::Forward => {
                save(&mut self.saved_key, key::user_key(self.merge.key()));
                self.merge.next()?;
            }
            // The merge is before all entries of the key shown: move to the first of them. The key to pass over is
            // the one shown, and saved already.
            Direction::Backward => {
                self.direction = Direction::Forward;
                if self.merge.valid() {
                    self.merge.next()?;
                } else {
                    self.merge.seek_to_first()?;
                }
            }
        }
        self.find_next(true)
    }

    /// Moves to the key before.
    ///
    /// # Errors
    /// As [`Cursor::seek_to_first`].
    #[inline]
    pub fn prev(&mut self) -> Result<()> {
        if !self.valid {
            return Ok(());
        }
        if self.renewal.is_none() {
            return self.go_prev();
        }
        self.remember_own_key();
        let moved = self.go_prev();
        self.settle(moved, Place::Before)
    }

    #[inline]
    fn go_prev(&mut self) -> Result<()> {
        self.valid = false;
        if self.direction == Direction::Forward {
            // What is left before the merge of the key shown is too new, and passed over like all that is.
            self.direction = Direction::Backward;
            self.merge.prev()?;
        }
        self.find_prev()
    }

    /// Notes the key that a move begins at.
    fn remember(&mut self, user_key: &[u8]) {
        if let Some(renewal) = &mut self.renewal {
            save(&mut renewal.from, user_key);
        }
    }

    fn remember_own_key(&mut self) {
        let Some(mut renewal) = self.renewal.take() else {
            return;
        };
        save(&mut renewal.from, self.key());
        self.renewal = Some(renewal);
    }

    /// Ends a move: if the view that it read is too old by now, makes it again in a newer one.
    fn settle(&mut self, mut moved: Result<()>, place: Place) -> Result<()> {
        loop {
            let Some(renewal) = &self.renewal else {
                return moved;
            };
            let is_current = self.view.is_current();
            let is_whole = match &moved {
                Ok(()) => is_current,
                Err(error) => is_current && !renewal.source.has_newer(&self.view, error),
            };
            if is_whole {
                return moved;
            }
            self.valid = false;
            let view = renewal.source.newest_at(self.sequence)?;
            self.merge = view.internal_iter();
            self.view = view;
            moved = self.go_again(place);
        }
    }

    fn go_again(&mut self, place: Place) -> Result<()> {
        let Some(mut renewal) = self.renewal.take() else {
            return Ok(());
        };
        let from = std::mem::take(&mut renewal.from);
        let moved = match place {
            Place::First => self.go_to_first(),
            Place::Last => self.go_to_last(),
            Place::At => self.go_to(&from),
            Place::Before => self.go_before(&from),
            Place::After => self.go_behind(&from),
        };
        renewal.from = from;
        self.renewal = Some(renewal);
        moved
    }

    /// Moves to the first key after one.
    fn go_behind(&mut self, user_key: &[u8]) -> Result<()> {
        self.go_to(user_key)?;
        if self.valid && self.user.compare(self.key(), user_key).is_eq() {
            return self.go_next();
        }
        Ok(())
    }

    fn begin(&mut self, direction: Direction) {
        self.valid = false;
        self.stopped = None;
        self.direction = direction;
    }

    /// Goes forward to the first entry that shows a key; with `passing`, past all entries of `saved_key`.
    #[inline]
    fn find_next(&mut self, passing: bool) -> Result<()> {
        self.removed = 0;
        let found = self.search_forward(passing);
        if self.removed >= FIRST_LOOK {
            self.end_dead_row(Way::Forward, found.is_ok());
        }
        found
    }

    fn search_forward(&mut self, mut passing: bool) -> Result<()> {
        let mut hidden = 0;
        let mut too_new = 0;
        self.sought.clear();
        while let Some((internal_key, value_len)) = self.merge.entry() {
            let bytes = (internal_key.len() + value_len) as u64;
            self.until_sample = count(&self.view, internal_key, self.until_sample, bytes);
            let entry = match key::parse(internal_key) {
                Ok(entry) => entry,
                Err(error) => return Err(self.merge.damaged(error)),
            };
            if entry.sequence > self.sequence {
                if self.passes == 0 {
                    self.stopped = Some(entry.user_key.to_vec());
                    return Ok(());
                }
                self.passes -= 1;
                too_new += 1;
                if too_new == 1 {
                    save(&mut self.too_new, entry.user_key);
                } else if too_new > STEPS_BEFORE_SEEK {
                    too_new = 0;
                    if self.user.compare(entry.user_key, &self.too_new).is_eq() {
                        let target = SeekKey::new(entry.user_key, self.sequence);
                        if self.seek_on(&target)? {
                            continue;
                        }
                    }
                }
            } else if passing && self.user.compare(entry.user_key, &self.saved_key).is_le() {
                hidden += 1;
                if hidden > STEPS_BEFORE_SEEK {
                    hidden = 0;
                    let target = SeekKey::after_all(&self.saved_key);
                    if self.seek_on(&target)? {
                        continue;
                    }
                }
            } else if entry.kind == ValueType::Deletion {
                if self.passes == 0 {
                    self.stopped = Some(entry.user_key.to_vec());
                    return Ok(());
                }
                self.passes -= 1;
                save(&mut self.saved_key, entry.user_key);
                (passing, hidden) = (true, 0);
                self.removed += 1;
                if self.removed >= FIRST_LOOK && self.jump_ahead()? {
                    continue;
                }
            } else {
                if self.values == Values::AtHand {
                    self.merge.load_value();
                }
                self.valid = true;
                return Ok(());
            }
            self.merge.next()?;
        }
        Ok(())
    }

    /// Seeks a key further on. Within one search these keys only grow, so that entries out of order (in a damaged table
    /// whose checksums are right) can't send it in a circle.
    fn seek_on(&mut self, target: &SeekKey) -> Result<bool> {
        let target = target.as_bytes();
        let comparator = self.view.comparator();
        if !self.sought.is_empty() && comparator.compare(target, &self.sought).is_le() {
            return Ok(false);
        }
        save(&mut self.sought, target);
        self.merge.seek(target)?;
        Ok(true)
    }

    /// Goes backward until all entries of one key that has a value are passed, keeping its newest.
    #[inline]
    fn find_prev(&mut self) -> Result<()> {
        self.removed = 0;
        let found = self.search_backward();
        if self.removed >= FIRST_LOOK {
            self.end_dead_row(Way::Backward, found.is_ok());
        }
        found
    }

    fn search_backward(&mut self) -> Result<()> {
        let mut kind = ValueType::Deletion;
        let mut last: Option<Vec<u8>> = None;
        while let Some((internal_key, value_len)) = self.merge.entry() {
            let bytes = (internal_key.len() + value_len) as u64;
            self.until_sample = count(&self.view, internal_key, self.until_sample, bytes);
            let entry = match key::parse(internal_key) {
                Ok(entry) => entry,
                Err(error) => return Err(self.merge.damaged(error)),
            };
            if self.passes == 0 {
                // Only between two keys: else the next search would begin where this one did.
                match &last {
                    None => last = Some(entry.user_key.to_vec()),
                    Some(last) if self.user.compare(entry.user_key, last).is_lt() => {
                        if kind == ValueType::Deletion {
                            self.stopped = Some(entry.user_key.to_vec());
                            return Ok(());
                        }
                        break;
                    }
                    Some(_) => {}
                }
            } else if kind == ValueType::Deletion || entry.sequence > self.sequence {
                self.passes -= 1;
            }
            if entry.sequence <= self.sequence {
                let other = kind == ValueType::Value
                    && self.user.compare(entry.user_key, &self.saved_key).is_lt();
                if other {
                    break;
                }
                kind = entry.kind;
                if kind == ValueType::Value {
                    save(&mut self.saved_key, entry.user_key);
                    if self.values != Values::None {
                        self.saved_value.clear();
                        self.merge.append_value(&mut self.saved_value);
                    }
                    self.saved_sequence = entry.sequence;
                } else {
                    self.removed += 1;
                    if self.removed >= FIRST_LOOK && self.jump_back()? {
                        continue;
                    }
                }
            }
            self.merge.prev()?;
        }
        self.valid = kind == ValueType::Value;
        Ok(())
    }
}

/// Counts the bytes of an entry that is passed, and now and then what the tables make a read of it cost. Gives the bytes
/// until that is next.
#[inline]
fn count(view: &View, internal_key: &[u8], until_sample: u64, bytes: u64) -> u64 {
    match until_sample.checked_sub(bytes) {
        Some(left) => left,
        None => sample(&view.version, internal_key, until_sample, bytes),
    }
}

#[cold]
fn sample(version: &Version, internal_key: &[u8], mut until_sample: u64, bytes: u64) -> u64 {
    while until_sample < bytes {
        version.sample(internal_key);
        until_sample += version.tables().sample_period();
    }
    until_sample - bytes
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor")
            .field("at", &self.sequence)
            .field("valid", &self.valid)
            .field("direction", &self.direction)
            .finish_non_exhaustive()
    }
}

fn save(to: &mut Vec<u8>, bytes: &[u8]) {
    to.clear();
    to.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests;
