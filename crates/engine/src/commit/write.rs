//! Writes: what a caller hands in, as an entry of the queue ([`queue`]), and what it gets back.
//!
//! Promises: what is beyond the limits is refused before it queues.
//! Must not know: how entries wait, how a group is committed ([`group`]), or what the hooks do.

use std::time::Instant;

use level_party_format::Sequence;
use level_party_format::batch::{Op, WriteBatch};

use crate::base::condition::{Condition, Expect, Untouched};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::key_range::KeyRange;
use crate::base::waiting::WaitedFor;
use crate::commit::memory;

mod conditions;
mod group;
mod queue;
mod room;

use conditions::Refusal;
pub(crate) use group::Committer;
pub(crate) use queue::WriteQueue;

/// The longest user key that is written, in bytes. Longer ones that are in a database are read. Keys are held whole in
/// indexes, manifests and messages, where a larger one would cost many times its size.
pub const MAX_KEY_BYTES: usize = 16 << 20;
/// The longest value that is written, in bytes: a block, a log record and a memtable, whose lengths have 32 bits, hold
/// it with room to spare. Writing it takes about four times its size in memory (batch, record, memtable, block).
pub const MAX_VALUE_BYTES: usize = 512 << 20;

/// A batch, and how it is to be committed.
///
/// ```
/// use level_party_engine::Write;
/// use level_party_format::batch::WriteBatch;
/// let mut batch = WriteBatch::new();
/// batch.delete(b"colour");
/// let write = Write::new(batch).sync(true);
/// assert!(write.sync);
/// ```
pub struct Write {
    /// What is written, all of it or nothing. An empty batch is a barrier: it gets the sequence before it.
    pub batch: WriteBatch,
    /// The answer waits until this write and all before it survive a loss of power.
    pub sync: bool,
    /// When the write is given up if its turn has not come; see [`Write::deadline`].
    pub deadline: Option<Instant>,
    /// Who is told of the steps of the commit.
    pub hook: Option<Box<dyn CommitHook>>,
    /// What must be true for the batch to be applied, all of it; see [`Write::condition`].
    pub conditions: Vec<Condition>,
    /// The ranges in which nothing may have been put; see [`Write::untouched`].
    pub untouched: Vec<Untouched>,
}

impl Write {
    /// A write of this batch, without sync, without a hook.
    pub fn new(batch: WriteBatch) -> Write {
        Write {
            batch,
            sync: false,
            deadline: None,
            hook: None,
            conditions: Vec::new(),
            untouched: Vec::new(),
        }
    }

    /// Sets [`Write::sync`].
    pub fn sync(mut self, sync: bool) -> Write {
        self.sync = sync;
        self
    }

    /// Sets [`Write::deadline`]: if the write still waits then, for earlier writes of this process, for another member that
    /// commits, or for room, it is answered with [`ErrorKind::Timeout`] and has no effect. A write that has begun by then is not
    /// broken off, as its append to the log and its sync. If its sync would have to wait longer, the write is applied, and the
    /// answer is [`ErrorKind::NotDurable`].
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use level_party_engine::{Write, WriteBatch};
    /// let write = Write::new(WriteBatch::new()).deadline(Instant::now() + Duration::from_secs(5));
    /// assert!(write.deadline.is_some());
    /// ```
    pub fn deadline(mut self, deadline: Instant) -> Write {
        self.deadline = Some(deadline);
        self
    }

    /// Adds a condition: the batch is applied only if the key is as expected when this write's turn comes, all earlier
    /// writes of every caller done. Otherwise nothing is written, no sequence is used, and the answer is
    /// [`ErrorKind::Conflict`] with [`Error::conflict`].
    ///
    /// ```
    /// use std::sync::Arc;
    /// use level_party_engine::{Engine, ErrorKind, Expect, MemFs, Options, Write, WriteBatch};
    ///
    /// let engine = Engine::open(Arc::new(MemFs::new()), Options::default())?;
    /// let put = |value: &[u8]| {
    ///     let mut batch = WriteBatch::new();
    ///     batch.put(b"counter", value);
    ///     Write::new(batch)
    /// };
    /// let first = engine.write(put(b"1").condition(b"counter", Expect::Absent))?;
    /// engine.write(put(b"2").condition(b"counter", Expect::Sequence(first)))?;
    /// let late = engine.write(put(b"2").condition(b"counter", Expect::Sequence(first))).unwrap_err();
    /// assert_eq!(late.kind(), ErrorKind::Conflict);
    /// assert_eq!(late.conflict().unwrap().found, Some(2));
    /// # Ok::<(), level_party_engine::Error>(())
    /// ```
    pub fn condition(mut self, key: &[u8], expect: Expect) -> Write {
        self.conditions.push(Condition {
            key: key.to_vec(),
            expect,
        });
        self
    }

