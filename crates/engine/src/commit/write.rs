//! Writes: what a caller hands in, and the queue by which callers commit for each other.
//!
//! Promises: entries take effect in the order in which they came; a caller that finds nobody committing commits by
//! itself, with no hand-over to another thread; whoever commits takes the waiting entries along as one group, up to
//! LevelDB's limits on its size.
//! Must not know: how a group is committed ([`group`]), or what the hooks do.
//!
//! The right to commit is a value, the `Committer`: it lies in the queue when nobody commits, and is handed from
//! the caller that is done to the one that has waited longest.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};

use level_party_format::Sequence;
use level_party_format::batch::{Op, WriteBatch};
use parking_lot::Mutex;

use crate::base::condition::{Condition, Expect, Untouched};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::key_range::KeyRange;
use crate::commit::memory;
use crate::commit::shared::Shared;

mod conditions;
mod group;

use conditions::Refusal;
pub(crate) use group::Committer;

/// The longest user key that is written, in bytes. Longer ones that are in a database are read. Keys are held whole in
/// indexes, manifests and messages, where a larger one would cost many times its size.
pub const MAX_KEY_BYTES: usize = 16 << 20;
/// The longest value that is written, in bytes: a block, a log record and a memtable, whose lengths have 32 bits, hold
/// it with room to spare. Writing it takes about four times its size in memory (batch, record, memtable, block).
pub const MAX_VALUE_BYTES: usize = 512 << 20;

