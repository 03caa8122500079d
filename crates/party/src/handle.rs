//! A handle: what one `open` returned. It has its own limits and its own `close`, and makes calls through its node.
//!
//! What a caller gave is checked here, before anything is done. There is one body for a thread that waits and for a task:
//! with [`Wait::Thread`] a call's first poll blocks until it is done, so that [`now`] has the whole in one poll.

use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use level_party_engine::{Entry, KeyRange, Pin, Write, WriteBatch, nonblocking};
use level_party_locks::Mutex;
use level_party_os::process::fork_generation;
use level_party_remote::Moment as ServerMoment;
use level_party_remote::address::scheme;
use serde_bytes::ByteBuf;

use crate::bounds::Bounds;
use crate::checkpoint::CopyTarget;
use crate::conditions::Conditions;
use crate::election::Elector;
use crate::entries::Entries;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Events, Queue};
use crate::lane::Lane;
use crate::limits::{Limits, Stay, Wait, now};
use crate::member::Member;
use crate::node::Node;
use crate::options::{Lead, Options, WhenFull};
use crate::order::Order;
use crate::pins::Moment as SegmentMoment;
use crate::place::Place;
use crate::protocol::{Task, TaskResult};
use crate::readers::Readers;
use crate::reads::{OwnedScan, Scan};
use crate::registry;
use crate::report::VerifyReport;
use crate::report_status;
use crate::service::{self, ServiceState, ServiceWord};
use crate::side::{Ender, Work};
use crate::site::Site;
use crate::status::{Opening, Role, Status};
use crate::stop::Stop;
use crate::writes::{WriteLimits, check_batch, check_key};

mod at_once;

use at_once::answered;

/// What a key held: the entry's sequence and value.
pub(crate) type Found = Option<(u64, Vec<u8>)>;

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
    home: Home,
    /// That of the process that opened it.
    fork_generation: u64,
    timeout: Duration,
    retry: bool,
    reject_writes: bool,
    /// Whether a write that does not say is synced.
    pub sync: bool,
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

/// Where a handle's database lies.
enum Home {
    Directory(Arc<Elector>),
    Server(Box<Site>),
}

/// How long a status waits for who succeeds a dead leader. It takes some milliseconds.
const SUCCESSION: Duration = Duration::from_secs(1);

impl Handle {
    pub fn open(path: &Path, options: Options) -> Result<Self> {
        match path.to_str().filter(|path| scheme(path).is_some()) {
            Some(url) => Handle::open_url(url, &options),
            None => Handle::open_directory(path, options),
        }
    }

    /// A handle on `home`, by whose calls these settings count.
    fn on(home: Home, options: &Options) -> Self {
        Handle {
            home,
            fork_generation: fork_generation(),
            timeout: options.timeout,
            retry: options.retry,
            reject_writes: options.reject_writes,
            sync: options.sync,
            no_prefix: Arc::from(&[][..]),
            queue_bytes: options.queue_bytes,
            when_full: options.when_full,
            opened: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            enders: Mutex::default(),
            queues: Mutex::default(),
        }
    }

    fn open_url(url: &str, options: &Options) -> Result<Self> {
        let site = Site::open(url, options)?;
        Ok(Handle::on(Home::Server(Box::new(site)), options))
    }

