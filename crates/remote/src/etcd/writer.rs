//! Writes: in order, one transaction of etcd at a time, each exactly once.
//!
//! What waits while a transaction is under way goes into the next one together, as far as keys and limits allow: a *group*.
//! A write with conditions has a transaction of its own. The group of mark `n` compares the session's last mark with the one
//! that is known, and puts `n`, so that sending it again is also looking at what became of it ([`Session`]):
//!
//! | the answer to a sending | so |
//! |---|---|
//! | succeeded | the group is made, at the answer's revision |
//! | the session holds `n` | an earlier sending had made it, at the revision of the session's key |
//! | the session holds the mark before | conditions do not hold. An earlier sending that may be on its way is fenced first |
//! | the session holds a later mark | an earlier group of unknown outcome was made; it is sent again behind that |
//! | the session holds an older mark than one that was acknowledged | etcd was restored: the next history begins, and it is sent in a new session |
//! | no session | etcd has lost it: `OutcomeUnknown`, if it was sent before; else it is sent in a new session |
//! | refused | nothing was written; an earlier sending is fenced first |
//! | none | it is sent again, to the next node, until the deadline: then `OutcomeUnknown` |

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use level_party_locks::Mutex;
use prost::Message;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use super::client::{ATTEMPT, Attempts, Failure};
use super::history::{Cluster, Known, headed};
use super::layout::{PREFIX_BYTES, Sequences};
use super::rpc::{
    self, Compare, DeleteRequest, PutRequest, Request, RequestOp, TxnRequest, TxnResponse,
};
use super::runtime::{late, told_by, until};
use super::session::{Mark, Session, Told, unknown};
use crate::answer::{History, Limits, ServiceState};
use crate::call::Call;
use crate::error::{Error, ErrorKind, Result};
use crate::request::{Conditions, Write};

/// etcd's `--max-txn-ops` is 128, and the session's key is one.
const OPS: usize = 127;
/// etcd's `--max-txn-ops` again: comparisons, of which three are the session's, the service state's and the history's.
const CONDITIONS: usize = 125;
/// etcd's `--max-request-bytes`, less what etcd itself adds.
const REQUEST_BYTES: usize = (3 << 19) - 1024;
/// What an operation takes beside key and value: the prefix, and heads of messages.
const OP_BYTES: usize = PREFIX_BYTES + 32;
/// A group takes no more bytes than this, so that one write is never late for many small ones.
const GROUP_BYTES: usize = 256 << 10;
/// The longest key: etcd keeps all keys in memory, and a comparison sends its key too.
const KEY_BYTES: usize = 64 << 10;

pub const LIMITS: Limits = Limits {
    key_bytes: KEY_BYTES,
    batch_bytes: REQUEST_BYTES - (OPS + 1) * OP_BYTES,
    batch_ops: OPS,
};

/// The writes of one process.
pub struct Writer {
    cluster: Arc<Cluster>,
    runtime: Handle,
    /// Whether a copy is made into the database.
    fills: bool,
    queue: Mutex<Queue>,
    /// No transaction is under way any more.
    done: Notify,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Pending>,
    /// Whether the task that makes groups is there. What it knows is here otherwise.
    working: bool,
    state: Option<State>,
    closed: bool,
}

/// What the task that makes groups knows.
#[derive(Default)]
struct State {
    session: Option<Session>,
    /// The number of the last mark.
    number: u64,
}

impl State {
    fn next_mark(&mut self) -> Result<Mark> {
        self.number += 1;
        Mark::new(self.number)
    }
}

/// A write that waits for its turn, or for its answer.
struct Pending {
    ops: Vec<RequestOp>,
    keys: Vec<Vec<u8>>,
    bytes: usize,
    conditions: Conditions,
    deadline: Instant,
    progress: Arc<AtomicU8>,
    tell: oneshot::Sender<Result<Option<u64>>>,
}

/// The revision at which a group was made, and which sequences there are in its history.
type Made = (Sequences, i64);

/// A group on its way.
struct Sending {
    mark: Mark,
    deadline: Instant,
    /// Whether a sending without an answer may have taken effect, or may yet.
    sent_before: bool,
    /// Why the last sending had no answer.
    why: String,
}

impl Sending {
    /// What the callers are told where something else failed meanwhile.
    fn unsettled(&self, error: Error) -> Error {
        match self.sent_before {
            true => unknown(error.message()),
            false => error,
        }
    }
}

