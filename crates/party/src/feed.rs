//! A watch of this process: the committed changes of a range, read from the logs.
//!
//! Invariants:
//! - A position of an earlier epoch is believed only if that epoch was recovered through it and no other program had the
//!   directory since; else the watch says so and goes on from now.
//! - `through` never goes back, and every change in the range up to it was given, or said to be missing.

use std::collections::VecDeque;
use std::ops::Bound;
use std::time::Instant;

use level_party_engine::{Committed, Gap, Op, Tail, TailItem, TailWaker};

use crate::epoch::Epoch;
use crate::error::{Error, ErrorKind};
use crate::member::Member;
use crate::order::Order;
use crate::state_file::RecoveredThrough;
use crate::stop::Stop;

/// A part of a watch ends with the change that reaches this size.
const PIECE_BYTES: usize = 256 << 10;

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the first change after those that are visible now.
    Now,
    /// With the oldest change that is kept.
    Beginning,
    /// With the first change after this one, of the history that `epoch` knew (`None`: whatever history it was).
    After { sequence: u64, epoch: Option<Epoch> },
}

/// Changes from `from` on are missing; what follows begins with `resume`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub from: u64,
    pub resume: u64,
}

/// A change: its sequence, the key, and the value; no value: a delete.
pub(crate) type RawChange = (u64, Vec<u8>, Option<Vec<u8>>);

/// Changes in the order of their sequences.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    changes: VecDeque<RawChange>,
    bytes: usize,
}

impl Changes {
    fn push(&mut self, sequence: u64, key: &[u8], value: Option<&[u8]>) {
        self.bytes += key.len() + value.map_or(0, <[u8]>::len);
        let change = (sequence, key.to_vec(), value.map(<[u8]>::to_vec));
        self.changes.push_back(change);
    }

    /// Those that a server has told.
    pub fn of(told: Vec<level_party_remote::Change>) -> Changes {
        let raw = |change: level_party_remote::Change| (change.sequence, change.key, change.value);
        Changes {
            changes: told.into_iter().map(raw).collect(),
            bytes: 0, // Counted while a piece is gathered.
        }
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The next change.
    pub fn take(&mut self) -> Option<RawChange> {
        self.changes.pop_front()
    }
}

/// What a watch tells next.
#[derive(Debug)]
pub(crate) struct Told {
    pub gap: Option<Missing>,
    pub through: u64,
    pub changes: Changes,
}

impl Told {
    /// Nothing in the range changed up to `through`.
    pub fn progress(through: u64) -> Self {
        Told {
            gap: None,
            through,
            changes: Changes::default(),
        }
    }
}

/// One watch of one range.
pub(crate) struct Feed {
    tail: Tail,
    order: Order,
    lower: Bound<Vec<u8>>,
    upper: Bound<Vec<u8>>,
    /// A batch that was given in part.
    begun: Option<Committed>,
    gap: Option<Missing>,
    through: u64,
}

impl Feed {
    /// Begins a watch.
    ///
    /// # Errors
    /// `InvalidArgument`: no history is kept; the stay is over.
    pub fn start(
        member: &Member,
        from: Start,
        order: Order,
        lower: Bound<Vec<u8>>,
        upper: Bound<Vec<u8>>,
    ) -> Result<Self, Stop> {
        let engine = member.engine();
        let last = engine.last_sequence();
        let (after, gap) = match from {
            Start::Now => (last, None),
            Start::Beginning => (0, None),
            Start::After { sequence, epoch } => {
                let known = match epoch.map(|epoch| (epoch, member.recovered(epoch))) {
                    None | Some((_, None)) => sequence <= last,
                    Some((epoch, Some(RecoveredThrough::Sequence(through)))) => {
                        sequence <= through && member.follows_unbroken(epoch)
                    }
                    Some(_) => false,
                };
                let missing = Missing {
                    from: sequence.saturating_add(1),
                    resume: last + 1,
                };
                match known {
                    true => (sequence, None),
                    false => (last, Some(missing)),
                }
            }
        };
        if member.options().watch_history_bytes == 0 {
            return Err(Stop::Failed(Error::new(
                ErrorKind::InvalidArgument,
                "no history is kept to watch: the database was opened first with watch_history_bytes(0)",
            )));
        }
        let mut feed = Feed {
            tail: engine.tail_from(after.saturating_add(1))?,
            order,
            lower,
            upper,
            begun: None,
            gap,
            through: after,
        };
        if from == Start::Beginning {
            match feed.tail.try_next()? {
                // It keeps only what was asked for.
                Some(TailItem::Gap(gap)) => feed.through = gap.resume - 1,
                Some(TailItem::Batch(batch)) => feed.begun = Some(batch),
                None => {}
            }
        }
        Ok(feed)
    }

