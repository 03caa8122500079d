//! A watch at the leader: the committed changes of a range, read from the engine's window of recent batches.
//!
//! Invariants:
//! - A position of an earlier leadership is believed only if that leadership was recovered through it and no other
//!   program had the directory since; else the watch says so and goes on from now.
//! - `through` never goes back, and every change in the range up to it was given, or said to be missing.

use std::ops::Bound;
use std::time::Instant;

use level_party_engine::{Committed, Gap, Op, Tail, TailItem, TailWaker};
use serde_bytes::ByteBuf;

use super::service::{Service, Stop};
use crate::error::{Error, ErrorKind};
use crate::protocol::{
    Changes, Missing, RecoveredThrough, Start, check_travels, max_reply_content,
};
use crate::state::StateFile;

/// A part of a watch ends with the change that reaches this size.
const PIECE_BYTES: usize = 256 << 10;

/// What a watch tells next: see [`Piece`](crate::protocol::Piece).
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
    lower: Bound<ByteBuf>,
    upper: Bound<ByteBuf>,
    /// A batch that was given in part.
    begun: Option<Committed>,
    gap: Option<Missing>,
    through: u64,
}

impl Feed {
    /// Begins a watch.
    ///
    /// # Errors
    /// `InvalidArgument`: this leader keeps no history.
    pub fn start(
        service: &Service,
        state: &StateFile,
        from: Start,
        lower: Bound<ByteBuf>,
        upper: Bound<ByteBuf>,
    ) -> Result<Self, Stop> {
        let engine = service.engine();
        let last = engine.last_sequence();
        let (after, gap) = match from {
            Start::Now => (last, None),
            Start::Beginning => (0, None),
            Start::After { sequence, epoch } => {
                let known = match epoch.map(|epoch| service.recovered(state, epoch)) {
                    None | Some(RecoveredThrough::Current) => sequence <= last,
                    Some(RecoveredThrough::Sequence(through)) => {
                        sequence <= through
                            && epoch.is_some_and(|epoch| service.follows_unbroken(state, epoch))
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
        if service.options().watch_history_bytes == 0 {
            return Err(Stop::Failed(Error::new(
                ErrorKind::InvalidArgument,
                "the leader keeps no history to watch: it was opened with watch_history_bytes(0)",
            )));
        }
        let mut feed = Feed {
            tail: engine.tail_from(after.saturating_add(1))?,
            lower,
            upper,
            begun: None,
            gap,
            through: after,
        };
        if from == Start::Beginning {
            match feed.tail.try_next() {
                // What is not kept was not asked for.
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
                None if changes.packed().is_empty() => {
                    match self.tail.wait_next_until(Some(until))? {
                        Some(TailItem::Batch(batch)) => batch,
                        Some(TailItem::Gap(gap)) => {
                            self.through = gap.resume - 1;
                            return Ok(Some(self.told(Some(missing(gap)), changes)));
                        }
                        None => return Ok(None),
                    }
                }
                None => match self.tail.try_next() {
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
            let all = self.take(batch, &mut changes)?;
            if !all || changes.packed().len() >= PIECE_BYTES {
                return Ok(Some(self.told(None, changes)));
            }
            // A range in which nothing changes: whoever waits hears of progress at times.
            if changes.packed().is_empty() && Instant::now() >= until {
                return Ok(None);
            }
        }
    }

    /// Takes changes of `batch` until the piece is full; keeps the rest. Says whether it took all.
    ///
    /// # Errors
    /// `InvalidArgument`: a change that no piece can hold.
    fn take(&mut self, batch: Committed, changes: &mut Changes) -> Result<bool, Stop> {
        let full = {
            let left = batch.ops().filter(|(sequence, _)| *sequence > self.through);
            let mut through = self.through;
            let mut full = false;
            for (sequence, op) in left {
                if changes.packed().len() >= PIECE_BYTES {
                    full = true;
                    break;
                }
                if self.covers(op.key()) {
                    let bytes = match op {
                        Op::Put { key, value } => key.len() + value.len(),
                        Op::Delete { key } => key.len(),
                    };
                    if changes.packed().is_empty() {
                        check_travels(bytes).map_err(Stop::Failed)?;
                    } else if changes.packed().len() + bytes > max_reply_content() {
                        full = true;
                        break;
                    }
                    match op {
                        Op::Put { key, value } => changes.push(sequence, key, Some(value)),
                        Op::Delete { key } => changes.push(sequence, key, None),
                    }
                }
                through = sequence;
            }
            self.through = through;
            full
        };
        if full {
            self.begun = Some(batch);
        }
        Ok(!full)
    }

    fn told(&self, gap: Option<Missing>, changes: Changes) -> Told {
        Told {
            gap,
            through: self.through,
            changes,
        }
    }

    fn covers(&self, key: &[u8]) -> bool {
        let after = match &self.lower {
            Bound::Unbounded => true,
            Bound::Included(lower) => key >= lower.as_slice(),
            Bound::Excluded(lower) => key > lower.as_slice(),
        };
        after
            && match &self.upper {
                Bound::Unbounded => true,
                Bound::Included(upper) => key <= upper.as_slice(),
                Bound::Excluded(upper) => key < upper.as_slice(),
            }
    }
}

fn missing(gap: Gap) -> Missing {
    Missing {
        from: gap.from,
        resume: gap.resume,
    }
}