/// What came of one sending.
enum Step {
    Made(Made),
    /// It came to nothing, if no earlier sending does.
    Settle(Result<Option<Made>>),
    Again,
    /// There is no answer.
    Lost,
}

/// What the caller of a write is told whose session etcd has lost.
const NO_RECORD: &str = "etcd has no record of this process any more";

/// How far a write is.
const WAITS: u8 = 0;
const SENT: u8 = 1;
const TAKEN_BACK: u8 = 2;

/// The caller's end of a write; dropped, a write that was not sent is taken back.
struct Ticket(Arc<AtomicU8>);

impl Drop for Ticket {
    fn drop(&mut self) {
        take_back(&self.0);
    }
}

/// Whether a write could be taken back, or had been.
fn take_back(progress: &AtomicU8) -> bool {
    let taken = progress.compare_exchange(WAITS, TAKEN_BACK, Ordering::AcqRel, Ordering::Acquire);
    matches!(taken, Ok(_) | Err(TAKEN_BACK))
}

impl Writer {
    pub fn new(cluster: Arc<Cluster>, runtime: Handle, fills: bool) -> Self {
        Writer {
            cluster,
            runtime,
            fills,
            queue: Mutex::default(),
            done: Notify::new(),
        }
    }

    /// Makes a write.
    pub async fn write(self: &Arc<Self>, call: Call, write: Write) -> Result<Option<u64>> {
        let (tell, told) = oneshot::channel();
        let progress = Arc::new(AtomicU8::new(WAITS));
        let pending = self.pending(write, call.deadline, Arc::clone(&progress), tell)?;
        let ticket = Ticket(Arc::clone(&progress));
        self.push(pending)?;
        match told_by(&self.runtime, call, told, move || take_back(&progress)).await {
            Some(answer) => answer,
            None if take_back(&ticket.0) => Err(late("the writes before it took until then")),
            None => {
                let trouble = self.cluster.client.trouble();
                let why = trouble.map_or_else(
                    || "etcd has not answered".to_owned(),
                    |trouble| trouble.what,
                );
                Err(unknown(why))
            }
        }
    }

