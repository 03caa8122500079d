//! A handle: what one `open` returned. It has its own limits and its own `close`, and makes calls through its node.
//!
//! Each public call becomes one request here, or several where the answer comes in parts; what a caller gave is checked
//! here, alike in both roles, before anything is sent. There is one body for a thread that waits and for a task:
//! with [`Wait::Thread`] a call's first poll blocks until it is done, so that [`now`] has the whole in one poll.

use std::borrow::Cow;
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use serde_bytes::{ByteBuf, Bytes};

use crate::batch::{WriteBatch, check_batch, check_key};
use crate::bounds::Bounds;
use crate::checkpoint::Place;
use crate::election::Elector;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Events, Queue};
use crate::node::Node;
use crate::options::{Options, WhenFull};
use crate::protocol::{
    Answer, Conditions, Entries, GetMany, Keys, MAX_CHUNK_BYTES, MAX_KEYS, Outcome, Request, Scan,
    Task, Write, unexpected,
};
use crate::registry;
use crate::report::VerifyReport;
use crate::session::{Calling, Limits, PinId, Tenure, Wait};
use crate::side::{Ender, Work};
use crate::status::{LeaderStatus, Opening, Role, Status};

/// Keys of one request to read many, in bytes, but for a single key that is larger.
const KEYS_BYTES: usize = 1 << 20;

/// What a key held: the entry's sequence and value.
pub(crate) type Found = Option<(u64, Vec<u8>)>;

/// The outcome of calls made with [`Wait::Thread`].
pub(crate) fn now<T>(calls: impl Future<Output = T>) -> T {
    let mut calls = std::pin::pin!(calls);
    match calls.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => unreachable!("a call of a thread blocks"),
    }
}

/// Who leads after [`Db::yield_leadership`](crate::Db::yield_leadership).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Yielded {
    /// The leader's process.
    pub leader_pid: u32,
    /// Its leadership's number.
    pub epoch: u64,
    /// Whether it is another process than the one that led. If not, there was none that could take over, or none did
    /// within a second.
    pub handed_over: bool,
}

/// What one `open` returned.
pub(crate) struct Handle {
    elector: Arc<Elector>,
    timeout: Duration,
    retry: bool,
    read_only: bool,
    /// What the keys of the whole database begin with: nothing.
    pub no_prefix: Arc<[u8]>,
    queue_bytes: usize,
    when_full: WhenFull,
    opened: AtomicBool,
    closed: AtomicBool,
    /// What ends this handle's long-lived work.
    enders: Mutex<Vec<Weak<Ender>>>,
    /// Those who are told of events through this handle.
    queues: Mutex<Vec<Weak<Queue>>>,
}

