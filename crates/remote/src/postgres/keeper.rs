//! What a process does beside its calls, now and then: it writes its oldest moment down, prunes the log, and says that it watches.
//!
//! One thread, started by the first reason; without one it sleeps. Nothing here is needed for a right answer: without it moments
//! are lost, the log grows, and a watch looks once a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use level_party_locks::{Condvar, Mutex};

use super::link::{bytes_of, random_words};
use super::pins::Pins;
use super::pool::Server;
use super::schema::Sql;
use crate::error::{Error, ErrorKind, Result};

/// How often it looks.
const TICK: Duration = Duration::from_secs(5);
/// A moment that is held for so long is written down; pruning leaves those alone that are younger than a minute.
const AGE: Duration = Duration::from_secs(5);
/// How many ticks lie between two writings.
const RENEW: u32 = 3;
/// Rows that one call prunes.
const PRUNE_ROWS: i32 = 10_000;

pub struct Keeper {
    server: Arc<Server>,
    pub pins: Pins,
    /// The session that has the oldest moment.
    session: [u8; 16],
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Default)]
struct State {
    running: bool,
    closed: bool,
    wrote: bool,
    feeds: usize,
    /// A moment stands on the server.
    written: bool,
}

impl Keeper {
    pub fn new(server: Arc<Server>) -> Result<Arc<Self>> {
        Ok(Arc::new(Keeper {
            server,
            pins: Pins::default(),
            session: bytes_of(random_words()?),
            state: Mutex::default(),
            rung: Condvar::new(),
        }))
    }

    /// A moment is held.
    pub fn pinned(self: &Arc<Self>) {
        self.change(|_| {});
    }

    /// This process has written.
    pub fn wrote(self: &Arc<Self>) {
        if !self.state.lock().wrote {
            self.change(|state| state.wrote = true);
        }
    }

    /// A feed begins, or ends.
    pub fn feeds(self: &Arc<Self>, begins: bool) {
        self.change(|state| match begins {
            true => state.feeds += 1,
            false => state.feeds -= 1,
        });
    }

    fn change(self: &Arc<Self>, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        if !state.running && !state.closed {
            let keeper = Arc::clone(self);
            let started = std::thread::Builder::new()
                .name("level-party-remote-keeper".into())
                .spawn(move || keeper.run());
            match started {
                Ok(_) => state.running = true,
                Err(error) => {
                    let what =
                        format!("cannot start a thread, so moments are not written down: {error}");
                    self.server.note(&Error::new(ErrorKind::Io, what));
                }
            }
        }
        drop(state);
        self.rung.notify_one();
    }

    /// The thread ends. Gives the session, if the server may have a row of it.
    pub fn close(&self) -> Option<[u8; 16]> {
        let mut state = self.state.lock();
        state.closed = true;
        let written = state.written;
        drop(state);
        self.rung.notify_one();
        written.then_some(self.session)
    }

    fn run(&self) {
        let mut ticks = 0;
        loop {
            let mut state = self.state.lock();
            let is_idle = |state: &State| {
                !state.wrote && state.feeds == 0 && !state.written && self.pins.is_empty()
            };
            while !state.closed && is_idle(&state) {
                self.rung.wait(&mut state);
            }
            let until = Instant::now() + TICK;
            while !state.closed && !self.rung.wait_until(&mut state, until).timed_out() {}
            if state.closed {
                return;
            }
            let (wrote, feeds) = (std::mem::take(&mut state.wrote), state.feeds > 0);
            drop(state);
            if ticks % RENEW == 0 && feeds {
                self.note(self.watched(Instant::now() + TICK));
            }
            self.note(self.write_down(ticks % RENEW == 0));
            if wrote {
                self.note(self.prune());
            }
            ticks = ticks.wrapping_add(1);
        }
    }

    fn note(&self, done: Result<()>) {
        if let Err(error) = done {
            self.server.note(&error);
        }
    }

    /// Says that somebody watches, so that writes notify. A user who may not say so looks once a second all the same.
    pub fn watched(&self, deadline: Instant) -> Result<()> {
        let said = self.server.read(deadline, true, |link| {
            link.query(&self.server.sql, Sql::WATCHED, &[], deadline)
                .map(drop)
        });
        match said {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
            said => said,
        }
    }

    fn write_down(&self, renew: bool) -> Result<()> {
        let oldest = self.pins.oldest_of_age(AGE);
        let written = self.state.lock().written;
        // The first time at once, then now and then.
        let is_due = oldest.is_some() != written || (written && renew);
        if !is_due {
            return Ok(());
        }
        let deadline = Instant::now() + TICK;
        if oldest.is_some() {
            self.state.lock().written = true;
        }
        let pin = oldest.map(|sequence| sequence as i64);
        self.server.read(deadline, true, |link| {
            let session = self.session.as_slice();
            link.query(&self.server.sql, Sql::PIN, &[&session, &pin], deadline)
                .map(drop)
        })?;
        if oldest.is_none() {
            self.state.lock().written = false;
        }
        Ok(())
    }

    fn prune(&self) -> Result<()> {
        loop {
            let deadline = Instant::now() + TICK;
            let rows = self.server.read(deadline, true, |link| {
                link.query(&self.server.sql, Sql::PRUNE, &[&PRUNE_ROWS], deadline)
            })?;
            let removed: i64 = match rows.first().map(|row| row.try_get(0)) {
                Some(Ok(removed)) => removed,
                _ => return Err(super::reads::misread()),
            };
            if removed < i64::from(PRUNE_ROWS) || self.server.is_closed() {
                return Ok(());
            }
        }
    }
}