    /// Later writes, and those that were not sent, end with `Closed`.
    pub fn close(&self) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        let waiting = std::mem::take(&mut queue.waiting);
        drop(queue);
        for pending in waiting {
            pending.answer(Err(Error::closed()));
        }
    }

    /// Once closed: waits for what is under way, and ends the session, so that etcd forgets this process. Where that is not
    /// done by the deadline, the session's lease ends by itself.
    pub async fn leave(&self, deadline: Instant) -> Result<()> {
        loop {
            let done = self.done.notified();
            let idle = {
                let queue = self.queue.lock();
                let session = queue
                    .state
                    .as_ref()
                    .and_then(|state| state.session.as_ref());
                (!queue.working).then(|| session.map(Session::lease))
            };
            match idle {
                Some(Some(lease)) => return Session::end(lease, &self.cluster, deadline).await,
                Some(None) => return Ok(()),
                None => until(deadline, done)
                    .await
                    .map_err(|_| late("a write is under way"))?,
            }
        }
    }

    fn pending(
        &self,
        write: Write,
        deadline: Instant,
        progress: Arc<AtomicU8>,
        tell: oneshot::Sender<Result<Option<u64>>>,
    ) -> Result<Pending> {
        let Write {
            ops, conditions, ..
        } = write;
        let last_of_key = last_of_each_key(ops);
        if last_of_key.len() > OPS {
            return Err(over(format!(
                "a batch has {} operations on different keys, and etcd takes {OPS}",
                last_of_key.len()
            )));
        }
        let count = conditions.keys.len() + conditions.ranges.len();
        if count > CONDITIONS {
            return Err(over(format!(
                "a transaction rests on {count} keys and ranges that it read, and etcd compares {CONDITIONS}"
            )));
        }
        let layout = &self.cluster.layout;
        let keys: Vec<Vec<u8>> = last_of_key
            .iter()
            .map(|(key, _)| layout.entry(key))
            .collect();
        let bytes = last_of_key
            .iter()
            .map(|(key, value)| OP_BYTES + key.len() + value.as_ref().map_or(0, Vec::len))
            .sum();
        let op = |(key, value): (Vec<u8>, Option<Vec<u8>>)| -> RequestOp {
            let key = layout.entry(&key);
            match value {
                Some(value) => Request::Put(PutRequest {
                    key,
                    value,
                    lease: 0,
                })
                .into(),
                None => Request::Delete(DeleteRequest { key }).into(),
            }
        };
        Ok(Pending {
            ops: last_of_key.into_iter().map(op).collect(),
            keys,
            bytes,
            conditions,
            deadline,
            progress,
            tell,
        })
    }

    fn push(self: &Arc<Self>, pending: Pending) -> Result<()> {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(Error::closed());
        }
        queue.waiting.push_back(pending);
        if !queue.working {
            queue.working = true;
            let state = queue.state.take().unwrap_or_default();
            drop(queue);
            let writer = Arc::clone(self);
            self.runtime.spawn(async move { writer.work(state).await });
        }
        Ok(())
    }

    /// Makes group after group, until nothing waits.
    async fn work(&self, mut state: State) {
        loop {
            let group = {
                let mut queue = self.queue.lock();
                let group = next_group(&mut queue.waiting);
                if group.is_empty() {
                    queue.working = false;
                    queue.state = Some(state);
                    self.done.notify_one();
                    return;
                }
                group
            };
            self.make(&mut state, group).await;
        }
    }

    /// Makes one group, and answers each of its writes.
    async fn make(&self, state: &mut State, group: Vec<Pending>) {
        let deadline = group
            .iter()
            .map(|pending| pending.deadline)
            .max()
            .unwrap_or_else(Instant::now);
        let outcome = self.outcome(state, &group, deadline).await;
        match outcome {
            // Perhaps for one of them alone: each is told its own.
            Err(error) if group.len() > 1 && is_about_one(error.kind()) => {
                for pending in group {
                    let alone = [pending];
                    let outcome = self.outcome(state, &alone, alone[0].deadline).await;
                    let [pending] = alone;
                    let last = outcome.map(|made| made.map(|made| pending.last(made, 0)));
                    pending.answer(last);
                }
            }
            Ok(Some(made)) => {
                let mut before = 0;
                for pending in group {
                    let last = pending.last(made, before);
                    before += pending.ops.len();
                    pending.answer(Ok(Some(last)));
                }
            }
            Ok(None) => group
                .into_iter()
                .for_each(|pending| pending.answer(Ok(None))),
            Err(error) => group
                .into_iter()
                .for_each(|pending| pending.answer(Err(error.clone()))),
        }
    }

    /// Where a group was made; `None`: its conditions do not hold.
    async fn outcome(
        &self,
        state: &mut State,
        group: &[Pending],
        deadline: Instant,
    ) -> Result<Option<Made>> {
        let mut attempts = Attempts::new(deadline, ATTEMPT);
        let mut sending = Sending {
            mark: state.next_mark()?,
            deadline,
            sent_before: false,
            why: "no node was asked".to_owned(),
        };
        while let Some(limit) = attempts.limit() {
            let known = self.known(&sending).await?;
            let step = match () {
                () if !self.may_write(&known) => Step::Settle(Err(known.service.refusal())),
                () if other_history(group, known.history()) => Step::Settle(Ok(None)),
                () => self.send(state, group, &known, &mut sending, limit).await?,
            };
            match step {
                Step::Made(made) => return Ok(Some(made)),
                Step::Settle(found) => return self.settle(state, &sending, found).await,
                Step::Again => {}
                Step::Lost => attempts.failed(self.cluster.client.node_count()).await,
            }
        }
        Err(match sending.sent_before {
            true => unknown(sending.why),
            false => late(sending.why),
        })
    }

    /// Sends a group once.
    async fn send(
        &self,
        state: &mut State,
        group: &[Pending],
        known: &Arc<Known>,
        sending: &mut Sending,
        limit: Duration,
    ) -> Result<Step> {
        let session = match &mut state.session {
            Some(session) => session,
            None => {
                let begun = self.begin_session(sending, state.number - 1).await?;
                state.session.insert(begun)
            }
        };
        let question = self.question(session, sending.mark, group, known);
        let size = question.encoded_len();
        if size > REQUEST_BYTES {
            return Err(over(format!(
                "a write with what it rests on has {size} bytes, and etcd takes {REQUEST_BYTES}"
            )));
        }
        let (client, seen) = (&self.cluster.client, self.cluster.client.seen());
        match client
            .attempt::<_, TxnResponse>(rpc::TXN, &question, limit)
            .await
        {
            Ok(answer) if answer.succeeded => {
                session.made(sending.mark, known.history());
                let made = self.made(known, &answer, seen, sending.deadline).await;
                made.map(Step::Made)
                    .map_err(|error| unknown(error.message()))
            }
            Ok(answer) => match session.told(sending.mark, &answer) {
                Told::Done(revision) => Ok(Step::Made((known.sequences(), revision))),
                Told::Behind => Ok(Step::Again),
                // Unless history or service state have changed: then the next round judges.
                Told::Refused if self.cluster.is_unchanged(known, &answer, seen) => {
                    Ok(Step::Settle(Ok(None)))
                }
                Told::Refused => self.look_again(sending).await.map(|_| Step::Again),
                Told::WentBack => {
                    self.lose_session(state, sending).await?;
                    Ok(Step::Again)
                }
                Told::Gone => {
                    self.lose_session(state, sending).await?;
                    match sending.sent_before {
                        true => Err(unknown(NO_RECORD)),
                        false => Ok(Step::Again),
                    }
                }
            },
            Err(Failure::Lost { what, sent }) => {
                sending.sent_before |= sent;
                sending.why = what;
                Ok(Step::Lost)
            }
            Err(Failure::Refused(error)) => Ok(Step::Settle(Err(error))),
            Err(Failure::TooLarge) => Err(unknown("etcd gave an answer that is too large")),
        }
    }

    /// Where a group was made, by an answer that succeeded.
    async fn made(
        &self,
        known: &Arc<Known>,
        answer: &TxnResponse,
        seen: i64,
        deadline: Instant,
    ) -> Result<Made> {
        let header = headed(answer.header)?;
        let current = match self.cluster.is_of(known, &header, seen) {
            true => Arc::clone(known),
            false => self.cluster.look_again(deadline).await?,
        };
        Ok((current.sequences(), header.revision))
    }

    /// The session is gone, or holds an older mark. If its lease cannot have ended, etcd was restored.
    async fn lose_session(&self, state: &mut State, sending: &Sending) -> Result<()> {
        let Some(session) = state.session.take() else {
            return Ok(());
        };
        if session.may_have_ended() {
            return Ok(());
        }
        let begun = self
            .cluster
            .begin_next(session.history(), sending.deadline)
            .await;
        begun.map_err(|error| sending.unsettled(error))
    }

    /// History and service state; looked at anew where the latter refuses this handle's writes, as it may have changed.
    async fn known(&self, sending: &Sending) -> Result<Arc<Known>> {
        let known = self.cluster.known();
        match self.may_write(&known) {
            true => Ok(known),
            false => self.look_again(sending).await,
        }
    }

    /// Whether this handle may write: one that fills only while the database is filled, every other only while it is live.
    fn may_write(&self, known: &Known) -> bool {
        match (&known.service, self.fills) {
            (ServiceState::Live, fills) => !fills,
            (ServiceState::Filling { .. }, fills) => fills,
            (ServiceState::Moved { .. }, _) => false,
        }
    }

    async fn look_again(&self, sending: &Sending) -> Result<Arc<Known>> {
        let looked = self.cluster.look_again(sending.deadline).await;
        looked.map_err(|error| sending.unsettled(error))
    }

    async fn begin_session(&self, sending: &Sending, number: u64) -> Result<Session> {
        // The session before may have been lost with other writes.
        self.look_again(sending).await?;
        let first = Mark::new(number)?;
        let session = Session::begin(&self.cluster, sending.deadline, first).await;
        let session = session.map_err(|error| sending.unsettled(error))?;
        let (renewal, cluster) = (session.renewal(), Arc::clone(&self.cluster));
        self.runtime
            .spawn(async move { renewal.run(&cluster).await });
        Ok(session)
    }

    /// What the caller of a write that came to nothing is told: `found`, once an earlier sending can have no effect any more.
    async fn settle(
        &self,
        state: &mut State,
        sending: &Sending,
        found: Result<Option<Made>>,
    ) -> Result<Option<Made>> {
        if !sending.sent_before {
            return found;
        }
        let fence = state.next_mark()?;
        let Some(session) = state.session.as_mut() else {
            return Err(unknown(NO_RECORD));
        };
        let (cluster, deadline) = (&self.cluster, sending.deadline);
        match session.fence(cluster, deadline, sending.mark, fence).await {
            Ok(Told::Done(revision)) => Ok(Some((cluster.known().sequences(), revision))),
            Ok(Told::Refused | Told::Behind) => found,
            // Nothing of before can come any more.
            Ok(Told::WentBack) => self.lose_session(state, sending).await.and(found),
            Ok(Told::Gone) => {
                self.lose_session(state, sending).await?;
                Err(unknown(NO_RECORD))
            }
            Err(Failure::Lost { what, .. }) => Err(unknown(what)),
            Err(Failure::Refused(error)) => Err(unknown(error.message())),
            Err(Failure::TooLarge) => Err(unknown("etcd gave an answer that is too large")),
        }
    }

    fn question(
        &self,
        session: &Session,
        mark: Mark,
        group: &[Pending],
        known: &Known,
    ) -> TxnRequest {
        let mut compare = vec![
            session.is_next(),
            self.cluster.is_current(known),
            self.cluster.is_in_service(known),
        ];
        for pending in group {
            compare.extend(self.comparisons(&pending.conditions, known.sequences()));
        }
        let mut success: Vec<RequestOp> = group
            .iter()
            .flat_map(|pending| pending.ops.iter().cloned())
            .collect();
        success.push(session.put(mark));
        TxnRequest {
            compare,
            success,
            failure: [vec![session.look()], self.cluster.look_at_known()].concat(),
        }
    }

    fn comparisons(
        &self,
        conditions: &Conditions,
        sequences: Sequences,
    ) -> impl Iterator<Item = Compare> {
        let layout = &self.cluster.layout;
        let keys = conditions.keys.iter().map(move |(key, held)| {
            let key = layout.entry(key);
            match held.map(|held| sequences.revision(held)) {
                None => Compare::absent(key),
                Some(Some(revision)) => Compare::put_at(key, revision),
                Some(None) => Compare::never(key),
            }
        });
        let ranges = conditions.ranges.iter().filter_map(move |(range, since)| {
            let (key, range_end) = layout.range(range)?;
            let since = sequences.revision(*since).unwrap_or(0);
            Some(Compare::unchanged_since(key, range_end, since))
        });
        keys.chain(ranges)
    }
}

