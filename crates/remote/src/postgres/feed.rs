//! Watches: the log above a sequence, read again whenever somebody may have written.
//!
//! One connection of the process listens for notifications, for all its feeds. A feed reads the log by itself, and also looks once
//! a second: what is notified is never relied on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use level_party_locks::{Condvar, Mutex};
use tokio_postgres::Row;

use super::failure::Failure;
use super::keeper::Keeper;
use super::link::{Histories, Link, pause};
use super::pool::Server;
use super::reads::{misread, newest};
use super::schema::Sql;
use crate::answer::{Change, Gap, Moment, Told};
use crate::error::{Error, ErrorKind, Result};
use crate::remote::{Feed, FeedWaker};
use crate::request::{KeyRange, Start};

/// How often a feed looks although nothing was notified.
const LOOK: Duration = Duration::from_secs(1);
/// How long one look may take.
const ANSWER: Duration = Duration::from_secs(10);
/// Bytes and rows of the log that one look takes.
const PIECE_BYTES: i64 = 256 << 10;
const PIECE_ROWS: i32 = 1 << 16;

/// What the feeds of a process wait for.
pub struct Hub {
    server: Arc<Server>,
    state: Mutex<State>,
    told: Condvar,
}

#[derive(Default)]
struct State {
    /// How often there may have been news.
    count: u64,
    feeds: usize,
    running: bool,
}

impl Hub {
    pub fn new(server: Arc<Server>) -> Arc<Self> {
        Arc::new(Hub {
            server,
            state: Mutex::default(),
            told: Condvar::new(),
        })
    }

    /// Whoever waits looks.
    pub fn tell(&self) {
        self.state.lock().count += 1;
        self.told.notify_all();
    }

    fn count(&self) -> u64 {
        self.state.lock().count
    }

    fn wait(&self, seen: u64, until: Instant) {
        let mut state = self.state.lock();
        while state.count == seen && !self.told.wait_until(&mut state, until).timed_out() {}
    }

    fn begin(self: &Arc<Self>) -> Result<()> {
        let mut state = self.state.lock();
        if !state.running {
            let hub = Arc::clone(self);
            std::thread::Builder::new()
                .name("level-party-remote-watch".into())
                .spawn(move || hub.listen())
                .map_err(|error| {
                    let what = format!("cannot start a thread: {error}");
                    Error::new(ErrorKind::Io, what).with_source(error)
                })?;
            state.running = true;
        }
        state.feeds += 1;
        Ok(())
    }

    fn end(&self) {
        self.state.lock().feeds -= 1;
    }

    /// What the thread does while there are feeds.
    fn listen(&self) {
        let mut link = None;
        let mut failed = 0;
        loop {
            {
                let mut state = self.state.lock();
                if state.feeds == 0 || self.server.is_closed() {
                    state.running = false;
                    return;
                }
            }
            let heard = match &mut link {
                None => self.connect().map(|connected| link = Some(connected)),
                // So often it looks whether there is any feed left.
                Some(link) => link
                    .wait_notified(Instant::now() + LOOK)
                    .map_err(|failure| failure.into_error(|| self.server.late()))
                    .map(|_| ()),
            };
            match heard {
                Ok(()) => failed = 0,
                Err(error) => {
                    self.server.note(&error);
                    if link.take().is_some() {
                        self.server.look_again();
                    }
                    let seen = self.count();
                    self.wait(seen, Instant::now() + pause(failed));
                    failed += 1;
                }
            }
            self.tell();
        }
    }

    fn connect(&self) -> Result<Link> {
        let deadline = Instant::now() + ANSWER;
        let mut link = self.server.connect(deadline)?;
        let late = || self.server.late();
        let rows = link
            .query(&self.server.sql, Sql::CHANNEL, &[], deadline)
            .map_err(|failure| failure.into_error(late))?;
        let channel: String = rows
            .first()
            .and_then(|row| row.try_get(0).ok())
            .ok_or_else(misread)?;
        let listen = format!("LISTEN {channel}");
        let listened = link.drive(deadline, |client, _| async move {
            client.batch_execute(&listen).await
        });
        listened.map_err(|failure| failure.into_error(late))?;
        Ok(link)
    }
}

/// The changes of one range.
pub struct LogFeed {
    hub: Arc<Hub>,
    keeper: Arc<Keeper>,
    low: Vec<u8>,
    high: Option<Vec<u8>>,
    empty: bool,
    through: Moment,
    gap: Option<Gap>,
    heard: Instant,
    woken: Arc<AtomicBool>,
}

/// What one look brought.
struct Look {
    gap: Option<Gap>,
    changes: Vec<Change>,
    through: Moment,
}

impl LogFeed {
    pub fn begin(
        hub: &Arc<Hub>,
        keeper: &Arc<Keeper>,
        start: Start,
        range: &KeyRange,
        deadline: Instant,
    ) -> Result<Self> {
        let server = &hub.server;
        // Before it is known where it begins: what is written after that is notified.
        keeper.watched(deadline)?;
        let (through, gap) = server.read(deadline, true, |link| {
            begin_at(link, &server.sql, start, deadline)
        })?;
        hub.begin()?;
        keeper.feeds(true);
        Ok(LogFeed {
            hub: Arc::clone(hub),
            keeper: Arc::clone(keeper),
            low: range.start(),
            high: range.end(),
            empty: range.is_empty(),
            through,
            gap,
            heard: Instant::now(),
            woken: Arc::default(),
        })
    }