    /// Adds a condition on a range: the batch is applied only if no key in it has an entry that was put after `since`,
    /// whether it is a new key or not, when this write's turn comes. (A key that was removed is found by a condition on
    /// that key.) Judged as [`Write::condition`]; the range is read while the other writers wait, so where it takes more
    /// than a million entries the answer is a conflict too.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use level_party_engine::{Engine, ErrorKind, KeyRange, MemFs, Options, Write, WriteBatch};
    ///
    /// let engine = Engine::open(Arc::new(MemFs::new()), Options::default())?;
    /// let put = |key: &[u8]| {
    ///     let mut batch = WriteBatch::new();
    ///     batch.put(key, b"");
    ///     Write::new(batch)
    /// };
    /// let since = engine.write(put(b"job/1"))?;
    /// engine.write(put(b"job/2").untouched(KeyRange::prefix(b"job/"), since))?;
    /// let late = engine.write(put(b"job/3").untouched(KeyRange::prefix(b"job/"), since)).unwrap_err();
    /// assert_eq!(late.kind(), ErrorKind::Conflict);
    /// assert_eq!(late.conflict().unwrap().key, b"job/2");
    /// # Ok::<(), level_party_engine::Error>(())
    /// ```
    pub fn untouched(mut self, range: KeyRange, since: Sequence) -> Write {
        self.untouched.push(Untouched { range, since });
        self
    }

    /// Sets [`Write::hook`].
    pub fn hook(mut self, hook: Box<dyn CommitHook>) -> Write {
        self.hook = Some(hook);
        self
    }
}

/// Is told of the steps of one write's commit, by whichever thread commits. It must be quick, and must not call the
/// engine: the other writers wait.
pub trait CommitHook: Send {
    /// Whether the write is still wanted, asked when nobody has to be waited for any more. `false` drops it from the group:
    /// it has no effect, and its answer is [`ErrorKind::Cancelled`]. After `true` it can fail, but not be cancelled.
    fn claim(&mut self) -> bool;

    /// The sequence of the write's last operation (for an empty batch, of the operation before it). Nothing has been
    /// appended yet; the room for it has been made.
    fn assigned(&mut self, last_sequence: Sequence);

    /// The append failed after [`CommitHook::assigned`] or [`CommitHook::refused`]: neither holds any more, and the sequence
    /// is given to another write. The caller is answered next.
    fn undone(&mut self) {}

    /// The write is done and published, and durable if it asked for that; its caller is answered next. Never called for a
    /// write that is [not known to be durable](ErrorKind::NotDurable).
    fn decided(&mut self, last_sequence: Sequence) {
        let _ = last_sequence;
    }

    /// The write is refused: a condition does not hold, or could not be read. `at` is the last sequence of the state it
    /// was judged against: of the write before it, which may be one of its own group. It comes before any later write of
    /// the group is assigned its sequence, and [`CommitHook::assigned`] never comes. If the group's append fails after
    /// it, a refusal that rests on the group's own writes is answered as they are; it is told by [`CommitHook::undone`].
    fn refused(&mut self, error: &Error, at: Sequence) {
        let _ = error;
        self.decided(at);
    }
}

/// What became of a write, and what is left of it. Given by [`Engine::write_at_once`](crate::Engine::write_at_once).
#[derive(Debug)]
pub struct Outcome {
    /// As [`Engine::write`](crate::Engine::write) answers.
    pub result: Result<Sequence>,
    /// It was assigned a sequence, and kept it. If it was not, it failed without effect.
    pub assigned: bool,
    /// The write's batch, given back.
    pub batch: WriteBatch,
}

/// One write of an entry, and its answer once there is one.
pub(crate) struct Pending {
    pub(crate) write: Write,
    pub(crate) answer: Option<Result<Sequence>>,
    /// Its conditions don't hold; it is answered with its group.
    refusal: Option<Refusal>,
    /// It has its sequences; whether it gets into the log is open.
    assigned: bool,
    /// Bytes it needs in the memtable at most.
    pub(crate) demand: usize,
}

impl Pending {
    pub(crate) fn into_outcome(self) -> Outcome {
        Outcome {
            result: answered(self.answer),
            assigned: self.assigned,
            batch: self.write.batch,
        }
    }
}

/// What a caller hands in as one entry of the queue, and gets back with its answers in it.
pub(crate) enum Job {
    /// One write. It needs no memory of its own.
    Write(Pending),
    /// Writes, in order, in one group.
    Writes(Vec<Pending>),
    /// Have this region written no more, or the active one if it has entries, if that can be done until then; the answer is
    /// the number of the log then in use.
    Leave {
        region: Option<u32>,
        deadline: Option<Instant>,
        answer: Option<Result<Sequence>>,
    },
    /// The last entry: when it is answered, nothing is being committed, and nothing will be.
    Close(Option<Result<Sequence>>),
}

impl Job {
    pub(crate) fn write(write: Write) -> Job {
        Job::Write(prepare(write))
    }

