//! [`Tail`]: the committed batches from a sequence on, in order, as they come. It reads them from the logs, so it has those of
//! all members of a segment, whoever commits or leads.
//!
//! Promises: every batch that is committed is given once, in order, with its sequence, as long as its log is there; what is
//! in no log any more is a [`Gap`], never silence. Nothing is given before it is committed (docs/COMMIT.md, G). The writes of
//! a group are one record of a log, and come as one batch. A tail takes the memory of what it reads, and holds nobody up.
//! Waiting takes no polling, and a commit that nobody waits for pays nothing for it.
//! Must not know: which logs are kept, or for how long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use level_party_format::Sequence;
use level_party_format::batch::{Op, WriteBatch};

use crate::base::control::BellKind;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::fs::Fs;
use crate::base::member::Member;
use crate::follow::log_reader::Found;

mod find_log;

use find_log::{Log, LogFinder, SequenceAt};

/// How long a tail sleeps at most: who committed may have died, or been stopped, before it had woken anybody.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// What all tails of an engine share.
pub(crate) struct Tails {
    finder: LogFinder,
    /// This engine commits nothing any more.
    closed: AtomicBool,
}

impl Tails {
    pub(crate) fn new(fs: &Arc<dyn Fs>, member: &Arc<Member>) -> Arc<Tails> {
        Arc::new(Tails {
            finder: LogFinder {
                fs: Arc::clone(fs),
                member: Arc::clone(member),
            },
            closed: AtomicBool::new(false),
        })
    }

    /// Ends all waiting; what is committed can still be read.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.wake_all();
    }

    /// Wakes all who wait at a tail, those of other members too: they find nothing and sleep on.
    fn wake_all(&self) {
        let Member { control, peers, .. } = self.finder.member.as_ref();
        peers.wake_all(control.ring_always(BellKind::Published));
    }
}

/// A committed batch, and from which of its operations on it was asked for.
#[derive(Clone, Debug)]
pub struct Committed {
    batch: Arc<WriteBatch>,
    from: Sequence,
}

impl Committed {
    /// The whole batch; its first operation has the sequence [`WriteBatch::sequence`], the next one more.
    pub fn batch(&self) -> &WriteBatch {
        &self.batch
    }

    /// The sequence of the first operation that was not given before: the batch's own, unless the reader began inside.
    pub fn from(&self) -> Sequence {
        self.from
    }

    /// The sequence of the last operation.
    pub fn last_sequence(&self) -> Sequence {
        (self.batch.sequence() + u64::from(self.batch.count())).saturating_sub(1)
    }

    /// The operations from [`Committed::from`] on, each with its sequence.
    pub fn ops(&self) -> impl Iterator<Item = (Sequence, Op<'_>)> {
        let numbered = (self.batch.sequence()..).zip(self.batch.iter());
        numbered.skip_while(|(sequence, _)| *sequence < self.from)
    }
}

/// Operations that can't be given any more, or never could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first sequence that is missing.
    pub from: Sequence,
    /// The first that may be given: the reader goes on there.
    pub resume: Sequence,
}

/// What a [`Tail`] gives.
#[derive(Clone, Debug)]
pub enum TailItem {
    /// The next batch: all that one group of writes did.
    Batch(Committed),
    /// Some operations are missing; the next item follows them.
    Gap(Gap),
}

/// The committed batches from a sequence on. Made by [`Engine::tail_from`](crate::Engine::tail_from).
pub struct Tail {
    tails: Arc<Tails>,
    next: Sequence,
    /// What it reads from.
    log: Option<Log>,
    woken: Arc<AtomicBool>,
}

/// Ends the waiting of one [`Tail`], from any thread.
#[derive(Clone)]
pub struct TailWaker {
    tails: Arc<Tails>,
    woken: Arc<AtomicBool>,
}

impl TailWaker {
    /// Makes the tail's present or next [`Tail::wait_next`] end with nothing.
    pub fn wake(&self) {
        self.woken.store(true, Ordering::SeqCst);
        self.tails.wake_all();
    }
}