impl Handle {
    pub fn open(path: &Path, options: Options) -> Result<Self> {
        let (timeout, retry, read_only) = (options.timeout, options.retry, options.read_only);
        let (queue_bytes, when_full) = (options.queue_bytes, options.when_full);
        let limits = Limits::new(options.open_timeout, true);
        let error_if_exists = options.error_if_exists;
        let compression = options.compression;
        let elector = registry::join(path, options)?;
        // From here on an error drops the handle, which leaves the node.
        let handle = Handle {
            elector,
            timeout,
            retry,
            read_only,
            no_prefix: Arc::from(&[][..]),
            queue_bytes,
            when_full,
            opened: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            enders: Mutex::default(),
            queues: Mutex::default(),
        };
        let node = handle.node();
        node.session.wait_for_leader(&limits, || node.failure())?;
        handle.opened.store(true, Ordering::Release);
        if !read_only {
            node.check_compression(compression)?;
        }
        let created = handle.elector.created_here();
        if error_if_exists && !created {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!(
                    "{} holds a database already (error_if_exists is set)",
                    node.path.display()
                ),
            ));
        }
        Ok(handle)
    }

    pub fn elector(&self) -> &Arc<Elector> {
        &self.elector
    }

    /// What ends one piece of long-lived work when this handle is closed.
    ///
    /// # Errors
    /// `Closed`.
    pub fn ender(&self) -> Result<Arc<Ender>> {
        let ender = Arc::new(Ender::default());
        let mut enders = self.enders.lock();
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::closed());
        }
        enders.retain(|ender| ender.strong_count() > 0);
        enders.push(Arc::downgrade(&ender));
        Ok(ender)
    }

    /// Has long-lived work done by the leader; see [`Work::run`].
    fn work(&self, task: &Task, finish: &dyn Fn(&Outcome) -> Result<()>) -> Result<Outcome> {
        self.with_work(|work| work.run(task, finish))
    }

    /// Long-lived work that begins now, and ends when this handle is closed.
    fn with_work<T>(&self, run: impl FnOnce(&Work<'_>) -> Result<T>) -> Result<T> {
        let limits = self.limits()?;
        run(&Work {
            node: self.node(),
            ender: &*self.ender()?,
            timeout: limits.timeout,
            retry: limits.retry,
        })
    }

    /// Compacts the tables that have keys in a range.
    pub fn compact_range(&self, bounds: &Bounds) -> Result<()> {
        self.check_writable()?;
        bounds.checked_for_side()?;
        let key = |bound: &Bound<Vec<u8>>| match bound {
            Bound::Included(key) | Bound::Excluded(key) => Some(ByteBuf::from(key.clone())),
            Bound::Unbounded => None,
        };
        let task = Task::CompactRange {
            begin: key(&bounds.lower),
            end: key(&bounds.upper),
        };
        match self.work(&task, &|_| Ok(()))? {
            Outcome::Compacted => Ok(()),
            other => Err(unexpected_outcome(&other)),
        }
    }

    /// Makes a copy at `path`; gives the sequence that it shows.
    pub fn checkpoint(&self, path: &Path) -> Result<u64> {
        self.limits()?;
        let place = Place::find(path, &self.node().dir)?;
        let task = Task::Checkpoint(place.task()?);
        let done = self.work(&task, &|_| place.take());
        // Also where the leader died, or was given up.
        place.clean();
        match done? {
            Outcome::Copied(sequence) => Ok(sequence),
            other => Err(unexpected_outcome(&other)),
        }
    }

    /// What happens to this process's part from here on, until this handle is closed.
    pub fn events(&self) -> Result<Events> {
        self.limits()?;
        let events = self.node().events.receive();
        let mut queues = self.queues.lock();
        queues.retain(|queue| queue.strong_count() > 0);
        queues.push(Arc::downgrade(events.queue()));
        drop(queues);
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::closed());
        }
        Ok(events)
    }

    /// Has the leader leave leadership to another process.
    pub fn yield_leadership(&self) -> Result<Yielded> {
        self.with_work(|work| work.give_way())
    }

    /// Looks at every table.
    pub fn verify(&self) -> Result<VerifyReport> {
        match self.work(&Task::Verify, &|_| Ok(()))? {
            Outcome::Verified(report) => Ok(report),
            other => Err(unexpected_outcome(&other)),
        }
    }

    /// Forgets what openings of the database lost; gives what that was.
    pub fn acknowledge_losses(&self) -> Result<Vec<String>> {
        self.check_writable()?;
        match self.work(&Task::Acknowledge, &|_| Ok(()))? {
            Outcome::Acknowledged(losses) => {
                self.node().opening.lock().losses.clear();
                Ok(losses)
            }
            other => Err(unexpected_outcome(&other)),
        }
    }

    /// What this process was told when it last began to lead or to follow.
    pub fn opening(&self) -> Opening {
        match self.node().is_forked() {
            true => Opening::default(),
            false => self.node().opening.lock().clone(),
        }
    }

    fn node(&self) -> &Node {
        self.elector.node()
    }

    pub fn path(&self) -> &Path {
        &self.node().path
    }

    pub fn role(&self) -> Role {
        match self.node().is_forked() {
            true => Role::Electing,
            false => self.node().session.role(),
        }
    }

    pub fn close(&self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            if !self.node().is_forked() {
                for ender in self.enders.lock().drain(..) {
                    if let Some(ender) = ender.upgrade() {
                        ender.end();
                    }
                }
                self.node().session.nudge();
            }
            self.elector
                .handle_closed(self.opened.load(Ordering::Acquire));
            if !self.node().is_forked() {
                for queue in self.queues.lock().drain(..) {
                    if let Some(queue) = queue.upgrade() {
                        queue.close();
                    }
                }
            }
        }
    }

    /// A call may begin.
    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::closed());
        }
        if self.node().is_forked() {
            return Err(Error::forked());
        }
        Ok(())
    }

    /// The limits of a call that begins now.
    ///
    /// # Errors
    /// `Closed`, `Forked`.
    pub fn limits_by(&self, wait: Wait) -> Result<Limits> {
        self.check_open()?;
        Ok(Limits {
            wait,
            queue_bytes: self.queue_bytes,
            when_full: self.when_full,
            ..Limits::new(self.timeout, self.retry)
        })
    }

    /// Ties what is written with `limits` to what is read from now on: a condition names an entry by its sequence, which
    /// means that entry only as long as no other program has had the directory.
    pub fn tie(&self, limits: Limits) -> Limits {
        Limits {
            since: Some(self.node().session.line()),
            ..limits
        }
    }

    fn call<'a>(&'a self, request: Request<'a>, limits: Limits) -> Calling<'a> {
        self.node().session.calling(request, limits)
    }

    pub fn queued_bytes(&self) -> usize {
        match self.node().is_forked() {
            true => 0,
            false => self.node().session.queued_bytes(),
        }
    }

    /// The moment `at` can still be read, as far as this process knows.
    fn check_moment(&self, at: Option<&Pinned>) -> Result<()> {
        at.map_or(Ok(()), |pin| self.node().session.check_pin(pin.id))
    }

    /// The grant that came with an answer.
    fn granted(self: &Arc<Self>, pin: Option<PinId>, sequence: u64) -> Option<Pinned> {
        pin.map(|id| Pinned {
            handle: self.clone(),
            id,
            sequence,
        })
    }

    pub async fn get_by(
        &self,
        wait: Wait,
        key: &[u8],
        at: Option<&Pinned>,
    ) -> Result<Option<Vec<u8>>> {
        check_key(key)?;
        let limits = self.limits_by(wait)?;
        self.check_moment(at)?;
        let request = Request::Get {
            key: Bytes::new(key),
            at: at.map(Pinned::sequence),
        };
        match self.call(request, limits).await?.answer {
            Answer::Value(value) => Ok(value),
            other => Err(unexpected(&other)),
        }
    }

    pub async fn contains_by(&self, wait: Wait, key: &[u8], at: Option<&Pinned>) -> Result<bool> {
        check_key(key)?;
        let limits = self.limits_by(wait)?;
        self.check_moment(at)?;
        let request = Request::Contains {
            key: Bytes::new(key),
            at: at.map(Pinned::sequence),
        };
        match self.call(request, limits).await?.answer {
            Answer::Contained(yes) => Ok(yes),
            other => Err(unexpected(&other)),
        }
    }

    /// What `keys` held at one moment: each entry's sequence and value.
    pub async fn get_many_by(
        self: &Arc<Self>,
        limits: Limits,
        keys: &[impl AsRef<[u8]>],
        at: Option<&Pinned>,
    ) -> Result<Vec<Found>> {
        keys.iter().try_for_each(|key| check_key(key.as_ref()))?;
        let mut found = Vec::with_capacity(keys.len());
        let mut granted = None;
        while found.len() < keys.len() {
            let left = &keys[found.len()..];
            let packed = pack_some(left);
            if packed.count < left.len() && at.is_none() && granted.is_none() {
                granted = Some(self.pin_by(limits).await?);
            }
            let pin = at.or(granted.as_ref());
            self.check_moment(pin)?;
            let request = Request::GetMany(GetMany {
                at: pin.map(Pinned::sequence),
                keys: Bytes::new(packed.keys.packed()),
                limit_bytes: MAX_CHUNK_BYTES,
            });
            let answered = self.call(request, limits).await?;
            let Answer::Values {
                sequence, values, ..
            } = answered.answer
            else {
                return Err(unexpected(&answered.answer));
            };
            if let Some(pin) = self.granted(answered.pin, sequence) {
                granted = Some(pin);
            }
            let before = found.len();
            let owned = |(sequence, value): (u64, &[u8])| (sequence, value.to_vec());
            found.extend(values.iter().map(|entry| entry.map(owned)));
            if found.len() == before || found.len() > before + packed.count {
                return Err(Error::protocol(
                    "the leader answered with another number of values than it was asked for",
                ));
            }
        }
        Ok(found)
    }

    /// Writes `batch` and says the sequence of its last entry.
    pub async fn write_by(&self, wait: Wait, batch: &WriteBatch, sync: bool) -> Result<u64> {
        let limits = self.limits_by(wait)?;
        let none = Conditions::default();
        match self.write_if_by(limits, batch, sync, &none).await? {
            Some(sequence) => Ok(sequence),
            None => Err(unexpected(&Answer::Conflict)),
        }
    }

    /// Writes `batch` if all of `conditions` hold when its turn comes. `None`: they did not, and nothing was written.
    pub async fn write_if_by(
        &self,
        limits: Limits,
        batch: &WriteBatch,
        sync: bool,
        conditions: &Conditions,
    ) -> Result<Option<u64>> {
        self.check_writable()?;
        check_batch(batch, conditions)?;
        let request = Request::Write(Write {
            number: 0,
            sync,
            batch: Bytes::new(batch.as_bytes()),
            conditions: Bytes::new(conditions.packed()),
        });
        match self.call(request, limits).await.map(|done| done.answer) {
            Ok(Answer::Written { sequence }) => Ok(Some(sequence)),
            Ok(Answer::Conflict) => Ok(None),
            Ok(other) => Err(unexpected(&other)),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// # Errors
    /// `ReadOnly`.
    pub fn check_writable(&self) -> Result<()> {
        match self.read_only {
            false => Ok(()),
            true => Err(Error::new(
                ErrorKind::ReadOnly,
                "this handle was opened with read_only; open the database without it to write",
            )),
        }
    }

    /// One chunk of a range; the pin of its moment where this chunk granted one; and who answered.
    pub async fn scan_by(
        self: &Arc<Self>,
        mut limits: Limits,
        scan: &Scan<'_>,
        pin: Option<&Pinned>,
        begun: Option<Tenure>,
    ) -> Result<(Entries, Option<Pinned>, Tenure)> {
        // This may be one of many chunks without an entry, for a step that has one deadline.
        limits.check_time()?;
        limits.only = begun.filter(|_| !self.retry);
        self.check_moment(pin)?;
        let scan = Scan {
            at: pin.map(Pinned::sequence),
            ..*scan
        };
        let answered = self.call(Request::Scan(scan), limits).await?;
        match answered.answer {
            Answer::Entries {
                sequence, entries, ..
            } => {
                let pin = self.granted(answered.pin, sequence);
                Ok((entries, pin, answered.tenure))
            }
            other => Err(unexpected(&other)),
        }
    }

    pub async fn pin_by(self: &Arc<Self>, limits: Limits) -> Result<Pinned> {
        let answered = self.call(Request::Pin, limits).await?;
        match answered.answer {
            Answer::Pinned { sequence } => self
                .granted(answered.pin, sequence)
                .ok_or_else(|| Error::protocol("the leader pinned a moment and granted none")),
            other => Err(unexpected(&other)),
        }
    }

    /// About how many bytes the tables hold of a range.
    pub async fn approximate_size_by(&self, wait: Wait, bounds: &Bounds) -> Result<u64> {
        let (lower, upper) = bounds.checked()?;
        let request = Request::ApproximateSize { lower, upper };
        match self.call(request, self.limits_by(wait)?).await?.answer {
            Answer::Size(bytes) => Ok(bytes),
            other => Err(unexpected(&other)),
        }
    }

    pub async fn property_by(&self, wait: Wait, name: &str) -> Result<Option<String>> {
        let request = Request::Property { name };
        match self.call(request, self.limits_by(wait)?).await?.answer {
            Answer::Property(text) => Ok(text),
            other => Err(unexpected(&other)),
        }
    }

    pub async fn status_by(&self, wait: Wait) -> Result<Status> {
        let leader: LeaderStatus = match self
            .call(Request::Status, self.limits_by(wait)?)
            .await?
            .answer
        {
            Answer::Status(status) => *status,
            other => return Err(unexpected(&other)),
        };
        Ok(Status {
            role: self.role(),
            pid: std::process::id(),
            leader,
            queued_calls: self.node().session.queued_calls() as u64,
            queued_bytes: self.node().session.queued_bytes() as u64,
            last_trouble: self.node().session.last_trouble(),
            differing_options: self.node().differing_options.lock().clone(),
        })
    }
}

/// The same by the calling thread.
impl Handle {
    pub fn limits(&self) -> Result<Limits> {
        self.limits_by(Wait::Thread)
    }

    /// As [`Handle::get_by`], at once where that can be.
    pub fn get(&self, key: &[u8], at: Option<&Pinned>) -> Result<Option<Vec<u8>>> {
        if at.is_none() {
            check_key(key)?;
            self.check_open()?;
            if let Some(got) = self.node().session.get_at_once(key) {
                return got;
            }
        }
        now(self.get_by(Wait::Thread, key, at))
    }

    /// As [`Handle::write_by`], at once where that can be.
    pub fn write(&self, mut batch: Cow<'_, WriteBatch>, sync: bool) -> Result<u64> {
        // Whose timeout is zero is told that its time is over.
        if !self.timeout.is_zero() {
            self.check_open()?;
            self.check_writable()?;
            check_batch(&batch, &Conditions::default())?;
            let session = &self.node().session;
            match session.write_at_once(batch, sync, self.queue_bytes) {
                Ok(written) => return written,
                Err(unwritten) => batch = unwritten,
            }
        }
        now(self.write_by(Wait::Thread, &batch, sync))
    }

    pub fn pin(self: &Arc<Self>) -> Result<Pinned> {
        now(self.pin_by(self.limits()?))
    }

    pub fn approximate_size(&self, bounds: &Bounds) -> Result<u64> {
        now(self.approximate_size_by(Wait::Thread, bounds))
    }

    pub fn property(&self, name: &str) -> Result<Option<String>> {
        now(self.property_by(Wait::Thread, name))
    }

    pub fn status(&self) -> Result<Status> {
        now(self.status_by(Wait::Thread))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

fn unexpected_outcome(outcome: &Outcome) -> Error {
    Error::protocol(format!("the leader did another piece of work: {outcome:?}"))
}

/// The first of some keys, as many as one request takes.
struct PackedKeys {
    keys: Keys,
    count: usize,
}

fn pack_some(from: &[impl AsRef<[u8]>]) -> PackedKeys {
    let mut keys = Keys::default();
    let mut count = 0;
    for key in from.iter().take(MAX_KEYS) {
        if count > 0 && keys.packed().len() + key.as_ref().len() > KEYS_BYTES {
            break;
        }
        keys.push(key.as_ref());
        count += 1;
    }
    PackedKeys { keys, count }
}

/// A moment that this handle holds; dropping it gives it back.
pub(crate) struct Pinned {
    handle: Arc<Handle>,
    id: PinId,
    sequence: u64,
}

impl Pinned {
    pub fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // In a forked child it is the parent's to give back.
        if !self.handle.node().is_forked() {
            self.handle.node().session.unpin(self.id);
        }
    }
}
