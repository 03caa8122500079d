//! Writes that are made by one call of the function `write`.
//!
//! A batch of the call is one write with conditions, or a run of writes without.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use super::failure::Failure;
use super::link::{Link, bytes_of};
use super::reads::misread;
use super::schema::Sql;
use super::ticket::Ticket;
use crate::request::Write;

/// A write of a group, and whoever waits for it.
pub struct Member {
    pub ticket: Arc<Ticket>,
    write: Write,
}

/// A group that was sent, or is about to be.
pub struct Group {
    /// Its number in the session.
    pub number: u64,
    /// Random bits: another process may be a copy of this one.
    mark: u64,
    pub members: Vec<Member>,
    /// A call of it may have committed: only an answer for this number tells.
    pub open: bool,
}

/// What the server said of each member.
pub type Outcomes = Vec<Option<u64>>;

impl Group {
    /// The tickets that can still be sent.
    pub fn of(number: u64, mark: u64, tickets: Vec<Arc<Ticket>>) -> Group {
        let member = |ticket: Arc<Ticket>| ticket.send().map(|write| Member { ticket, write });
        Group {
            number,
            mark,
            members: tickets.into_iter().filter_map(member).collect(),
            open: false,
        }
    }

    /// Each member alone, in their order, with numbers above `number`.
    pub fn split(self, number: u64) -> Vec<Group> {
        let mark = self.mark;
        let alone = |(member, number)| Group {
            number,
            mark,
            members: vec![member],
            open: false,
        };
        self.members
            .into_iter()
            .zip(number + 1..)
            .map(alone)
            .collect()
    }

    /// Those for whom somebody waits.
    pub fn awaited(&self) -> impl Iterator<Item = &Arc<Ticket>> {
        let tickets = self.members.iter().map(|member| &member.ticket);
        tickets.filter(|ticket| !ticket.is_answered())
    }

    /// Calls the function `write`; at each moment that `next` gives, `next` is asked again.
    pub fn call(
        &self,
        link: &mut Link,
        sql: &Sql,
        (session, known, fills): ([u8; 16], u64, bool),
        deadline: Instant,
        next: impl FnMut() -> Option<Instant>,
    ) -> Result<Outcomes, Failure> {
        let batches = Batches::of(&self.members);
        let rows = link.query_with(
            sql,
            Sql::WRITE,
            &[
                &session.as_slice(),
                &(self.number as i64),
                &(self.mark as i64),
                &(known as i64),
                &fills,
                &batches.keys,
                &batches.values,
                &batches.ends,
                &batches.twice,
                &batches
                    .histories
                    .iter()
                    .map(|random| random.as_ref().map(<[u8; 16]>::as_slice))
                    .collect::<Vec<_>>(),
                &batches.key_names,
                &batches.key_sequences,
                &batches.key_ends,
                &batches.range_lows,
                &batches.range_highs,
                &batches.range_sinces,
                &batches.range_ends,
            ],
            deadline,
            next,
        )?;
        let row = rows.first().ok_or_else(|| Failure::Refused(misread()))?;
        let outcomes: Vec<i64> = row.try_get(0).map_err(Failure::of)?;
        batches
            .outcomes(&self.members, &outcomes)
            .ok_or_else(|| Failure::Refused(misread()))
    }
}

/// A group as the function takes it.
#[derive(Default)]
struct Batches<'a> {
    keys: Vec<&'a [u8]>,
    values: Vec<Option<&'a [u8]>>,
    ends: Vec<i32>,
    twice: Vec<bool>,
    histories: Vec<Option<[u8; 16]>>,
    key_names: Vec<&'a [u8]>,
    key_sequences: Vec<Option<i64>>,
    key_ends: Vec<i32>,
    range_lows: Vec<Vec<u8>>,
    range_highs: Vec<Option<Vec<u8>>>,
    range_sinces: Vec<i64>,
    range_ends: Vec<i32>,
    /// Of each batch: how many members it has.
    counts: Vec<usize>,
}

impl<'a> Batches<'a> {
    fn of(members: &'a [Member]) -> Self {
        let mut batches = Batches::default();
        let mut joins = false;
        for Member { write, .. } in members {
            let free = write.conditions.is_empty();
            if !(joins && free) {
                batches.close();
                batches.counts.push(0);
            }
            joins = free;
            *batches.counts.last_mut().expect("one was begun") += 1;
            batches.add(write);
        }
        batches.close();
        batches
    }

