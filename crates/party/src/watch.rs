//! Watching: the committed changes of all processes, in order, over any number of leaders.
//!
//! A watch is a position and, while this process is a member, a *feed* of the logs. When a stay ends, the next one's feed goes
//! on after the position. Invariants:
//! - Every change in the range is given once, in the order of its sequence, or lies in a gap that is given.
//! - `told` never goes back, and goes on also where nothing in the range changes.
//! - A watch holds the handle, and so keeps the database open, but no member: a stay ends while it waits.

use std::ops::Bound;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use level_party_locks::Mutex;
use level_party_remote::Feed as ServerFeed;

use crate::bounds::Bounds;
use crate::epoch::Epoch;
use crate::error::{Error, ErrorKind, Result};
use crate::feed::{Changes, Feed, Missing, Start, Told};
use crate::handle::Handle;
use crate::limits::{Limits, Stay, now};
use crate::member::Member;
use crate::place::connection_lost;
use crate::position::Position;
use crate::side::{Ender, Waits};
use crate::site::{self, Site};
use crate::space::Space;
use crate::stop::Stop;

/// Where a [`Watch`] begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WatchFrom {
    /// With the first change that is not yet visible when the watch is made.
    #[default]
    Now,
    /// With the oldest change that is kept ([`Options::watch_history_bytes`](crate::Options::watch_history_bytes)).
    Beginning,
    /// With the first change after this position; a gap if it is not kept any more.
    After(Position),
}

impl From<Position> for WatchFrom {
    fn from(position: Position) -> Self {
        WatchFrom::After(position)
    }
}

/// One committed change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Its sequence number: each change of the database has the next one. Those of one batch follow each other.
    pub sequence: u64,
    /// The key.
    pub key: Vec<u8>,
    /// What the key was set to. `None`: it was removed, if it was there.
    pub value: Option<Vec<u8>>,
}

/// What a [`Watch`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchItem {
    /// A change.
    Change(Change),
    /// Changes with sequences of `from` and above cannot be told: they are not kept any more, or the history that the
    /// position belongs to was replaced (`from` may be above `resume` then). The watch goes on with the changes from
    /// `resume` on. Whoever must know all reads the range anew, *after* this item, and goes on with what follows it.
    Gap {
        /// The first sequence that is missing.
        from: u64,
        /// The first that can be told.
        resume: u64,
    },
}

/// The committed changes of a range; made by [`Db::watch`](crate::Db::watch) and its kin.
///
/// As an iterator it waits for the next item, for ever. `Timeout` means that the directory could not be opened anew, where that
/// had to be, for the handle's timeout; the watch can be asked on. Any other error ends it. It keeps the database open, and ends
/// with `Closed` when [`Db::close`](crate::Db::close) closes that; [`WatchCloser`] ends the watch alone.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use level_party::{WatchFrom, WatchItem};
/// let db = level_party::Db::open(dir.path())?;
/// let mut watch = db.watch("a".."m", WatchFrom::Now)?;
/// db.put("b", "1")?; // or any other process
/// let WatchItem::Change(change) = watch.next().unwrap()? else { panic!("nothing is missing") };
/// assert_eq!((change.key.as_slice(), change.value.as_deref()), (&b"b"[..], Some(&b"1"[..])));
/// let after_a_restart = watch.position().to_string(); // keep it with what was made of the changes
/// # assert_eq!(after_a_restart.parse::<level_party::Position>()?, watch.position());
/// # Ok::<(), level_party::Error>(())
/// ```
pub struct Watch {
    handle: Arc<Handle>,
    ender: Arc<Ender>,
    timeout: Duration,
    retry: bool,
    lower: Bound<Vec<u8>>,
    upper: Bound<Vec<u8>>,
    /// Bytes that each key begins with and that are not given.
    prefix_bytes: usize,
    source: Source,
    /// Where the next feed begins: after all that came.
    start: Start,
    gap: Option<Missing>,
    /// What came and was not given yet.
    changes: Changes,
    /// Up to where everything has come, and the epoch that it came in.
    come: Position,
    /// Up to where everything was given.
    told: Position,
    /// When the feed was last looked at.
    heard: Instant,
    /// Why it has ended.
    over: Option<Error>,
}