    fn open_directory(path: &Path, options: Options) -> Result<Self> {
        let limits = Limits::new(options.open_timeout, true);
        let (asked, reject_writes) = (options.clone(), options.reject_writes);
        let elector = registry::join(path, options)?;
        // From here on an error drops the handle, which leaves the node.
        let handle = Handle::on(Home::Directory(Arc::clone(&elector)), &asked);
        let node = elector.node();
        let member = now(node.place.wait_for(&limits, |_| true, || node.failure()))?;
        handle.opened.store(true, Ordering::Release);
        if !reject_writes {
            node.check_compression(&member, asked.compression)?;
        }
        let is_filled = matches!(
            member.state().service(),
            ServiceWord::Filling | ServiceWord::Sealed
        );
        drop(member);
        if is_filled && !node.options.fills {
            let state = handle.settle_service_state()?;
            if let ServiceState::Filling { .. } = state {
                return Err(service::refusal(&state).cannot_open(&node.path));
            }
        }
        let created = elector.created_here();
        if asked.error_if_exists && !created {
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

    /// Has work done by the leader; see [`Work::run`].
    fn work(&self, task: &Task, finish: &dyn Fn(&TaskResult) -> Result<()>) -> Result<TaskResult> {
        self.with_work(|work| work.run(task, finish))
    }

    /// Long-lived work that begins now, and ends when this handle is closed.
    fn with_work<T>(&self, run: impl FnOnce(&Work<'_>) -> Result<T>) -> Result<T> {
        let limits = self.limits()?;
        run(&Work {
            node: self.directory()?,
            ender: &*self.ender()?,
            timeout: limits.timeout,
            retry: limits.retry,
        })
    }

    /// Compacts the tables that have keys in a range.
    pub fn compact_range(&self, bounds: &Bounds) -> Result<()> {
        self.check_writable()?;
        bounds.check_order(self.order())?;
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
            TaskResult::Compacted => Ok(()),
            other => Err(unexpected_result(&other)),
        }
    }

    /// Makes a copy at `path`; gives the sequence that it shows.
    pub fn checkpoint(&self, path: &Path) -> Result<u64> {
        self.limits()?;
        let target = CopyTarget::find(path, &self.directory()?.dir)?;
        let task = Task::Checkpoint(target.task()?);
        let done = self.work(&task, &|_| target.take());
        // Also where the leader died, or was given up.
        target.clean();
        match done? {
            TaskResult::Copied(sequence) => Ok(sequence),
            other => Err(unexpected_result(&other)),
        }
    }

    /// What happens to this process's part from here on, until this handle is closed.
    pub fn events(&self) -> Result<Events> {
        self.limits()?;
        let events = match &self.home {
            Home::Directory(elector) => elector.node().events.receive(),
            Home::Server(site) => site.events.receive(),
        };
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
        let (before, after) = self.with_work(|work| work.give_way())?;
        Ok(Yielded {
            leader_pid: after.pid,
            epoch: after.leadership,
            handed_over: after.pid != before.pid,
        })
    }

    /// Looks at every table.
    pub fn verify(&self) -> Result<VerifyReport> {
        match self.work(&Task::Verify, &|_| Ok(()))? {
            TaskResult::Verified(report) => Ok(report.into()),
            other => Err(unexpected_result(&other)),
        }
    }

    /// Forgets what openings of the database lost; gives what that was.
    pub fn acknowledge_losses(&self) -> Result<Vec<String>> {
        self.check_writable()?;
        match self
            .work(&Task::Acknowledge, &|_| Ok(()))
            .map_err(Error::in_part)?
        {
            TaskResult::Acknowledged(losses) => Ok(losses),
            other => Err(unexpected_result(&other)),
        }
    }

    /// What this process found when it became a member.
    pub fn opening(&self) -> Opening {
        match &self.home {
            _ if self.is_forked() => Opening::default(),
            Home::Server(site) => site.opening(),
            Home::Directory(elector) => match &*elector.node().place.member() {
                Some(member) => member.opening(),
                None => Opening::default(),
            },
        }
    }

    /// The order of the keys.
    pub fn order(&self) -> &Order {
        match &self.home {
            Home::Directory(elector) => &elector.node().options.order,
            Home::Server(_) => &Order::BYTEWISE,
        }
    }

    /// Where the database lies, if it is on a server.
    pub fn site(&self) -> Option<&Site> {
        match &self.home {
            Home::Directory(_) => None,
            Home::Server(site) => Some(site),
        }
    }

    /// This process's part in the directory, where the database is in one.
    #[inline]
    pub fn node(&self) -> Option<&Node> {
        match &self.home {
            Home::Directory(elector) => Some(elector.node()),
            Home::Server(_) => None,
        }
    }

    /// The same, for what only a directory has.
    ///
    /// # Errors
    /// `Unsupported`.
    fn directory(&self) -> Result<&Node> {
        self.node().ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                "this database is on a server, which has no files of ours: it is looked after there, by the server's own means",
            )
        })
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether this is a forked child's copy of its parent's handle.
    #[inline]
    pub fn is_forked(&self) -> bool {
        fork_generation() != self.fork_generation
    }

    /// Whoever waits for a change of this process's part looks again.
    pub fn tell(&self) {
        if let Some(node) = self.node() {
            node.place.tell();
        }
    }

    /// What a call that waited until its deadline is told.
    pub fn timeout_error(&self, limits: &Limits) -> Error {
        match &self.home {
            Home::Directory(elector) => elector.node().place.timeout_error(limits),
            Home::Server(site) => site.timeout_error(limits),
        }
    }