    /// What ends a wait.
    pub fn waker(&self) -> TailWaker {
        self.tail.waker()
    }

    /// Up to where everything was told.
    pub fn through(&self) -> u64 {
        self.through
    }

    /// Up to where there is something to tell, as of now.
    pub fn latest(&self) -> u64 {
        self.tail.latest()
    }

    /// What is told first: where the watch begins.
    pub fn first(&mut self) -> Told {
        Told {
            gap: self.gap.take(),
            ..Told::progress(self.through)
        }
    }

    /// What is told next. `None`: nothing by `until`, or woken; [`Feed::through`] may have gone on.
    ///
    /// # Errors
    /// `Over`: the leadership is, and all that it committed was told.
    pub fn next(&mut self, until: Instant) -> Result<Option<Told>, Stop> {
        let mut changes = Changes::default();
        if let Some(gap) = self.gap.take() {
            return Ok(Some(self.told(Some(gap), changes)));
        }
        loop {
            let batch = match self.begun.take() {
                Some(batch) => batch,
                None if changes.is_empty() => match self.tail.wait_next_until(Some(until))? {
                    Some(TailItem::Batch(batch)) => batch,
                    Some(TailItem::Gap(gap)) => {
                        self.through = gap.resume - 1;
                        return Ok(Some(self.told(Some(missing(gap)), changes)));
                    }
                    None => return Ok(None),
                },
                None => match self.tail.try_next()? {
                    Some(TailItem::Batch(batch)) => batch,
                    Some(TailItem::Gap(gap)) => {
                        let told = self.told(None, changes);
                        self.through = gap.resume - 1;
                        self.gap = Some(missing(gap));
                        return Ok(Some(told));
                    }
                    None => return Ok(Some(self.told(None, changes))),
                },
            };
            let all = self.take(batch, &mut changes);
            if !all || changes.bytes >= PIECE_BYTES {
                return Ok(Some(self.told(None, changes)));
            }
            // A range in which nothing changes: whoever waits hears of progress at times.
            if changes.is_empty() && Instant::now() >= until {
                return Ok(None);
            }
        }
    }

    /// Takes changes of `batch` until the piece is full; keeps the rest. Says whether it took all.
    fn take(&mut self, batch: Committed, changes: &mut Changes) -> bool {
        let mut through = self.through;
        let mut full = false;
        for (sequence, op) in batch.ops().filter(|(sequence, _)| *sequence > self.through) {
            if changes.bytes >= PIECE_BYTES {
                full = true;
                break;
            }
            if self.covers(op.key()) {
                match op {
                    Op::Put { key, value } => changes.push(sequence, key, Some(value)),
                    Op::Delete { key } => changes.push(sequence, key, None),
                }
            }
            through = sequence;
        }
        self.through = through;
        if full {
            self.begun = Some(batch);
        }
        !full
    }

    fn told(&self, gap: Option<Missing>, changes: Changes) -> Told {
        Told {
            gap,
            through: self.through,
            changes,
        }
    }

    fn covers(&self, key: &[u8]) -> bool {
        let (lower, upper) = (self.lower.as_ref(), self.upper.as_ref());
        self.order.is_above(lower.map(Vec::as_slice), key)
            && self.order.is_below(upper.map(Vec::as_slice), key)
    }
}

fn missing(gap: Gap) -> Missing {
    Missing {
        from: gap.from,
        resume: gap.resume,
    }
}
