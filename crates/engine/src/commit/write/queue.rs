//! [`WriteQueue`]: how callers wait for their turn, and commit for each other.
//!
//! Promises: entries take effect in the order in which they came; a caller that finds nobody committing commits by
//! itself, with no hand-over to another thread; whoever commits takes the waiting entries along as one group, up to
//! LevelDB's limits on its size. A write whose deadline passes before its turn is answered soon after, whoever has it by
//! then; the others go on, also where it was the one to commit.
//! Must not know: how a group is committed.
//!
//! The right to commit is a value, the `Committer`: it lies in the queue when nobody commits, and is handed from
//! the caller that is done to the one that has waited longest.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use level_party_locks::Mutex;

use super::Job;
use super::group::{self, Committer};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::waiting::{Patience, WaitedFor};
use crate::commit::shared::Shared;
use crate::commit::sync::{Debt, Owed, not_durable};

/// A group that is larger than this takes no further entry along.
const MAX_GROUP: usize = 1 << 20;
/// A small first entry waits for no more than this beside it.
const SMALL_GROUP: usize = 128 << 10;
/// How often a waiting caller looks before it sleeps: a few microseconds, as long as a group without sync takes, while
/// being woken costs many times that.
const SPINS: usize = 200;
/// How often a caller looks whose time is over while another one has its entry.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

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
    /// When the first of its writes is to be given up.
    deadline: Option<Instant>,
    slot: Mutex<Slot>,
}

enum Slot {
    /// Waiting.
    Waiting(Job),
    /// The caller is to commit its own entry, and what waits behind it.
    Commit(Job, Box<Committer>),
    /// Somebody committed the entry; the caller is to make it durable.
    Sync(Job, Debt),
    /// Somebody committed the entry; it has its answers.
    Done(Job),
    /// Taken.
    Empty,
}

/// What of a waiting entry was given up.
enum GivenUp {
    /// All of it: it waits no more.
    All(Job),
    /// Some writes, or none; when to look again.
    Some(Option<Instant>),
    /// It does not wait in the queue.
    Nothing,
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