impl Pending {
    /// The sequence of its last operation, behind so many of its group.
    fn last(&self, (sequences, revision): Made, before: usize) -> u64 {
        match self.ops.len() {
            0 => sequences.end_of(revision),
            own => sequences.of(revision, before + own),
        }
    }

    fn answer(self, answer: Result<Option<u64>>) {
        // Nobody hears it where the caller has gone, or was told at its deadline.
        let _ = self.tell.send(answer);
    }
}

/// Whether a refusal may be for what one of several writes is.
fn is_about_one(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::InvalidArgument | ErrorKind::PermissionDenied
    )
}

/// Whether the conditions of a group are of another history than this one.
fn other_history(group: &[Pending], current: History) -> bool {
    group.iter().any(|pending| {
        let conditions = &pending.conditions;
        !conditions.is_empty() && conditions.history.is_some_and(|history| history != current)
    })
}

/// The last operation on each key, in the order of those: a transaction of etcd takes a key once, and what was before the last
/// could not be seen.
fn last_of_each_key(ops: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let mut seen = HashSet::new();
    let is_last: Vec<bool> = ops
        .iter()
        .rev()
        .map(|(key, _)| seen.insert(key.as_slice()))
        .collect();
    let is_last: Vec<bool> = is_last.into_iter().rev().collect();
    let kept = ops.into_iter().zip(is_last);
    kept.filter_map(|(op, last)| last.then_some(op)).collect()
}

