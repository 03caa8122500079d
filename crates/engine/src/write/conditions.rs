//! Judges the conditions of a group's writes, in queue order, before anything of the group is assigned.
//!
//! Promises: a write is judged against the published state and what the earlier writes of its own group that go on will
//! have made of it; so of two writes in one group that both expect the same sequence, the second is refused. A write
//! whose condition can't be read is refused with that error, and no other.
//! Must not know: what becomes of a refusal.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use level_party_format::batch::Op;
use level_party_format::{Comparator, Sequence};

use super::{Entry, Job, Pending};
use crate::condition::{Condition, Conflict};
use crate::error::{Error, Result};
use crate::view::View;

/// Why a write does not go on.
pub(crate) struct Refusal {
    pub(crate) error: Error,
    /// The last sequence of the state that it was judged against, once that is known.
    pub(crate) at: Sequence,
}

/// Refuses the writes of a group whose conditions don't hold. `last` is the last sequence published in `view`.
pub(super) fn judge(group: &mut [Entry], view: &View, last: Sequence) {
    if writes(group).all(|write| write.write.conditions.is_empty()) {
        return;
    }
    let refusals = Judge::new(group, view, last).run(group);
    let pending = group.iter_mut().flat_map(|entry| match &mut entry.job {
        Job::Writes(writes) => writes.as_mut_slice(),
        Job::Freeze | Job::Close => &mut [],
    });
    let undecided = pending.filter(|write| write.answer.is_none());
    for (write, refusal) in undecided.zip(refusals) {
        write.refusal = refusal;
    }
}

/// The writes that have no answer yet.
fn writes(group: &[Entry]) -> impl Iterator<Item = &Pending> {
    let writes = group.iter().flat_map(|entry| match &entry.job {
        Job::Writes(writes) => writes.as_slice(),
        Job::Freeze | Job::Close => &[],
    });
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
    view: &'a View,
    last: Sequence,
    /// The sequence that the next operation of a write that goes on will get.
    next: Sequence,
    /// The keys that conditions name, and no others: the cost is that of the conditions, not of the group.
    keys: BTreeMap<Key<'a>, Known>,
}

impl<'a> Judge<'a> {
    fn new(group: &'a [Entry], view: &'a View, last: Sequence) -> Judge<'a> {
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
        }
    }

    fn run(mut self, group: &'a [Entry]) -> Vec<Option<Refusal>> {
        let mut refusals = Vec::new();
        for write in writes(group) {
            let refusal = self.refusal(&write.write.conditions);
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