/// Where changes come from.
enum Source {
    Nobody {
        lost: Option<Stay>,
    },
    Feed {
        feed: Box<Feed>,
        stay: Stay,
        epoch: Epoch,
        /// Whether the stay goes on is asked of it; not held, or it could not end.
        member: Weak<Member>,
    },
    /// Behind a lock, so that a watch can be shared: it is only ever used through the one that has it.
    Server(Mutex<Box<dyn ServerFeed>>),
}

/// What one look at the source brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Something, or it must be looked at anew.
    News,
    /// Nothing until the deadline.
    Late,
}

/// Why there is no item.
enum Trouble {
    /// It may pass: the watch can be asked on.
    Late(Error),
    /// The watch has ended.
    Over(Error),
}

impl Watch {
    /// Watches the keys in `bounds`, which are those of keys without the prefix.
    pub(crate) fn begin(space: Space<'_>, bounds: Bounds, from: WatchFrom) -> Result<Self> {
        let (handle, bounds) = (space.handle, bounds.within(space.prefix));
        bounds.check_order(handle.order())?;
        let limits = handle.limits()?;
        let (start, told) = match from {
            WatchFrom::Now => (Start::Now, Position::from(0)),
            WatchFrom::Beginning => (Start::Beginning, Position::from(0)),
            WatchFrom::After(position) => (after(position), position),
        };
        let mut watch = Watch {
            handle: handle.clone(),
            ender: handle.ender()?,
            timeout: limits.timeout,
            retry: limits.retry,
            lower: bounds.lower,
            upper: bounds.upper,
            prefix_bytes: space.prefix.len(),
            source: Source::Nobody { lost: None },
            start,
            gap: None,
            changes: Changes::default(),
            come: told,
            told,
            heard: Instant::now(),
            over: None,
        };
        if let Some(site) = handle.site() {
            watch.begin_on(site, &limits)?;
        }
        // It is known where the watch begins: what is acknowledged after this call is seen.
        let mut begun = watch.has_begun();
        while !begun {
            begun = watch.look(limits.deadline)? == Look::News && watch.has_begun();
            if !begun && Instant::now() >= limits.deadline {
                return Err(watch.late());
            }
        }
        if watch.gap.is_none() && watch.changes.is_empty() {
            watch.told = watch.come; // Where it begins, for a position that is kept before the first item.
        }
        Ok(watch)
    }

    /// The next item, waiting no longer than `limit`. `None`: there was none.
    ///
    /// # Errors
    /// As the iterator's; the one that ended it comes again and again.
    pub fn next_timeout(&mut self, limit: Duration) -> Result<Option<WatchItem>> {
        let limits = Limits::new(limit, self.retry);
        self.next_until(Some(limits.deadline))
    }

    /// The next item, if it has come already.
    ///
    /// # Errors
    /// As [`Watch::next_timeout`].
    pub fn try_next(&mut self) -> Result<Option<WatchItem>> {
        self.next_until(Some(Instant::now()))
    }

    /// Up to where everything was given: a watch that begins after it goes on with the next item of this one. It moves
    /// on too where nothing in the range changes, while the watch is waited for: keep it after each item, and now and
    /// then without.
    pub fn position(&self) -> Position {
        self.told
    }

    /// What ends this watch from another thread.
    pub fn closer(&self) -> WatchCloser {
        WatchCloser {
            ender: self.ender.clone(),
            handle: Arc::downgrade(&self.handle),
        }
    }

    fn next_until(&mut self, until: Option<Instant>) -> Result<Option<WatchItem>> {
        if let Some(error) = &self.over {
            return Err(error.clone());
        }
        self.try_next_until(until).map_err(|trouble| match trouble {
            Trouble::Late(error) => {
                self.heard = Instant::now();
                error
            }
            Trouble::Over(error) => {
                self.over = Some(error.clone());
                self.source = Source::Nobody { lost: None };
                error
            }
        })
    }