/// Takes the writes that are made together next. Those that were taken back are passed over; those whose deadline has come are
/// told so.
fn next_group(waiting: &mut VecDeque<Pending>) -> Vec<Pending> {
    let mut group: Vec<Pending> = Vec::new();
    let (mut ops, mut bytes, mut keys) = (0, 0, HashSet::new());
    let now = Instant::now();
    while let Some(next) = waiting.front() {
        if next.deadline <= now {
            if let Some(pending) = waiting.pop_front() {
                pending.answer(Err(late("the writes before it took until then")));
            }
            continue;
        }
        let fits = ops + next.ops.len() <= OPS
            && bytes + next.bytes <= GROUP_BYTES
            && next.conditions.is_empty()
            && next.keys.iter().all(|key| !keys.contains(key));
        if !group.is_empty() && !fits {
            break;
        }
        let Some(pending) = waiting.pop_front() else {
            break;
        };
        let sent =
            pending
                .progress
                .compare_exchange(WAITS, SENT, Ordering::AcqRel, Ordering::Acquire);
        if sent.is_err() {
            continue;
        }
        ops += pending.ops.len();
        bytes += pending.bytes;
        keys.extend(pending.keys.iter().cloned());
        let alone = !pending.conditions.is_empty();
        group.push(pending);
        if alone {
            break;
        }
    }
    group
}

fn over(what: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, what)
}

#[cfg(test)]
mod tests;