impl Tail {
    pub(crate) fn new(tails: &Arc<Tails>, from: Sequence) -> Tail {
        Tail {
            tails: Arc::clone(tails),
            next: from.max(1),
            log: None,
            woken: Arc::default(),
        }
    }

    /// The sequence of the next operation it will give, or say to be missing: all before it were given, or said to be
    /// missing. Where [`Tail::try_next`] has nothing, that is all there is: an empty batch has no sequence of its own, and
    /// no sequence is left out.
    pub fn position(&self) -> Sequence {
        self.next
    }

    /// The sequence of the last operation that is committed.
    pub fn latest(&self) -> Sequence {
        self.tails.finder.member.control.last_sequence()
    }

    /// What wakes it.
    pub fn waker(&self) -> TailWaker {
        TailWaker {
            tails: Arc::clone(&self.tails),
            woken: Arc::clone(&self.woken),
        }
    }

    /// The next batch or gap, if it is there already.
    ///
    /// # Errors
    /// What keeps a log from being read that is there. It may be tried again.
    pub fn try_next(&mut self) -> Result<Option<TailItem>> {
        if self
            .log
            .as_ref()
            .is_none_or(|log| log.committed < self.next)
        {
            let place = self.tails.finder.find(self.next, &mut self.log)?;
            self.log = match place {
                SequenceAt::Log(log) => Some(log),
                SequenceAt::Missing { resume } => return Ok(Some(self.skip_to(resume))),
                SequenceAt::ToCome => return Ok(None),
            };
        }
        let Some(log) = &mut self.log else {
            return Ok(None);
        };
        match log.records.find(self.next, log.committed)? {
            Found::Missing { resume } => Ok(Some(self.skip_to(resume))),
            Found::Record(batch) => {
                let batch = Committed {
                    batch: Arc::new(batch),
                    from: self.next,
                };
                let skipped = u64::from(planted!(TailSkips));
                self.next = batch.last_sequence() + 1 + skipped;
                Ok(Some(TailItem::Batch(batch)))
            }
        }
    }

    fn skip_to(&mut self, resume: Sequence) -> TailItem {
        let from = std::mem::replace(&mut self.next, resume);
        TailItem::Gap(Gap { from, resume })
    }

    /// The next batch or gap; waits for it. Nothing if it was woken.
    ///
    /// # Errors
    /// As [`Tail::try_next`]; [`ErrorKind::Closed`] once the engine is closed and all that was committed before is given.
    pub fn wait_next(&mut self) -> Result<Option<TailItem>> {
        self.wait_next_until(None)
    }

    /// As [`Tail::wait_next`], but no longer than until the deadline. Nothing if it was woken or the deadline passed.
    ///
    /// # Errors
    /// As [`Tail::wait_next`].
    pub fn wait_next_until(&mut self, deadline: Option<Instant>) -> Result<Option<TailItem>> {
        let tails = Arc::clone(&self.tails);
        let Member { control, peers, .. } = tails.finder.member.as_ref();
        let mut is_announced = false;
        loop {
            // A ring from now on ends the sleep.
            let (bell, rings) = control.bell(BellKind::Published);
            if is_announced {
                control.announce_watch();
            }
            if self.woken.swap(false, Ordering::SeqCst) {
                return Ok(None);
            }
            let closed = tails.closed.load(Ordering::SeqCst);
            if let Some(item) = self.try_next()? {
                return Ok(Some(item));
            }
            if closed {
                let message = "the engine is closed: no more batches come";
                return Err(Error::new(ErrorKind::Closed, message));
            }
            let now = Instant::now();
            let left = deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(now));
            if left.is_zero() {
                return Ok(None);
            }
            if is_announced {
                peers.sleep(bell, rings, left.min(LONGEST_REST));
            }
            // Often something is there at the first look, and nobody has to ring.
            is_announced = !is_announced;
        }
    }
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