    /// Puts an entry in the queue and returns once it is committed, by this thread or another, or given up, with its
    /// answers in it.
    pub(crate) fn submit(&self, shared: &Shared, job: &mut Job) {
        let mut inner = self.inner.lock();
        if let Some(committer) = inner.idle.take() {
            drop(inner);
            return or_resume(self.commit_alone(shared, job, committer));
        }
        let ticket = Arc::new(Ticket::new(std::mem::replace(job, Job::Writes(Vec::new()))));
        inner.waiting.push_back(Arc::clone(&ticket));
        drop(inner);
        match self.wait(shared, &ticket) {
            Slot::Commit(own, committer) => *job = self.commit_for_others(shared, own, committer),
            Slot::Sync(own, debt) => {
                *job = own;
                or_resume(self.sync_alone(shared, job, &debt));
            }
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

    /// As [`WriteQueue::submit`] if nobody has to be waited for before the commit; otherwise nothing happens, and it says so.
    pub(crate) fn submit_at_once(&self, shared: &Shared, job: &mut Job) -> bool {
        let Some(mut committer) = self.inner.lock().idle.take() else {
            return false;
        };
        let group = std::slice::from_mut(job);
        let committed = commit(shared, group, &mut committer, Patience::None);
        let is_taken = !matches!(committed, Ok(Err(_)));
        let owed = committed.map(|committed| committed.ok().flatten());
        or_resume(self.finish_alone(shared, job, owed, committer));
        is_taken
    }

    /// Waits until somebody has committed a ticket's entry, or calls its thread to do so; or until it is given up.
    fn wait(&self, shared: &Shared, ticket: &Arc<Ticket>) -> Slot {
        for _ in 0..SPINS {
            if ticket.is_called() {
                break;
            }
            std::hint::spin_loop();
        }
        let mut deadline = ticket.deadline;
        while !ticket.is_called() {
            let Some(at) = deadline else {
                thread::park();
                continue;
            };
            let left = at.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                thread::park_timeout(left);
                continue;
            }
            match self.give_up(shared, ticket) {
                GivenUp::All(job) => return Slot::Done(job),
                GivenUp::Some(next) => deadline = next,
                // Whoever commits it looks at the time, or puts it back.
                GivenUp::Nothing => thread::park_timeout(BETWEEN_LOOKS),
            }
        }
        std::mem::replace(&mut *ticket.slot.lock(), Slot::Empty)
    }

    /// Gives up what a ticket waits for in the queue and whose time is over.
    fn give_up(&self, shared: &Shared, ticket: &Arc<Ticket>) -> GivenUp {
        let control = &shared.member.control;
        let waited_for = match control.holder() {
            0 => WaitedFor::Queue,
            own if own == shared.member.own => WaitedFor::Queue,
            other => WaitedFor::Holder(other),
        };
        let mut inner = self.inner.lock();
        let place = inner.waiting.iter().position(|t| Arc::ptr_eq(t, ticket));
        let Some(place) = place else {
            return GivenUp::Nothing;
        };
        let mut slot = ticket.slot.lock();
        let Slot::Waiting(mut job) = std::mem::replace(&mut *slot, Slot::Empty) else {
            unreachable!("an entry in the queue waits");
        };
        job.give_up(waited_for);
        if job.is_answered() {
            inner.waiting.remove(place);
            return GivenUp::All(job);
        }
        let next = job.deadline();
        *slot = Slot::Waiting(job);
        GivenUp::Some(next)
    }

    /// Commits an entry, hands the right to commit over, and makes the entry durable if it asks for that. An error is the
    /// panic of a hook; the entry has its answers then, too.
    fn commit_alone(
        &self,
        shared: &Shared,
        job: &mut Job,
        mut committer: Box<Committer>,
    ) -> thread::Result<()> {
        let owed = loop {
            let patience = Patience::of(job.deadline());
            let group = std::slice::from_mut(job);
            match commit(shared, group, &mut committer, patience) {
                Ok(Err(waited_for)) => job.give_up(waited_for),
                Ok(Ok(owed)) => break Ok(owed),
                Err(panic) => break Err(panic),
            }
            if job.is_answered() {
                break Ok(None);
            }
        };
        self.finish_alone(shared, job, owed, committer)
    }

    /// Hands the right to commit over after an entry, and makes it durable if that is owed.
    fn finish_alone(
        &self,
        shared: &Shared,
        job: &mut Job,
        owed: thread::Result<Option<Owed>>,
        committer: Box<Committer>,
    ) -> thread::Result<()> {
        let debt = owed.map(|owed| begin_sync(shared, owed));
        self.hand_over(committer);
        match debt? {
            Some(debt) => self.sync_alone(shared, job, &debt),
            None => Ok(()),
        }
    }

    /// Makes an entry durable that is published, or gives that up. As [`WriteQueue::commit_alone`].
    fn sync_alone(&self, shared: &Shared, job: &mut Job, debt: &Debt) -> thread::Result<()> {
        while !job.is_answered() {
            self.make_durable(shared, std::slice::from_mut(job), debt)?;
        }
        Ok(())
    }

    /// Commits the entry of a caller that has waited, and what waits behind it. Gives that entry. If its time is over, what
    /// was behind it goes on without it.
    fn commit_for_others(&self, shared: &Shared, own: Job, mut committer: Box<Committer>) -> Job {
        let mut group = vec![own];
        let mut tickets = self.take_along(&mut group);
        let owed = loop {
            let patience = Patience::of(group.iter().filter_map(Job::deadline).min());
            match commit(shared, &mut group, &mut committer, patience) {
                Ok(Err(waited_for)) => group.iter_mut().for_each(|job| job.give_up(waited_for)),
                Ok(Ok(owed)) => break Ok(owed),
                Err(panic) => break Err(panic),
            }
            if group[0].is_answered() {
                break Ok(None);
            }
            call_answered(&mut group, &mut tickets);
        };
        let done = match owed.map(|owed| begin_sync(shared, owed)) {
            Ok(Some(debt)) => {
                self.hand_over(committer);
                self.sync_for_others(shared, &mut group, &mut tickets, &debt)
            }
            done => {
                self.put_back(split_open(&mut group, &mut tickets));
                self.hand_over(committer);
                done.map(drop)
            }
        };
        call_answered(&mut group, &mut tickets);
        or_resume(done);
        group.swap_remove(0)
    }

    /// Makes a group durable that is published, until the first entry has its answers. The others see to it by themselves
    /// then.
    fn sync_for_others(
        &self,
        shared: &Shared,
        group: &mut Vec<Job>,
        tickets: &mut Vec<Arc<Ticket>>,
        debt: &Debt,
    ) -> thread::Result<()> {
        call_answered(group, tickets);
        while !group[0].is_answered() {
            self.make_durable(shared, group, debt)?;
            call_answered(group, tickets);
        }
        for (ticket, job) in split_open(group, tickets) {
            ticket.call(Slot::Sync(job, debt.clone()));
        }
        Ok(())
    }

    /// Makes a group durable that is published, and answers it; if the time of some of it is over first, those alone. An
    /// error is the panic of a hook; the group has its answers then, too.
    fn make_durable(&self, shared: &Shared, group: &mut [Job], debt: &Debt) -> thread::Result<()> {
        let patience = Patience::of(group.iter().filter_map(Job::deadline).min());
        unwinding(shared, group, |group| {
            let leave = |region| self.leave(shared, region, patience);
            match shared.make_durable(debt.owed, patience, &leave) {
                Err(error) if error.waited_for().is_some() => {
                    group::give_up_sync(group, &not_durable(error));
                }
                durable => group::answer(group, &durable),
            }
        })
    }

    /// Has a region written no more.
    fn leave(&self, shared: &Shared, region: u32, patience: Patience) -> Result<()> {
        let mut job = Job::Leave {
            region: Some(region),
            deadline: patience.deadline(),
            answer: None,
        };
        self.submit(shared, &mut job);
        job.into_answer().map(drop)
    }

    /// Puts entries in front of all others, in their order.
    fn put_back(&self, entries: Vec<(Arc<Ticket>, Job)>) {
        let mut inner = self.inner.lock();
        for (ticket, job) in entries.into_iter().rev() {
            *ticket.slot.lock() = Slot::Waiting(job);
            inner.waiting.push_front(ticket);
        }
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
                let slot = std::mem::replace(&mut *next.slot.lock(), Slot::Empty);
                let Slot::Waiting(job) = slot else {
                    unreachable!("an entry in the queue waits")
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

/// Commits a group, if it need not wait longer than `patience` allows. An error is the panic of a hook; the group has its
/// answers then, too.
fn commit(
    shared: &Shared,
    group: &mut [Job],
    committer: &mut Committer,
    patience: Patience,
) -> thread::Result<Result<Option<Owed>, WaitedFor>> {
    unwinding(shared, group, |group| {
        committer.commit(shared, group, patience)
    })
}

/// Does a part of a commit. If that panics writing ends, and the group has its answers.
fn unwinding<T>(
    shared: &Shared,
    group: &mut [Job],
    act: impl FnOnce(&mut [Job]) -> T,
) -> thread::Result<T> {
    let done = catch_unwind(AssertUnwindSafe(|| act(group)));
    if done.is_err() {
        // Nobody knows what the group left behind, so nothing may follow it.
        let error = Error::new(ErrorKind::Io, "panicked in the middle of a commit");
        let poisoned = shared.health.poison(error);
        group::fail(group, &poisoned);
    }
    done
}

/// From now on a close waits for what is owed. It is called before the right to commit is handed over: a close waits behind
/// that.
fn begin_sync(shared: &Shared, owed: Option<Owed>) -> Option<Debt> {
    owed.map(|owed| shared.syncs.begin(owed))
}

/// Takes those behind the first out of a group whose entries have not all their answers.
fn split_open(group: &mut Vec<Job>, tickets: &mut Vec<Arc<Ticket>>) -> Vec<(Arc<Ticket>, Job)> {
    let others = group.split_off(1);
    let pairs = std::mem::take(tickets).into_iter().zip(others);
    let (done, open): (Vec<_>, Vec<_>) = pairs.partition(|(_, job)| job.is_answered());
    put_behind(group, tickets, done);
    open
}

/// Calls those behind the first whose entry has its answers, and keeps the others.
fn call_answered(group: &mut Vec<Job>, tickets: &mut Vec<Arc<Ticket>>) {
    let open = split_open(group, tickets);
    for (ticket, job) in tickets.drain(..).zip(group.drain(1..)) {
        ticket.call(Slot::Done(job));
    }
    put_behind(group, tickets, open);
}

/// The reverse of [`split_open`].
fn put_behind(
    group: &mut Vec<Job>,
    tickets: &mut Vec<Arc<Ticket>>,
    entries: Vec<(Arc<Ticket>, Job)>,
) {
    for (ticket, job) in entries {
        tickets.push(ticket);
        group.push(job);
    }
}

impl Ticket {
    fn new(job: Job) -> Ticket {
        Ticket {
            called: AtomicBool::new(false),
            thread: thread::current(),
            deadline: job.deadline(),
            slot: Mutex::new(Slot::Waiting(job)),
        }
    }

    fn is_called(&self) -> bool {
        self.called.load(Ordering::Acquire)
    }

    fn call(&self, slot: Slot) {
        *self.slot.lock() = slot;
        self.called.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use level_party_format::log::{LogItem, LogReader};

    use super::*;
    use crate::{CommitHook, Engine, Fs, MemFs, Options, Sequence, Write, WriteBatch};

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
    fn waiting_writers_go_to_the_log_as_one_group_in_order() {
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