/// A group that is larger than this takes no further entry along.
const MAX_GROUP: usize = 1 << 20;
/// A small first entry waits for no more than this beside it.
const SMALL_GROUP: usize = 128 << 10;
/// How often a waiting caller looks before it sleeps: a few microseconds, as long as a group without sync takes, while
/// being woken costs many times that.
const SPINS: usize = 200;

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
    /// Whether the write is still wanted. `false` drops it from the group: it has no effect, and its answer is
    /// [`ErrorKind::Cancelled`]. After `true` it can fail, but not be cancelled.
    fn claim(&mut self) -> bool;

    /// The sequence of the write's last operation (for an empty batch, of the operation before it). Nothing has been
    /// appended yet; the room for it has been made.
    fn assigned(&mut self, last_sequence: Sequence);

    /// The write is done and published; its caller is answered next.
    fn decided(&mut self, last_sequence: Sequence) {
        let _ = last_sequence;
    }

    /// The write is refused: a condition does not hold, or could not be read. `at` is the last sequence of the state it
    /// was judged against: of the write before it, which may be one of its own group. It comes before any later write of
    /// the group is assigned its sequence, and [`CommitHook::assigned`] never comes. If the group's append fails after
    /// it, a refusal that rests on the group's own writes is answered as they are.
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
    /// It was assigned a sequence. If it was not, it failed without effect.
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
    /// Freeze the active memtable, if it has entries; the answer is the number of the log then in use.
    Freeze(Option<Result<Sequence>>),
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
            Job::Freeze(_) | Job::Close(_) => &[],
        }
    }

    pub(crate) fn pending_mut(&mut self) -> &mut [Pending] {
        match self {
            Job::Write(pending) => std::slice::from_mut(pending),
            Job::Writes(writes) => writes,
            Job::Freeze(_) | Job::Close(_) => &mut [],
        }
    }

    /// The answer of a single write, or of what is no write.
    pub(crate) fn into_answer(self) -> Result<Sequence> {
        match self {
            Job::Write(Pending { answer, .. }) | Job::Freeze(answer) | Job::Close(answer) => {
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

/// Entries waiting to be committed.
pub(crate) struct WriteQueue {
    inner: Mutex<Inner>,
}

struct Inner {
    waiting: VecDeque<Arc<Ticket>>,
    /// Invariant: if it is here, nobody commits and nobody waits.
    idle: Option<Box<Committer>>,
}

/// A waiting caller.
struct Ticket {
    /// `slot` was changed by another: the caller need not wait any longer.
    called: AtomicBool,
    thread: Thread,
    slot: Mutex<Slot>,
}

enum Slot {
    /// Waiting.
    Waiting(Job),
    /// The caller is to commit its own entry, and what waits behind it.
    Commit(Job, Box<Committer>),
    /// Somebody committed the entry; it has its answers.
    Done(Job),
    /// Taken.
    Empty,
}

impl WriteQueue {
    pub(crate) fn new(committer: Committer) -> WriteQueue {
        WriteQueue {
            inner: Mutex::new(Inner {
                waiting: VecDeque::new(),
                idle: Some(Box::new(committer)),
            }),
        }
    }

    /// Puts an entry in the queue and returns once it is committed, by this thread or another, with its answers in it.
    pub(crate) fn submit(&self, shared: &Shared, job: &mut Job) {
        let mut inner = self.inner.lock();
        if let Some(committer) = inner.idle.take() {
            drop(inner);
            return or_resume(self.commit(shared, std::slice::from_mut(job), committer));
        }
        let ticket = Arc::new(Ticket::new(std::mem::replace(job, Job::Writes(Vec::new()))));
        inner.waiting.push_back(Arc::clone(&ticket));
        drop(inner);
        match ticket.wait() {
            Slot::Commit(own, committer) => *job = self.commit_for_others(shared, own, committer),
            Slot::Done(done) => *job = done,
            Slot::Waiting(_) | Slot::Empty => unreachable!("a called ticket has an outcome"),
        }
    }

    /// Whether somebody is committing.
    pub(crate) fn is_busy(&self) -> bool {
        self.inner.lock().idle.is_none()
    }

    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.inner.lock().waiting.len()
    }

    /// As [`WriteQueue::submit`] if nobody is committing; otherwise nothing happens, and it says so.
    pub(crate) fn submit_at_once(&self, shared: &Shared, job: &mut Job) -> bool {
        let Some(committer) = self.inner.lock().idle.take() else {
            return false;
        };
        or_resume(self.commit(shared, std::slice::from_mut(job), committer));
        true
    }

    /// Commits the entry of a caller that has waited, and what waits behind it. Gives that entry.
    fn commit_for_others(&self, shared: &Shared, own: Job, committer: Box<Committer>) -> Job {
        let mut group = vec![own];
        let tickets = self.take_along(&mut group);
        let committed = self.commit(shared, &mut group, committer);
        let mut done = group.into_iter();
        let own = done
            .next()
            .expect("the committing caller's entry is in its group");
        for (ticket, job) in tickets.into_iter().zip(done) {
            ticket.call(Slot::Done(job));
        }
        or_resume(committed);
        own
    }

    /// Commits a group, and hands the right to commit over. An error is the panic of a hook; the group has its answers
    /// then, too.
    fn commit(
        &self,
        shared: &Shared,
        group: &mut [Job],
        mut committer: Box<Committer>,
    ) -> thread::Result<()> {
        let committed = catch_unwind(AssertUnwindSafe(|| committer.commit(shared, group)));
        if committed.is_err() {
            // What the group left behind is unknown, so nothing may follow it.
            let error = Error::new(ErrorKind::Io, "panicked in the middle of a commit");
            let poisoned = shared.health.poison(error);
            group::fail(group, &poisoned);
        }
        self.hand_over(committer);
        committed
    }

    /// Adds waiting entries to the group, as LevelDB's `BuildBatchGroup` does: a small write is not kept waiting by
    /// much larger ones, nor one without sync by one with. Gives who waits for them.
    fn take_along(&self, group: &mut Vec<Job>) -> Vec<Arc<Ticket>> {
        let mut tickets = Vec::new();
        let first = &group[0];
        if !first.is_writes() {
            return tickets;
        }
        let mut size = first.bytes();
        let syncs = first.syncs();
        let limit = if size <= SMALL_GROUP {
            size + SMALL_GROUP
        } else {
            MAX_GROUP
        };
        let mut inner = self.inner.lock();
        while let Some(ticket) = inner.waiting.front() {
            let mut slot = ticket.slot.lock();
            let Slot::Waiting(job) = &*slot else { break };
            size += job.bytes();
            if !job.is_writes() || size > limit || (job.syncs() && !syncs) {
                break;
            }
            let Slot::Waiting(job) = std::mem::replace(&mut *slot, Slot::Empty) else {
                break;
            };
            drop(slot);
            tickets.extend(inner.waiting.pop_front());
            group.push(job);
        }
        tickets
    }

    /// Gives the right to commit to the caller that has waited longest, or lays it down.
    fn hand_over(&self, committer: Box<Committer>) {
        let mut inner = self.inner.lock();
        match inner.waiting.pop_front() {
            None => inner.idle = Some(committer),
            Some(next) => {
                drop(inner);
                let job = match std::mem::replace(&mut *next.slot.lock(), Slot::Empty) {
                    Slot::Waiting(job) => job,
                    _ => unreachable!("an entry in the queue waits"),
                };
                next.call(Slot::Commit(job, committer));
            }
        }
    }
}

/// Goes on with the panic that a commit ended in.
fn or_resume(committed: thread::Result<()>) {
    if let Err(panic) = committed {
        resume_unwind(panic);
    }
}

impl Ticket {
    fn new(job: Job) -> Ticket {
        Ticket {
            called: AtomicBool::new(false),
            thread: thread::current(),
            slot: Mutex::new(Slot::Waiting(job)),
        }
    }

    fn call(&self, slot: Slot) {
        *self.slot.lock() = slot;
        self.called.store(true, Ordering::Release);
        self.thread.unpark();
    }

    fn wait(&self) -> Slot {
        for _ in 0..SPINS {
            if self.called.load(Ordering::Acquire) {
                break;
            }
            std::hint::spin_loop();
        }
        while !self.called.load(Ordering::Acquire) {
            thread::park();
        }
        std::mem::replace(&mut *self.slot.lock(), Slot::Empty)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use level_party_format::log::{LogItem, LogReader};

    use super::*;
    use crate::{Engine, Fs, MemFs, Options};

    /// Says when its write's commit has begun, and holds it up there until it is told to go on.
    struct Gate(Sender<()>, Receiver<()>);

    impl CommitHook for Gate {
        fn claim(&mut self) -> bool {
            self.0.send(()).and(Ok(self.1.recv().is_ok())).is_ok()
        }

        fn assigned(&mut self, _last_sequence: Sequence) {}
    }

    fn put(key: &[u8]) -> Write {
        let mut batch = WriteBatch::new();
        batch.put(key, b"");
        Write::new(batch)
    }

    #[test]
    fn waiting_writers_go_to_the_log_as_one_group_in_the_order_in_which_they_came() {
        let fs = MemFs::new();
        let engine = Engine::open(Arc::new(fs.clone()), Options::default()).unwrap();
        let (begun, is_begun) = channel();
        let (go_on, may_go_on) = channel();
        let waiting = || engine.waiting_writers();
        std::thread::scope(|threads| {
            let first = put(b"first").hook(Box::new(Gate(begun, may_go_on)));
            threads.spawn(|| engine.write(first).unwrap());
            is_begun.recv().unwrap();
            for number in 0..20_u8 {
                let engine = &engine;
                threads.spawn(move || engine.write(put(&[number])).unwrap());
                while waiting() <= usize::from(number) {
                    std::thread::yield_now();
                }
            }
            go_on.send(()).unwrap();
        });
        let log = fs.read("000003.log").unwrap();
        let records: Vec<Vec<Vec<u8>>> = LogReader::new(&log)
            .map(|item| match item {
                LogItem::Record { payload, .. } => {
                    let batch = level_party_format::batch::BatchRef::parse(&payload).unwrap();
                    batch.iter().map(|op| op.key().to_vec()).collect()
                }
                other => panic!("{other:?}"),
            })
            .collect();
        let in_order: Vec<Vec<u8>> = (0..20).map(|number| vec![number]).collect();
        assert_eq!(records, [vec![b"first".to_vec()], in_order]);
    }
}
