//! Watching: the committed changes of all processes, in order, over any number of leaders.
//!
//! A watch is a position and, while there is a leader, a *feed*: of this process's own engine where it leads, else a side
//! connection. When the feed ends the next leader is asked to go on after the position. Invariants:
//! - Every change in the range is given once, in the order of its sequence, or lies in a gap that is given.
//! - `told` never goes back, and goes on also where nothing in the range changes.
//! - A watch holds neither the handle nor the leadership: closing ends it, and it keeps neither from ending.

use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_bytes::ByteBuf;

use crate::bounds::Bounds;
use crate::election::Elector;
use crate::epoch::Epoch;
use crate::error::{Error, ErrorKind, Result};
use crate::leader::{Feed, Stop, Told};
use crate::node::Node;
use crate::position::Position;
use crate::protocol::{Changes, Failure, Missing, Start, Task};
use crate::session::{Limits, Route, Tenure};
use crate::side::{Ender, Heard, PAUSE, SideLink, Waits, connection_lost};
use crate::space::Space;

/// Where a [`Watch`] begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchFrom {
    /// With the first change that is not yet visible when the watch is made.
    #[default]
    Now,
    /// With the oldest change that the leader keeps ([`Options::watch_history_bytes`](crate::Options::watch_history_bytes)).
    Beginning,
    /// With the first change after this position; a gap if it is not kept any more.
    After(Position),
}

impl From<Position> for WatchFrom {
    fn from(position: Position) -> Self {
        WatchFrom::After(position)
    }
}

/// What a change did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// The key was set.
    Put,
    /// The key was removed, if it was there.
    Delete,
}

impl ChangeKind {
    /// `"put"` or `"delete"`.
    pub fn as_str(self) -> &'static str {
        match self {
            ChangeKind::Put => "put",
            ChangeKind::Delete => "delete",
        }
    }
}

/// One committed change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Its sequence number: each change of the database has the next one. Those of one batch follow each other.
    pub sequence: u64,
    /// What it did.
    pub kind: ChangeKind,
    /// The key.
    pub key: Vec<u8>,
    /// What the key was set to; empty for a delete.
    pub value: Vec<u8>,
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
/// As an iterator it waits for the next item, for ever. `Timeout` means that no leader was heard of for the handle's
/// timeout; the watch can be asked on. Any other error ends it. It ends with `Closed` when the handle it was made from is
/// closed or its last clone dropped; a watch does not keep a handle open.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use level_party::{ChangeKind, WatchFrom, WatchItem};
/// let db = level_party::Db::open(dir.path())?;
/// let mut watch = db.watch("a".."m", WatchFrom::Now)?;
/// db.put("b", "1")?; // or any other process
/// let WatchItem::Change(change) = watch.next().unwrap()? else { panic!("nothing is missing") };
/// assert_eq!((change.kind, change.key.as_slice()), (ChangeKind::Put, &b"b"[..]));
/// let after_a_restart = watch.position().to_string(); // keep it with what was made of the changes
/// # assert_eq!(after_a_restart.parse::<level_party::Position>()?, watch.position());
/// # Ok::<(), level_party::Error>(())
/// ```
pub struct Watch {
    elector: Arc<Elector>,
    ender: Arc<Ender>,
    timeout: Duration,
    retry: bool,
    lower: Bound<ByteBuf>,
    upper: Bound<ByteBuf>,
    /// Bytes that each key begins with and that are not given.
    prefix_bytes: usize,
    source: Source,
    /// Where the next leader is asked to go on: after all that came.
    start: Start,
    gap: Option<Missing>,
    /// What came and was not given yet.
    changes: Changes,
    /// Up to where everything has come; the leadership that told it is of this epoch.
    come: Position,
    /// Up to where everything was given.
    told: Position,
    /// The last sign of life.
    heard: Instant,
    /// Why it has ended.
    over: Option<Failure>,
}

/// Where changes come from.
enum Source {
    Nobody {
        lost: Option<Tenure>,
    },
    Local {
        feed: Box<Feed>,
        tenure: Tenure,
        epoch: Epoch,
    },
    Link {
        link: SideLink,
        tenure: Tenure,
        /// Known once the leader has begun.
        epoch: Option<Epoch>,
    },
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

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble::Over(error)
    }
}