    fn look(&self, deadline: Instant) -> Result<Look> {
        let server = &self.hub.server;
        server.read(deadline, true, |link| {
            let sql = &server.sql;
            if !link.histories.holds(self.through) {
                return replaced(link, sql, self.through, deadline);
            }
            let since = self.through.sequence as i64;
            // Of an empty range nothing but progress is told.
            let high = if self.empty {
                Some(&self.low)
            } else {
                self.high.as_ref()
            };
            let rows = link.query(
                sql,
                Sql::CHANGES,
                &[&since, &self.low, &high, &PIECE_BYTES, &PIECE_ROWS],
                deadline,
            )?;
            look_of(&rows, self.through.sequence, link)
        })
    }
}

impl Drop for LogFeed {
    fn drop(&mut self) {
        self.hub.end();
        self.keeper.feeds(false);
    }
}

impl Feed for LogFeed {
    fn through(&self) -> Moment {
        self.through
    }

    fn next(&mut self, until: Instant) -> Result<Option<Told>> {
        if let Some(gap) = self.gap.take() {
            return Ok(Some(Told {
                gap: Some(gap),
                changes: Vec::new(),
                through: self.through,
            }));
        }
        loop {
            let seen = self.hub.count();
            if self.hub.server.is_closed() {
                return Err(Error::closed());
            }
            // A server that can't be reached is waited for; a look that has begun is not broken off at once.
            let deadline = until
                .max(Instant::now() + LOOK)
                .min(Instant::now() + ANSWER);
            match self.look(deadline) {
                Ok(look) => {
                    self.heard = Instant::now();
                    let moved = look.through != self.through;
                    self.through = look.through;
                    if look.gap.is_some() || !look.changes.is_empty() {
                        return Ok(Some(Told {
                            gap: look.gap,
                            changes: look.changes,
                            through: look.through,
                        }));
                    }
                    if moved && Instant::now() < until && !self.woken.load(Ordering::Acquire) {
                        continue; // There may be more behind what is of other ranges.
                    }
                }
                Err(error) if waits_on(&error) => self.hub.server.note(&error),
                Err(error) => return Err(error),
            }
            if Instant::now() >= until || self.woken.swap(false, Ordering::AcqRel) {
                return Ok(None);
            }
            self.hub.wait(seen, until.min(Instant::now() + LOOK));
            if self.woken.swap(false, Ordering::AcqRel) {
                return Ok(None);
            }
        }
    }

    fn heard(&self) -> Instant {
        self.heard
    }

    fn waker(&self) -> FeedWaker {
        let (hub, woken) = (Arc::clone(&self.hub), Arc::clone(&self.woken));
        Arc::new(move || {
            woken.store(true, Ordering::Release);
            hub.tell();
        })
    }
}

fn waits_on(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Timeout | ErrorKind::Io | ErrorKind::Busy | ErrorKind::ConnectionLost
    )
}

/// Where a feed begins, and what is missing before that.
fn begin_at(
    link: &mut Link,
    sql: &super::schema::Sql,
    start: Start,
    deadline: Instant,
) -> std::result::Result<(Moment, Option<Gap>), Failure> {
    let last = newest(link, sql, deadline)?;
    let at = |sequence| Moment { sequence, ..last };
    let missing = |after: u64| Gap {
        from: after.saturating_add(1),
        resume: last.sequence + 1,
    };
    Ok(match start {
        Start::Now => (last, None),
        Start::Beginning => {
            let none: Option<&Vec<u8>> = None;
            let nothing: &[u8] = &[];
            let rows = link.query(
                sql,
                Sql::CHANGES,
                &[&0_i64, &nothing, &none, &1_i64, &1_i32],
                deadline,
            )?;
            let look = look_of(&rows, 0, link)?;
            (at(look.gap.map_or(0, |gap| gap.resume - 1)), None)
        }
        Start::Sequence(after) if after <= last.sequence && !link.histories.is_lost(after) => {
            (at(after), None)
        }
        Start::Sequence(after) => (last, Some(missing(after))),
        Start::Moment(moment) if is_known(&link.histories, moment, last) => {
            (at(moment.sequence), None)
        }
        Start::Moment(moment) => (last, Some(missing(moment.sequence))),
    })
}

fn is_known(histories: &Histories, moment: Moment, last: Moment) -> bool {
    histories.holds(moment) && moment.sequence <= last.sequence
}

/// The history that was told is no more: what came since is missing.
fn replaced(
    link: &mut Link,
    sql: &super::schema::Sql,
    through: Moment,
    deadline: Instant,
) -> std::result::Result<Look, Failure> {
    let last = newest(link, sql, deadline)?;
    Ok(Look {
        gap: Some(Gap {
            from: through.sequence.saturating_add(1),
            resume: last.sequence + 1,
        }),
        changes: Vec::new(),
        through: last,
    })
}

/// What the rows of `changes` say.
fn look_of(rows: &[Row], since: u64, link: &Link) -> std::result::Result<Look, Failure> {
    let sequence = |row: &Row| {
        row.try_get::<_, i64>(0)
            .map(|sequence| sequence as u64)
            .map_err(Failure::of)
    };
    let key = |row: &Row| row.try_get::<_, Option<Vec<u8>>>(1).map_err(Failure::of);
    let (last, rows) = rows
        .split_last()
        .ok_or_else(|| Failure::Refused(misread()))?;
    let mut gap = None;
    let mut changes = Vec::with_capacity(rows.len());
    for row in rows {
        match key(row)? {
            Some(key) => changes.push(Change {
                sequence: sequence(row)?,
                key,
                value: row.try_get(2).map_err(Failure::of)?,
            }),
            None => {
                gap = Some(Gap {
                    from: since + 1,
                    resume: sequence(row)? + 1,
                });
            }
        }
    }
    Ok(Look {
        gap,
        changes,
        through: Moment {
            sequence: sequence(last)?,
            history: link.histories.current(),
        },
    })
}