    fn add(&mut self, write: &'a Write) {
        for (key, value) in &write.ops {
            self.keys.push(key);
            self.values.push(value.as_deref());
        }
        for (key, sequence) in &write.conditions.keys {
            self.key_names.push(key);
            self.key_sequences
                .push(sequence.map(|sequence| sequence as i64));
        }
        for (range, since) in &write.conditions.ranges {
            // A range without keys holds always.
            if !range.is_empty() {
                self.range_lows.push(range.start());
                self.range_highs.push(range.end());
                self.range_sinces.push(*since as i64);
            }
        }
        if let Some(history) = write.conditions.history {
            // Of one batch there is one with conditions at most.
            self.histories.resize(self.counts.len() - 1, None);
            self.histories.push(Some(bytes_of(history.random)));
        }
    }

    /// Ends the batch that was begun last, if one was.
    fn close(&mut self) {
        if self.ends.len() == self.counts.len() {
            return;
        }
        let begin = self.ends.last().map_or(0, |end| *end as usize);
        let keys = &self.keys[begin..];
        let mut seen = HashSet::with_capacity(if keys.len() > 1 { keys.len() } else { 0 });
        self.twice
            .push(keys.len() > 1 && !keys.iter().all(|key| seen.insert(*key)));
        self.ends.push(self.keys.len() as i32);
        self.key_ends.push(self.key_names.len() as i32);
        self.range_ends.push(self.range_lows.len() as i32);
        self.histories.resize(self.counts.len(), None);
    }

    /// Each member's outcome, of those of the batches. `None`: they are not those of these batches.
    fn outcomes(&self, members: &[Member], told: &[i64]) -> Option<Outcomes> {
        if told.len() != self.counts.len() {
            return None;
        }
        let mut outcomes = Vec::with_capacity(members.len());
        let mut rest = members;
        for (count, told) in self.counts.iter().zip(told) {
            let (batch, others) = rest.split_at(*count);
            rest = others;
            let Ok(last) = u64::try_from(*told) else {
                outcomes.extend(batch.iter().map(|_| None));
                continue;
            };
            let ops: usize = batch.iter().map(|member| member.write.ops.len()).sum();
            let mut sequence = last.checked_sub(ops as u64)?;
            for member in batch {
                sequence += member.write.ops.len() as u64;
                outcomes.push(Some(sequence));
            }
        }
        Some(outcomes)
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Bound;

    use super::*;
    use crate::answer::History;
    use crate::request::{Conditions, KeyRange};

    fn member(write: Write) -> Member {
        Member {
            ticket: Ticket::new(Write::default(), Instant::now()),
            write,
        }
    }

    fn put(keys: &[&str]) -> Write {
        let op = |key: &&str| (key.as_bytes().to_vec(), Some(b"v".to_vec()));
        Write {
            ops: keys.iter().map(op).collect(),
            ..Write::default()
        }
    }

    #[test]
    fn writes_without_conditions_are_joined_and_each_has_its_outcome() {
        let conditions = Conditions {
            keys: vec![(b"k".to_vec(), None)],
            ranges: vec![(
                KeyRange {
                    lower: Bound::Unbounded,
                    upper: Bound::Excluded(Vec::new()),
                },
                7,
            )],
            history: Some(History {
                number: 1,
                random: [0, 5],
            }),
        };
        let if_absent = Write {
            conditions,
            ..put(&["k"])
        };
        let members: Vec<Member> = [
            put(&["a", "b"]),
            put(&["a"]),
            if_absent,
            put(&["c"]),
            put(&[]),
        ]
        .map(member)
        .into();
        let batches = Batches::of(&members);
        assert_eq!(
            (&batches.counts, &batches.ends),
            (&vec![2, 1, 2], &vec![3, 4, 5])
        );
        assert_eq!(batches.twice, [true, false, false]);
        assert_eq!(
            (&batches.key_ends, &batches.range_ends),
            (&vec![0, 1, 1], &vec![0, 0, 0])
        );
        let histories: Vec<bool> = batches.histories.iter().map(Option::is_some).collect();
        assert_eq!(histories, [false, true, false]);
        let outcomes = batches.outcomes(&members, &[13, -1, 14]).unwrap();
        assert_eq!(outcomes, [Some(12), Some(13), None, Some(14), Some(14)]);
        assert_eq!(batches.outcomes(&members, &[13]), None);
    }
}