impl Watch {
    /// Watches the keys in `bounds`, which are those of keys without the prefix.
    pub(crate) fn begin(space: Space<'_>, bounds: Bounds, from: WatchFrom) -> Result<Self> {
        let (handle, bounds) = (space.handle, bounds.within(space.prefix));
        let limits = handle.limits()?;
        bounds.checked_for_side()?;
        let own = |bound: &Bound<Vec<u8>>| bound.clone().map(ByteBuf::from);
        let (start, told) = match from {
            WatchFrom::Now => (Start::Now, Position::from(0)),
            WatchFrom::Beginning => (Start::Beginning, Position::from(0)),
            WatchFrom::After(position) => (after(position), position),
        };
        let mut watch = Watch {
            elector: handle.elector().clone(),
            ender: handle.ender()?,
            timeout: limits.timeout,
            retry: limits.retry,
            lower: own(&bounds.lower),
            upper: own(&bounds.upper),
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
        // A leader says where the watch begins: what is acknowledged after this call is seen.
        let mut begun = false;
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
            elector: self.elector.clone(),
        }
    }

    fn next_until(&mut self, until: Option<Instant>) -> Result<Option<WatchItem>> {
        if let Some(failure) = &self.over {
            return Err(failure.clone().into());
        }
        self.try_next_until(until).map_err(|trouble| match trouble {
            Trouble::Late(error) => {
                self.heard = Instant::now();
                error
            }
            Trouble::Over(error) => {
                self.over = Some(Failure::from(&error));
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
                return Err(Error::closed().into());
            }
            check_process(self.elector.node())?;
            if let Some(item) = self.give()? {
                return Ok(Some(item));
            }
            // Silence is what somebody listened to.
            let since = self.heard.max(asked);
            let quiet = since
                .checked_add(self.timeout)
                .unwrap_or_else(|| Limits::new(Duration::MAX, self.retry).deadline);
            let deadline = until.map_or(quiet, |until| until.min(quiet));
            if self.look(deadline)? == Look::News {
                continue;
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                // What came last may be progress alone.
                return Ok(self.give()?);
            }
            if self.heard.max(asked).elapsed() >= self.timeout {
                return Err(Trouble::Late(self.late()));
            }
        }
    }

    /// The next item of what has come.
    fn give(&mut self) -> Result<Option<WatchItem>> {
        if let Some(Missing { from, resume }) = self.gap.take() {
            self.told = self.at(resume - 1);
            return Ok(Some(WatchItem::Gap { from, resume }));
        }
        let Some((sequence, mut key, value)) = self.changes.take()? else {
            self.told = self.come;
            return Ok(None);
        };
        if sequence <= self.told.sequence || sequence > self.come.sequence {
            return Err(Error::protocol("the changes of a watch came out of order"));
        }
        if key.len() < self.prefix_bytes {
            return Err(Error::protocol("a change of a key that nobody watches"));
        }
        key.drain(..self.prefix_bytes);
        self.told = self.at(sequence);
        Ok(Some(WatchItem::Change(Change {
            sequence,
            kind: match value {
                Some(_) => ChangeKind::Put,
                None => ChangeKind::Delete,
            },
            key,
            value: value.unwrap_or_default(),
        })))
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
            Source::Local {
                feed,
                tenure,
                epoch,
            } => match next_of(feed, deadline, &self.ender) {
                Ok(told) => {
                    let (through, epoch) = (feed.through(), *epoch);
                    let look = told.as_ref().map_or(Look::Late, |_| Look::News);
                    let told = told.unwrap_or_else(|| Told::progress(through));
                    self.came(epoch, told)?;
                    Ok(look)
                }
                Err(Stop::Failed(error)) => Err(error),
                Err(Stop::Over | Stop::Unknown(_)) => {
                    let lost = Some(*tenure);
                    self.lose(lost)
                }
            },
            Source::Link {
                link,
                tenure,
                epoch,
            } => {
                let heard = match link.next(deadline) {
                    Ok(heard) => heard,
                    Err(error) if error.kind() == ErrorKind::Protocol => return Err(error),
                    Err(_) => {
                        let (tenure, begun) = (*tenure, epoch.is_some());
                        self.pause(tenure, deadline);
                        return match begun {
                            true => self.lose(None),
                            false => {
                                self.source = Source::Nobody { lost: None };
                                Ok(Look::News)
                            }
                        };
                    }
                };
                self.heard(heard)
            }
        }
    }

    /// The leader of a side connection said something.
    fn heard(&mut self, heard: Heard) -> Result<Look> {
        let Source::Link { epoch, .. } = &mut self.source else {
            return Ok(Look::News);
        };
        match heard {
            Heard::Silence => return Ok(Look::Late),
            Heard::Recovering | Heard::Working => self.heard = Instant::now(),
            Heard::Begun { epoch: begun, .. } => *epoch = Some(begun),
            Heard::Changes(told) => {
                let epoch = epoch.ok_or_else(|| Error::protocol("changes before the beginning"))?;
                self.came(epoch, told)?;
            }
            Heard::Done(Err(error)) => return Err(error),
            Heard::Done(Ok(_)) => return Err(Error::protocol("a watch is never done")),
        }
        Ok(Look::News)
    }