    fn try_next_until(
        &mut self,
        until: Option<Instant>,
    ) -> std::result::Result<Option<WatchItem>, Trouble> {
        let asked = Instant::now();
        loop {
            if self.ender.is_ended() {
                return Err(Trouble::Over(self.ended()));
            }
            check_process(&self.handle).map_err(Trouble::Over)?;
            if let Some(item) = self.give() {
                return Ok(Some(item));
            }
            // Silence is what somebody listened to.
            let since = self.heard.max(asked);
            let quiet = since
                .checked_add(self.timeout)
                .unwrap_or_else(|| Limits::new(Duration::MAX, self.retry).deadline);
            let deadline = until.map_or(quiet, |until| until.min(quiet));
            if self.look(deadline).map_err(Trouble::Over)? == Look::News {
                continue;
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                // What came last may be progress alone.
                return Ok(self.give());
            }
            match &mut self.source {
                // A feed of this process in which nothing changes has heard all there is.
                Source::Feed { .. } => {
                    self.heard = Instant::now();
                    continue;
                }
                Source::Server(feed) => self.heard = feed.get_mut().heard(),
                Source::Nobody { .. } => {}
            }
            if self.heard.max(asked).elapsed() >= self.timeout {
                return Err(Trouble::Late(self.late()));
            }
        }
    }

    /// The next item of what has come.
    fn give(&mut self) -> Option<WatchItem> {
        if let Some(Missing { from, resume }) = self.gap.take() {
            self.told = self.at(resume - 1);
            return Some(WatchItem::Gap { from, resume });
        }
        let Some((sequence, mut key, value)) = self.changes.take() else {
            self.told = self.come;
            return None;
        };
        key.drain(..self.prefix_bytes);
        self.told = self.at(sequence);
        Some(WatchItem::Change(Change {
            sequence,
            key,
            value,
        }))
    }

    fn at(&self, sequence: u64) -> Position {
        Position {
            sequence,
            ..self.come
        }
    }

    /// Takes what the source has to tell by `deadline`, once all that came before is given; finds a source where there
    /// is none.
    fn look(&mut self, deadline: Instant) -> Result<Look> {
        match &mut self.source {
            Source::Nobody { lost } => {
                let lost = *lost;
                self.find_source(lost, deadline)
            }
            Source::Server(feed) => {
                let feed = feed.get_mut();
                let told = feed.next(deadline).map_err(Error::remote)?;
                let through = feed.through();
                let look = told.as_ref().map_or(Look::Late, |_| Look::News);
                let (epoch, told) = site::told(through, told);
                self.came(epoch, told);
                Ok(look)
            }
            Source::Feed {
                feed,
                stay,
                epoch,
                member,
            } => {
                let told = next_of(feed, deadline, &self.ender);
                let goes_on = member.upgrade().is_some_and(|member| member.may_answer());
                match told {
                    Ok(told) if goes_on => {
                        let (through, epoch) = (feed.through(), *epoch);
                        let look = told.as_ref().map_or(Look::Late, |_| Look::News);
                        self.came(epoch, told.unwrap_or_else(|| Told::progress(through)));
                        Ok(look)
                    }
                    Err(Stop::Failed(error)) if goes_on => Err(error),
                    _ => {
                        let lost = Some(*stay);
                        self.lose(lost)
                    }
                }
            }
        }
    }

    /// The epoch told something.
    fn came(&mut self, epoch: Epoch, told: Told) {
        self.heard = Instant::now();
        self.gap = told.gap;
        self.changes = told.changes;
        self.come = Position {
            sequence: told.through,
            epoch: Some(epoch),
        };
        self.start = after(self.come);
    }

    /// Whether it is known where the watch begins.
    fn has_begun(&self) -> bool {
        matches!(self.source, Source::Feed { .. } | Source::Server(_))
    }

    /// Begins on a server.
    fn begin_on(&mut self, site: &Site, limits: &Limits) -> Result<()> {
        let feed = site.feed(limits, self.start, &self.lower, &self.upper)?;
        self.ender.wait_for(Waits::Feed(feed.waker()));
        let (epoch, told) = site::told(feed.through(), None);
        self.source = Source::Server(Mutex::new(feed));
        self.came(epoch, told);
        Ok(())
    }

