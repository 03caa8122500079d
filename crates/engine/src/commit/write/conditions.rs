//! Judges the conditions of a group's writes, in queue order, before anything of the group is assigned.
//!
//! Promises: a write is judged against the published state and what the earlier writes of its own group that go on will
//! have made of it; so of two writes in one group that both expect the same sequence, the second is refused; and a write
//! that expects a range untouched is refused after one that puts a key there. What would take too long to judge (a range
//! of very many entries) is refused as well: never is a write let through that was not judged. A write
//! whose condition can't be read is refused with that error, and no other.
//! Must not know: what becomes of a refusal.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use level_party_format::batch::Op;
use level_party_format::{Comparator, Sequence};

use super::{Job, Pending};
use crate::base::condition::{Condition, Conflict, Expect, Untouched};
use crate::base::error::{Error, Result};
use crate::base::key_range::KeyRange;
use crate::read::view::View;

/// Entries that are looked at for the ranges of one write, all other writers waiting, and removed keys that are passed for
/// each range: as many as a write may have conditions on keys.
const MAX_WALKED: u64 = 1 << 20;

/// Why a write does not go on.
pub(crate) struct Refusal {
    pub(crate) error: Error,
    /// The last sequence of the state that it was judged against, once that is known.
    pub(crate) at: Sequence,
}

/// Refuses the writes of a group whose conditions don't hold. `last` is the last sequence published in `view`.
pub(super) fn judge(group: &mut [Job], view: &Arc<View>, last: Sequence) {
    let refusals = Judge::new(group, view, last).run(group);
    let pending = group.iter_mut().flat_map(Job::pending_mut);
    let undecided = pending.filter(|write| write.answer.is_none());
    for (write, refusal) in undecided.zip(refusals) {
        write.refusal = refusal;
    }
}

/// Whether any write that has no answer yet has a condition.
pub(super) fn has_conditions(group: &[Job]) -> bool {
    let has_some =
        |write: &Pending| !write.write.conditions.is_empty() || !write.write.untouched.is_empty();
    writes(group).any(has_some)
}

/// The writes that have no answer yet.
fn writes(group: &[Job]) -> impl Iterator<Item = &Pending> {
    let writes = group.iter().flat_map(Job::pending);
    writes.filter(|write| write.answer.is_none())
}

/// A user key in its comparator's order.
struct Key<'a> {
    bytes: &'a [u8],
    user: &'a Comparator,
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.user.compare(self.bytes, other.bytes)
    }
}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key<'_> {}

/// What is known of a key that some condition names.
#[derive(Clone, Copy)]
enum Known {
    Unread,
    Value(Option<Sequence>),
}

struct Judge<'a> {
    view: &'a Arc<View>,
    last: Sequence,
    /// The sequence that the next operation of a write that goes on will get.
    next: Sequence,
    /// The keys that conditions name, and no others: the cost is that of the conditions, not of the group.
    keys: BTreeMap<Key<'a>, Known>,
    /// The writes of the group that go on, so far.
    going_on: Vec<&'a Pending>,
}

impl<'a> Judge<'a> {
    fn new(group: &'a [Job], view: &'a Arc<View>, last: Sequence) -> Judge<'a> {
        let user = &view.comparator().user;
        let conditions = writes(group).flat_map(|write| &write.write.conditions);
        let key = |condition: &'a Condition| Key {
            bytes: &condition.key,
            user,
        };
        Judge {
            view,
            last,
            next: last + 1,
            keys: conditions.map(|c| (key(c), Known::Unread)).collect(),
            going_on: Vec::new(),
        }
    }

    fn run(mut self, group: &'a [Job]) -> Vec<Option<Refusal>> {
        let mut refusals = Vec::new();
        for write in writes(group) {
            let refusal = self
                .refusal(&write.write.conditions)
                .or_else(|| self.touched(&write.write.untouched));
            if refusal.is_none() {
                self.take_effect(write);
            }
            refusals.push(refusal);
        }
        refusals
    }

    fn refusal(&mut self, conditions: &'a [Condition]) -> Option<Refusal> {
        for condition in conditions {
            let error = match self.state_of(&condition.key) {
                Ok(found) if condition.expect.holds(found) => continue,
                Ok(found) => Error::conflict_of(Conflict {
                    key: condition.key.clone(),
                    expected: condition.expect,
                    found,
                }),
                Err(error) => error,
            };
            let at = self.next - 1;
            return Some(Refusal { error, at });
        }
        None
    }

    /// The refusal of a write whose ranges were not left alone.
    fn touched(&self, untouched: &[Untouched]) -> Option<Refusal> {
        let mut entries = MAX_WALKED;
        for Untouched { range, since } in untouched {
            let error = match self.newer_in(range, *since, &mut entries) {
                Ok(None) => continue,
                Ok(Some((key, found))) => Error::conflict_of(Conflict {
                    key,
                    expected: Expect::Absent,
                    found,
                }),
                Err(error) => error,
            };
            let at = self.next - 1;
            return Some(Refusal { error, at });
        }
        None
    }

    /// An entry in `range` that was put after `since`, or the place where `entries` more had been passed. A key that the
    /// group removes before this write is one too.
    fn newer_in(
        &self,
        range: &KeyRange,
        since: Sequence,
        entries: &mut u64,
    ) -> Result<Option<(Vec<u8>, Option<Sequence>)>> {
        let user = &self.view.comparator().user;
        for write in &self.going_on {
            let mut ops = write.write.batch.iter();
            if let Some(op) = ops.find(|op| range.contains(user, op.key())) {
                return Ok(Some((op.key().to_vec(), Some(self.next - 1))));
            }
        }
        let mut cursor = self
            .view
            .cursor(self.last)
            .keys_only()
            .passing_at_most(*entries);
        match &range.start {
            Bound::Unbounded => cursor.seek_to_first()?,
            Bound::Included(start) | Bound::Excluded(start) => cursor.seek(start)?,
        }
        while cursor.valid() && range.is_before_end(user, cursor.key()) {
            let newer = cursor.sequence() > since || *entries == 0;
            if newer && range.contains(user, cursor.key()) {
                return Ok(Some((cursor.key().to_vec(), Some(cursor.sequence()))));
            }
            *entries = entries.saturating_sub(1);
            cursor.next()?;
        }
        let stopped = cursor
            .stopped()
            .filter(|key| range.is_before_end(user, key));
        Ok(stopped.map(|key| (key.to_vec(), None)))
    }

    fn state_of(&mut self, bytes: &'a [u8]) -> Result<Option<Sequence>> {
        let user = &self.view.comparator().user;
        let key = Key { bytes, user };
        let known = self.keys.entry(key).or_insert(Known::Unread);
        if let Known::Value(found) = known {
            return Ok(*found);
        }
        let found = self.view.value_sequence(bytes, self.last)?;
        *known = Known::Value(found);
        Ok(found)
    }

    fn take_effect(&mut self, write: &'a Pending) {
        self.going_on.push(write);
        let user = &self.view.comparator().user;
        for op in &write.write.batch {
            let bytes = op.key();
            if let Some(known) = self.keys.get_mut(&Key { bytes, user }) {
                *known = Known::Value(match op {
                    Op::Put { .. } => Some(self.next),
                    Op::Delete { .. } => None,
                });
            }
            self.next += 1;
        }
    }
}