    pub(crate) fn writes(writes: Vec<Write>) -> Job {
        let mut writes: Vec<Pending> = writes.into_iter().map(prepare).collect();
        // They go into one memtable.
        let demand = writes
            .iter()
            .map(|w| w.demand)
            .fold(0, usize::saturating_add);
        if demand > memory::MAX_DEMAND {
            for pending in writes.iter_mut().filter(|pending| pending.answer.is_none()) {
                let message = format!("{demand} bytes are too many for one group of writes");
                pending.answer = Some(Err(Error::new(ErrorKind::InvalidArgument, message)));
            }
        }
        Job::Writes(writes)
    }

    /// Its writes, in order.
    pub(crate) fn pending(&self) -> &[Pending] {
        match self {
            Job::Write(pending) => std::slice::from_ref(pending),
            Job::Writes(writes) => writes,
            Job::Leave { .. } | Job::Close(_) => &[],
        }
    }

    pub(crate) fn pending_mut(&mut self) -> &mut [Pending] {
        match self {
            Job::Write(pending) => std::slice::from_mut(pending),
            Job::Writes(writes) => writes,
            Job::Leave { .. } | Job::Close(_) => &mut [],
        }
    }

    /// The answer of a single write, or of what is no write.
    pub(crate) fn into_answer(self) -> Result<Sequence> {
        match self {
            Job::Write(Pending { answer, .. }) | Job::Leave { answer, .. } | Job::Close(answer) => {
                answered(answer)
            }
            Job::Writes(_) => unreachable!("several writes have several answers"),
        }
    }

    /// The answers of several writes, in order.
    pub(crate) fn into_answers(self) -> Vec<Result<Sequence>> {
        match self {
            Job::Writes(writes) => writes.into_iter().map(|w| answered(w.answer)).collect(),
            single => vec![single.into_answer()],
        }
    }

    /// Whether each of its writes has its answer.
    fn is_answered(&self) -> bool {
        match self {
            Job::Leave { answer, .. } | Job::Close(answer) => answer.is_some(),
            _ => self.pending().iter().all(|write| write.answer.is_some()),
        }
    }

    /// When it is to be given up, or the first of its writes.
    fn deadline(&self) -> Option<Instant> {
        if let Job::Leave { deadline, .. } = self {
            return *deadline;
        }
        let open = self.pending().iter().filter(|w| w.answer.is_none());
        open.filter_map(|write| write.write.deadline).min()
    }

    /// Gives up its writes whose time is over, or all of it.
    fn give_up(&mut self, waited_for: WaitedFor) {
        let now = Instant::now();
        if let Job::Leave {
            deadline: Some(at),
            answer,
            ..
        } = self
            && *at <= now
        {
            *answer = Some(Err(Error::timed_out(waited_for)));
        }
        let open = self.pending_mut().iter_mut().filter(|w| w.answer.is_none());
        for write in open.filter(|w| w.write.deadline.is_some_and(|at| at <= now)) {
            write.answer = Some(Err(Error::timed_out(waited_for)));
        }
    }

    fn bytes(&self) -> usize {
        let bytes = self.pending().iter().map(|w| w.write.batch.byte_size());
        bytes.sum()
    }

    fn syncs(&self) -> bool {
        self.pending().iter().any(|w| w.write.sync)
    }

    fn is_writes(&self) -> bool {
        matches!(self, Job::Write(_) | Job::Writes(_))
    }
}

fn answered(answer: Option<Result<Sequence>>) -> Result<Sequence> {
    answer.unwrap_or_else(|| Err(Error::new(ErrorKind::Io, "the write was left unanswered")))
}

/// Answers a write that is beyond the limits before it comes into a group.
fn prepare(write: Write) -> Pending {
    let demand = memory::bytes_for(write.batch.iter());
    let refused = beyond_limits(&write, demand);
    let answer = refused.map(|message| Err(Error::new(ErrorKind::InvalidArgument, message)));
    Pending {
        write,
        answer,
        refusal: None,
        assigned: false,
        demand,
    }
}

/// Which limit a write is beyond.
fn beyond_limits(write: &Write, demand: usize) -> Option<String> {
    let size = write.batch.byte_size();
    let small = MAX_KEY_BYTES.min(MAX_VALUE_BYTES);
    if size > small {
        for op in &write.batch {
            let (key, value) = match op {
                Op::Put { key, value } => (key.len(), value.len()),
                Op::Delete { key } => (key.len(), 0),
            };
            if key > MAX_KEY_BYTES {
                let most = MAX_KEY_BYTES;
                return Some(format!("a key of {key} bytes is longer than {most}"));
            }
            if value > MAX_VALUE_BYTES {
                let most = MAX_VALUE_BYTES;
                return Some(format!("a value of {value} bytes is longer than {most}"));
            }
        }
    }
    (demand > memory::MAX_DEMAND)
        .then(|| format!("a batch of {size} bytes is more than a memtable can hold"))
}