    /// The place of a database in a directory.
    ///
    /// # Errors
    /// `Unsupported`.
    fn place(&self) -> Result<&Arc<Place>> {
        self.directory().map(|node| &node.place)
    }

    /// What one write may have.
    pub fn write_limits(&self) -> WriteLimits {
        match &self.home {
            Home::Directory(_) => WriteLimits::DIRECTORY,
            Home::Server(site) => site.limits(),
        }
    }

    pub fn path(&self) -> &Path {
        match &self.home {
            Home::Directory(elector) => &elector.node().path,
            Home::Server(site) => Path::new(site.address()),
        }
    }

    pub fn role(&self) -> Role {
        match &self.home {
            Home::Server(_) => Role::Remote,
            _ if self.is_forked() => Role::Electing,
            Home::Directory(elector) => elector.node().place.role(),
        }
    }

    pub fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        let is_forked = self.is_forked();
        if !is_forked {
            for ender in self.enders.lock().drain(..) {
                if let Some(ender) = ender.upgrade() {
                    ender.end();
                }
            }
            self.tell();
        }
        match &self.home {
            Home::Directory(elector) => elector.handle_closed(self.opened.load(Ordering::Acquire)),
            Home::Server(site) if !is_forked => site.close(),
            Home::Server(_) => {}
        }
        if !is_forked {
            for queue in self.queues.lock().drain(..) {
                if let Some(queue) = queue.upgrade() {
                    queue.close();
                }
            }
        }
    }

    /// A call may begin.
    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::closed());
        }
        if self.is_forked() {
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
        match &self.home {
            Home::Directory(elector) => Limits {
                since: Some(elector.node().place.line()),
                ..limits
            },
            Home::Server(site) => Limits {
                history: Some(site.history()),
                ..limits
            },
        }
    }

    async fn call<T>(
        &self,
        limits: &Limits,
        make: impl Fn(&Member) -> std::result::Result<T, Stop>,
    ) -> Result<T> {
        // Of a call whose future is polled late.
        limits.check_time()?;
        self.place()?.call(limits, make).await
    }

    /// Makes a read by `read`. Where a task's read would wait for the disk, a thread that may wait makes it by what `owned` gives.
    async fn read<T: Send + 'static, R>(
        &self,
        limits: &Limits,
        read: impl Fn(&Member) -> std::result::Result<T, Stop>,
        owned: impl FnOnce() -> R,
    ) -> Result<T>
    where
        R: Fn(&Member) -> std::result::Result<T, Stop> + Send + 'static,
    {
        if limits.wait == Wait::Thread {
            return self.call(limits, read).await;
        }
        let at_once = |member: &Member| match nonblocking(|| read(member)) {
            Err(stop) if stop.would_block() => Ok(None),
            read => read.map(Some),
        };
        if let Some(found) = self.call(limits, at_once).await? {
            return Ok(found);
        }
        let read = owned();
        let place = Arc::clone(self.place()?);
        let by_thread = Limits {
            wait: Wait::Thread,
            ..*limits
        };
        let made = move || now(place.call(&by_thread, read));
        Readers::run(self.place()?, limits, made).await?
    }

    pub fn queued_bytes(&self) -> usize {
        match &self.home {
            _ if self.is_forked() => 0,
            Home::Directory(elector) => elector.node().place.room.bytes(),
            Home::Server(site) => site.room.bytes(),
        }
    }

    pub async fn get_by(
        &self,
        wait: Wait,
        key: &[u8],
        at: Option<&Pinned>,
    ) -> Result<Option<Vec<u8>>> {
        check_key(key)?;
        let limits = self.limits_by(wait)?;
        if let Home::Server(site) = &self.home {
            return site.get(&limits, key, site_moment(at)).await;
        }
        let at = at.map(Pinned::in_segment);
        let read = |member: &Member| member.get(key, sequence(at)?);
        let owned = || {
            let (key, at) = (key.to_vec(), at.map(Arc::clone));
            move |member: &Member| member.get(&key, sequence(at.as_ref())?)
        };
        let found = self.read(&limits, read, owned).await?;
        Ok(found.map(|entry| entry.value))
    }

    pub async fn contains_by(&self, wait: Wait, key: &[u8], at: Option<&Pinned>) -> Result<bool> {
        check_key(key)?;
        let limits = self.limits_by(wait)?;
        if let Home::Server(site) = &self.home {
            return site.contains(&limits, key, site_moment(at)).await;
        }
        let at = at.map(Pinned::in_segment);
        let read = |member: &Member| member.contains(key, sequence(at)?);
        let owned = || {
            let (key, at) = (key.to_vec(), at.map(Arc::clone));
            move |member: &Member| member.contains(&key, sequence(at.as_ref())?)
        };
        self.read(&limits, read, owned).await
    }

    /// What `keys` held at one moment: each entry's sequence and value.
    pub async fn get_many_by(
        &self,
        limits: Limits,
        keys: &[impl AsRef<[u8]>],
        at: Option<&Pinned>,
    ) -> Result<Vec<Found>> {
        keys.iter().try_for_each(|key| check_key(key.as_ref()))?;
        if let Home::Server(site) = &self.home {
            return site.get_many(&limits, keys, site_moment(at)).await;
        }
        let at = at.map(Pinned::in_segment);
        let read = |member: &Member| member.get_many(keys, sequence(at)?);
        let owned = || {
            let keys: Vec<_> = keys.iter().map(|key| key.as_ref().to_vec()).collect();
            let at = at.map(Arc::clone);
            move |member: &Member| member.get_many(&keys, sequence(at.as_ref())?)
        };
        let found = self.read(&limits, read, owned).await?;
        let parts = |entry: Entry| (entry.sequence, entry.value);
        Ok(found.into_iter().map(|e| e.map(parts)).collect())
    }

    /// Writes `batch` and says the sequence of its last entry.
    pub async fn write_by(&self, wait: Wait, batch: &WriteBatch, sync: bool) -> Result<u64> {
        let limits = self.limits_by(wait)?;
        let none = Conditions::default();
        match self.write_if_by(limits, batch, sync, &none).await? {
            Some(sequence) => Ok(sequence),
            None => Err(Error::protocol("a write without conditions was refused")),
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
        limits.check_time()?;
        if let Home::Server(site) = &self.home {
            return site.write(&limits, batch, sync, conditions).await;
        }
        let place = self.place()?;
        let charge = batch.byte_size() + conditions.bytes();
        let room = place.room.wait_for(charge, &limits, &place.timer).await?;
        let is_alone = place.lane.is_empty();
        let written = if limits.wait == Wait::Thread && is_alone {
            let write = || conditions.of(Write::new(batch.clone()).sync(sync));
            let written = place.call(&limits, |member| member.write(write(), &limits));
            written.await
        } else {
            match is_alone && may_write_at_once(place, &limits) {
                true => match try_write(place, batch, sync, conditions) {
                    Some(made) => made,
                    None => Lane::write(place, batch.clone(), sync, conditions, &limits).await,
                },
                false => Lane::write(place, batch.clone(), sync, conditions, &limits).await,
            }
        };
        drop(room);
        match written {
            Ok(sequence) => Ok(Some(sequence)),
            Err(error) if error.kind() == ErrorKind::Conflict && !conditions.is_empty() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// # Errors
    /// `ReadOnly`.
    pub fn check_writable(&self) -> Result<()> {
        match self.reject_writes {
            false => Ok(()),
            true => Err(Error::new(
                ErrorKind::ReadOnly,
                "this handle was opened with reject_writes; open the database without it to write",
            )),
        }
    }

    /// One chunk of a range.
    pub async fn scan_by(
        self: &Arc<Self>,
        mut limits: Limits,
        scan: &Scan<'_>,
        pin: Option<&Pinned>,
        begun: Option<Stay>,
    ) -> Result<Scanned> {
        // This may be one of many chunks without an entry, for a step that has one deadline.
        limits.check_time()?;
        limits.only = begun.filter(|_| !self.retry);
        if let Home::Server(site) = &self.home {
            let (entries, new) = site.scan(&limits, scan, site_moment(pin)).await?;
            let pinned = new.map(|moment| self.held(Moment::Server(moment)));
            return Ok((entries, pinned, Stay::default()));
        }
        let at = pin.map(Pinned::in_segment);
        let read = |member: &Member| scan_chunk(member, scan, sequence(at)?);
        let owned = || {
            let (scan, at) = (OwnedScan::of(scan), at.map(Arc::clone));
            move |member: &Member| scan_chunk(member, &scan.as_scan(), sequence(at.as_ref())?)
        };
        loop {
            let (entries, kept, stay) = self.read(&limits, read, owned).await?;
            let Some(new) = kept else {
                return Ok((entries, None, stay));
            };
            // Otherwise that stay is over, and the next one is asked.
            if let Some(pinned) = self.hold(new, stay) {
                return Ok((entries, Some(pinned), stay));
            }
        }
    }

    /// `None`: the stay is over in which the moment was pinned.
    fn hold(self: &Arc<Self>, pin: Pin, stay: Stay) -> Option<Pinned> {
        let moment = self.node()?.place.pins.hold(pin, stay)?;
        Some(self.held(Moment::Segment(moment)))
    }

    fn held(self: &Arc<Self>, moment: Moment) -> Pinned {
        Pinned {
            handle: self.clone(),
            moment,
        }
    }

    pub async fn pin_by(self: &Arc<Self>, limits: Limits) -> Result<Pinned> {
        if let Home::Server(site) = &self.home {
            return Ok(self.held(Moment::Server(site.pin(&limits).await?)));
        }
        self.call(&limits, |member| self.pin_in(member)).await
    }

    /// The present moment of a stay.
    fn pin_in(self: &Arc<Self>, member: &Member) -> std::result::Result<Pinned, Stop> {
        let pin = member.engine().pin();
        match member.may_answer_read() {
            true => self.hold(pin, member.stay()).ok_or(Stop::Over),
            false => Err(Stop::Over),
        }
    }

    /// About how many bytes the tables hold of a range.
    pub async fn approximate_size_by(&self, wait: Wait, bounds: &Bounds) -> Result<u64> {
        bounds.check_order(self.order())?;
        let range = KeyRange {
            start: bounds.lower.clone(),
            end: bounds.upper.clone(),
        };
        let limits = self.limits_by(wait)?;
        if let Home::Server(site) = &self.home {
            return site.approximate_size(&limits, bounds).await;
        }
        let size = |member: &Member| Ok(member.engine().approximate_size(&range)?);
        let owned = || {
            let range = range.clone();
            move |member: &Member| Ok(member.engine().approximate_size(&range)?)
        };
        self.read(&limits, size, owned).await
    }

    /// Whether the database is in use, being filled, or moved.
    pub fn service_state(&self) -> Result<ServiceState> {
        let limits = self.limits()?;
        if let Some(site) = self.site() {
            return now(site.service_state(&limits));
        }
        let state = |member: &Member| member.service_state().map_err(Stop::Failed);
        now(self.call(&limits, state))
    }

    /// The same, and it is in force in every process: one may have died while it changed it.
    pub fn settle_service_state(&self) -> Result<ServiceState> {
        let limits = self.limits()?;
        if let Some(site) = self.site() {
            return now(site.service_state(&limits));
        }
        let settle = |member: &Member| member.settle_service_state(&limits);
        now(self.call(&limits, settle))
    }

    /// Has watches of all keys tell soon how far they have come, where a server does not do so by itself.
    pub fn tick(&self) -> Result<()> {
        let limits = self.limits()?;
        self.site().map_or(Ok(()), |site| now(site.tick(&limits)))
    }

    /// Changes that for every process. False: it was not `expected`. (Where it is `new` already, this call may have made it so.)
    pub fn change_service_state(
        &self,
        expected: &ServiceState,
        new: &ServiceState,
    ) -> Result<bool> {
        self.check_writable()?;
        let limits = self.limits()?;
        if let Some(site) = self.site() {
            return now(site.change_service_state(&limits, expected, new));
        }
        let change = |member: &Member| member.change_service_state(expected, new, &limits);
        now(self.call(&limits, change))
    }

    pub async fn property_by(&self, wait: Wait, name: &str) -> Result<Option<String>> {
        let limits = self.limits_by(wait)?;
        if self.site().is_some() {
            return Ok(None);
        }
        self.call(&limits, |member| Ok(member.engine().property(name)))
            .await
    }

    /// Where the leader has just died this waits a moment for its successor, unless this process never leads.
    pub async fn status_by(&self, wait: Wait) -> Result<Status> {
        let limits = self.limits_by(wait)?;
        let node = match &self.home {
            Home::Directory(elector) => elector.node(),
            Home::Server(site) => return site.status(&limits).await,
        };
        let place = &node.place;
        if node.options.lead == Lead::Auto {
            let is_led = || place.is_led().then_some(());
            let deadline = limits.deadline.min(Instant::now() + SUCCESSION);
            let led = place.changed.wait(wait, deadline, &place.timer, is_led);
            // If none comes, the status says who was the last.
            let _ = led.await?;
        }
        let Node {
            options, events, ..
        } = node;
        let status = |member: &Member| {
            report_status::of(place, events, member, &options.engine).map_err(Stop::Failed)
        };
        self.call(&limits, status).await
    }
}

/// The same by the calling thread.
impl Handle {
    pub fn limits(&self) -> Result<Limits> {
        self.limits_by(Wait::Thread)
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

/// What a write rests on is still there.
fn may_write_at_once(place: &Place, limits: &Limits) -> bool {
    limits.since.is_none_or(|line| line == place.line())
}

/// A task's write, if nobody is writing at this moment.
fn try_write(
    place: &Place,
    batch: &WriteBatch,
    sync: bool,
    conditions: &Conditions,
) -> Option<Result<u64>> {
    let member = place.member();
    let member = member.as_ref()?;
    let write_at_once = |write| match conditions.is_empty() {
        true => member.write_at_once(write),
        // They are read, which this thread must not wait for either.
        false => nonblocking(|| member.write_at_once(write)),
    };
    // A sync waits for the disk, which the polling thread must not.
    if sync || member.engine().is_committing() {
        return None;
    }
    let write = conditions.of(Write::new(batch.clone()));
    match write_at_once(write) {
        Ok(Err(stop)) if stop.would_block() => None,
        made => made.ok().map(answered),
    }
}

fn unexpected_result(outcome: &TaskResult) -> Error {
    Error::protocol(format!("the leader did another piece of work: {outcome:?}"))
}

/// The moment to read at, if it can still be read.
fn sequence(at: Option<&Arc<SegmentMoment>>) -> std::result::Result<Option<u64>, Stop> {
    let checked = |at: &Arc<SegmentMoment>| at.check().map(|()| at.sequence());
    at.map(checked).transpose().map_err(Stop::Failed)
}

/// A chunk of a range; the pin of its moment where this chunk began one (`P`: as the engine or as a handle has it); and
/// which stay gave it.
pub(crate) type Scanned<P = Pinned> = (Entries, Option<P>, Stay);

/// One chunk of a range at a moment; without one at the newest, which is pinned, and kept where more is left.
fn scan_chunk(
    member: &Member,
    scan: &Scan<'_>,
    at: Option<u64>,
) -> std::result::Result<Scanned<Pin>, Stop> {
    let stay = member.stay();
    if let Some(at) = at {
        return Ok((member.scan(scan, at)?, None, stay));
    }
    let new = member.engine().pin();
    let entries = member.scan(scan, new.sequence())?;
    let kept = (entries.more() || scan.hold).then_some(new);
    Ok((entries, kept, stay))
}

/// A moment that this handle holds; dropping it gives it back.
pub(crate) struct Pinned {
    handle: Arc<Handle>,
    moment: Moment,
}

enum Moment {
    /// Of a database in a directory.
    Segment(Arc<SegmentMoment>),
    Server(ServerMoment),
}

/// The moment on a server that is held.
fn site_moment(at: Option<&Pinned>) -> Option<ServerMoment> {
    match at?.moment {
        Moment::Segment(_) => None,
        Moment::Server(moment) => Some(moment),
    }
}

impl Pinned {
    pub fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    pub fn sequence(&self) -> u64 {
        match &self.moment {
            Moment::Segment(moment) => moment.sequence(),
            Moment::Server(moment) => moment.sequence,
        }
    }

    /// Of a handle on a directory.
    fn in_segment(&self) -> &Arc<SegmentMoment> {
        match &self.moment {
            Moment::Segment(moment) => moment,
            Moment::Server(_) => unreachable!("a moment is of its handle's database"),
        }
    }

    /// The moment, if it can still be read, as far as this process knows.
    fn checked(&self) -> Result<u64> {
        if let Moment::Segment(moment) = &self.moment {
            moment.check()?;
        }
        Ok(self.sequence())
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // In a forked child it is the parent's to give back.
        if self.handle.is_forked() {
            return;
        }
        match (&self.handle.home, &self.moment) {
            (Home::Directory(elector), Moment::Segment(moment)) => {
                elector.node().place.pins.give_back(moment);
            }
            (Home::Server(site), Moment::Server(moment)) => site.unpin(*moment),
            _ => {}
        }
    }
}