    /// The leadership `epoch` told something.
    fn came(&mut self, epoch: Epoch, told: Told) -> Result<()> {
        let follows = |gap: Missing| gap.resume > 0 && gap.resume - 1 <= told.through;
        if !told.gap.is_none_or(follows) {
            return Err(Error::protocol("a gap of a watch ends nowhere"));
        }
        if told.gap.is_none() && told.through < self.come.sequence {
            return Err(Error::protocol("a watch went back"));
        }
        self.heard = Instant::now();
        self.gap = told.gap;
        self.changes = told.changes;
        self.come = Position {
            sequence: told.through,
            epoch: Some(epoch),
        };
        self.start = after(self.come);
        Ok(())
    }

    /// Whether a leader has said where the watch begins.
    fn has_begun(&self) -> bool {
        self.start != Start::Now
            && self.start != Start::Beginning
            && match &self.source {
                Source::Nobody { .. } => false,
                Source::Local { .. } => true,
                Source::Link { epoch, .. } => epoch.is_some() && self.come.epoch == *epoch,
            }
    }

    fn find_source(&mut self, lost: Option<Tenure>, deadline: Instant) -> Result<Look> {
        let elector = self.elector.clone();
        let node = elector.node();
        let limits = Limits {
            deadline,
            ..Limits::new(self.timeout, self.retry)
        };
        match node.session.route(lost, &limits, || self.ender.is_ended()) {
            Ok(Route::Local(local)) => {
                let (tenure, (service, state)) = (local.tenure, local.leadership.desk());
                drop(local);
                let (lower, upper) = (self.lower.clone(), self.upper.clone());
                match Feed::start(&service, &state, self.start, lower, upper) {
                    Ok(mut feed) => {
                        self.ender.wait_for(Waits::Tail(feed.waker()));
                        let epoch = service.epoch();
                        let first = feed.first();
                        self.source = Source::Local {
                            feed: Box::new(feed),
                            tenure,
                            epoch,
                        };
                        self.came(epoch, first)?;
                    }
                    Err(Stop::Failed(error)) => return Err(error),
                    Err(Stop::Over | Stop::Unknown(_)) => {
                        self.source = Source::Nobody { lost: Some(tenure) };
                    }
                }
                Ok(Look::News)
            }
            Ok(Route::Link { tenure }) => {
                let task = Task::Watch {
                    from: self.start,
                    lower: self.lower.clone(),
                    upper: self.upper.clone(),
                };
                match SideLink::open(node, &self.ender, task) {
                    Ok(link) => {
                        self.source = Source::Link {
                            link,
                            tenure,
                            epoch: None,
                        };
                        Ok(Look::News)
                    }
                    Err(_) => {
                        self.pause(tenure, deadline);
                        match Instant::now() >= deadline {
                            true => Ok(Look::Late),
                            false => Ok(Look::News),
                        }
                    }
                }
            }
            Err(_) if Instant::now() >= deadline && !self.ender.is_ended() => Ok(Look::Late),
            Err(error) => Err(error),
        }
    }

    /// The leadership that told has ended.
    fn lose(&mut self, lost: Option<Tenure>) -> Result<Look> {
        self.source = Source::Nobody { lost };
        match self.retry || self.ender.is_ended() {
            true => Ok(Look::News),
            false => Err(connection_lost()),
        }
    }

    /// A leader could not be reached: most likely it has just gone, and the main connection will say so.
    fn pause(&self, tenure: Tenure, deadline: Instant) {
        let until = deadline.min(Instant::now() + PAUSE);
        let session = &self.elector.node().session;
        session.rest(tenure, until, || self.ender.is_ended());
    }

    /// What is said of a leader who was not heard of for too long.
    fn late(&self) -> Error {
        match &self.source {
            Source::Link { link, .. } => link.silence(self.timeout),
            Source::Nobody { .. } | Source::Local { .. } => {
                let limits = Limits {
                    deadline: Instant::now(),
                    ..Limits::new(self.timeout, self.retry)
                };
                let session = &self.elector.node().session;
                let route = session.route(None, &limits, || self.ender.is_ended());
                route.err().unwrap_or_else(|| {
                    Error::new(
                        ErrorKind::Timeout,
                        format!("the leader could not be reached within {:?}", self.timeout),
                    )
                })
            }
        }
    }
}

/// What a feed of this process tells next. What has come by now is looked through also past the deadline.
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

fn check_process(node: &Node) -> Result<()> {
    if !node.is_forked() {
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
    elector: Arc<Elector>,
}

impl WatchCloser {
    /// Ends the watch: whoever waits for its next item is told `Closed` at once, and so is whoever asks later.
    pub fn close(&self) {
        self.ender.end();
        self.elector.node().session.nudge();
    }
}