    fn find_source(&mut self, lost: Option<Stay>, deadline: Instant) -> Result<Look> {
        let handle = self.handle.clone();
        let Some(node) = handle.node() else {
            return Err(Error::protocol("a watch of a server has no feed"));
        };
        let place = &node.place;
        let limits = Limits {
            deadline,
            ..Limits::new(self.timeout, self.retry)
        };
        let is_other = |member: &Member| Some(member.stay()) != lost;
        let ended = || self.ender.is_ended().then(|| self.ended());
        let member = match now(place.wait_for(&limits, is_other, ended)) {
            Ok(member) => member,
            Err(_) if Instant::now() >= deadline && !self.ender.is_ended() => {
                return Ok(Look::Late);
            }
            Err(error) => return Err(error),
        };
        let (lower, upper) = (self.lower.clone(), self.upper.clone());
        let order = self.handle.order().clone();
        match Feed::start(&member, self.start, order, lower, upper) {
            Ok(mut feed) => {
                self.ender.wait_for(Waits::Tail(feed.waker()));
                let (epoch, first) = (member.epoch(), feed.first());
                self.source = Source::Feed {
                    feed: Box::new(feed),
                    stay: member.stay(),
                    epoch,
                    member: Arc::downgrade(&member),
                };
                self.came(epoch, first);
            }
            Err(Stop::Failed(error)) => return Err(error),
            Err(Stop::Over | Stop::Unknown(_)) => {
                let lost = Some(member.stay());
                self.source = Source::Nobody { lost };
            }
        }
        Ok(Look::News)
    }

    /// The stay that told has ended.
    fn lose(&mut self, lost: Option<Stay>) -> Result<Look> {
        self.source = Source::Nobody { lost };
        match self.retry || self.ender.is_ended() {
            true => Ok(Look::News),
            false => Err(connection_lost()),
        }
    }

    /// Why it was ended: the database was closed, or the watch alone.
    fn ended(&self) -> Error {
        let what = match self.handle.is_closed() {
            true => {
                "the database was closed, and this watch with it; open it again, and watch on after the position"
            }
            false => "this watch was closed",
        };
        Error::new(ErrorKind::Closed, what)
    }

    /// What is said where this process is not a member for too long.
    fn late(&self) -> Error {
        let limits = Limits::new(self.timeout, self.retry);
        self.handle.timeout_error(&limits)
    }
}

/// What a feed of this process tells next. It looks through what has come by now even past the deadline.
fn next_of(
    feed: &mut Feed,
    deadline: Instant,
    ender: &Ender,
) -> std::result::Result<Option<Told>, Stop> {
    let due = feed.latest();
    loop {
        let told = feed.next(deadline)?;
        if told.is_some() || feed.through() >= due || ender.is_ended() {
            return Ok(told);
        }
    }
}

fn after(position: Position) -> Start {
    Start::After {
        sequence: position.sequence,
        epoch: position.epoch,
    }
}

fn check_process(handle: &Handle) -> Result<()> {
    if !handle.is_forked() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Forked,
        "this watch was made before fork; open the database again in the child process",
    ))
}

impl Iterator for Watch {
    type Item = Result<WatchItem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over.is_some() {
            return None;
        }
        loop {
            match self.next_until(None) {
                Ok(Some(item)) => return Some(Ok(item)),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("position", &self.told)
            .finish_non_exhaustive()
    }
}

/// Ends one [`Watch`], from any thread; made by [`Watch::closer`].
#[derive(Clone)]
pub struct WatchCloser {
    ender: Arc<Ender>,
    handle: Weak<Handle>,
}

impl WatchCloser {
    /// Ends the watch: whoever waits for its next item is told `Closed` at once, and so is whoever asks later. The database
    /// stays open.
    pub fn close(&self) {
        self.ender.end();
        if let Some(handle) = self.handle.upgrade() {
            handle.tell();
        }
    }
}

impl std::fmt::Debug for WatchCloser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WatchCloser").finish_non_exhaustive()
    }
}
