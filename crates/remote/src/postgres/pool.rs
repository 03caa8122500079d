//! The connections of a process, and calls that are made again where a connection is lost.
//!
//! Promises: there are at most `MOST` connections for reads; a call that finds them all in use waits for one until its deadline; a
//! connection that failed is never used again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use level_party_locks::{Condvar, Mutex};

use super::config::Connector;
use super::failure::{Failure, may_pass};
use super::hosts::{Hosts, is_stale, replaced};
use super::link::{Link, Seen, pause};
use super::schema::Sql;
use crate::answer::{History, Moment, Trouble};
use crate::error::{Error, ErrorKind, Result};

/// Connections for reads at most.
pub const MOST: usize = 8;

/// What a late call's message begins with.
const LATE: &str = "no answer within the time for this call: ";
/// For so long what went wrong is told with a call that is late.
const RECENT: Duration = Duration::from_secs(60);

/// The server, as all calls of a process reach it.
pub struct Server {
    pub connector: Connector,
    pub sql: Sql,
    hosts: Hosts,
    links: Mutex<Links>,
    freed: Condvar,
    closed: AtomicBool,
    /// A connection whose newest history is another one is not used.
    seen: Mutex<Seen>,
    trouble: Mutex<Option<(String, Instant)>>,
}

#[derive(Default)]
struct Links {
    idle: Vec<Link>,
    /// Idle or in use.
    count: usize,
}

/// A connection for reads that a call has alone. Dropped without being given back it is closed.
struct Lent<'a> {
    server: &'a Server,
    link: Option<Link>,
    /// It was there before this call.
    was_idle: bool,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let link = self.link.take();
        let mut links = self.server.links.lock();
        match link {
            Some(link) if !self.server.is_closed() && self.server.is_current(&link) => {
                links.idle.push(link);
            }
            unused => {
                links.count -= 1;
                drop(links);
                drop(unused);
            }
        }
        self.server.freed.notify_one();
    }
}

impl Server {
    pub fn new(connector: Connector) -> Self {
        Server {
            sql: Sql::new(&connector.schema),
            connector,
            hosts: Hosts::default(),
            links: Mutex::default(),
            freed: Condvar::new(),
            closed: AtomicBool::new(false),
            seen: Mutex::default(),
            trouble: Mutex::new(None),
        }
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// No call begins any more; connections that are not in use end.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let mut links = self.links.lock();
        let idle = std::mem::take(&mut links.idle);
        links.count -= idle.len();
        drop(links);
        self.freed.notify_all();
        drop(idle);
    }

    /// Something went wrong, although calls go on.
    pub fn note(&self, error: &Error) {
        // A late call was told of the trouble before; it is the same still.
        let what = error.message();
        let what = what.strip_prefix(LATE).unwrap_or(what).to_owned();
        *self.trouble.lock() = Some((what, Instant::now()));
    }

    pub fn trouble(&self) -> Option<Trouble> {
        let trouble = self.trouble.lock();
        trouble.as_ref().map(|(what, at)| Trouble {
            what: what.clone(),
            ago: at.elapsed(),
        })
    }

    /// What went wrong not long ago.
    pub fn last_trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock();
        let recent = trouble.as_ref().filter(|(_, at)| at.elapsed() < RECENT);
        recent.map(|(what, _)| what.clone())
    }

    /// What a call is told whose deadline came first.
    pub fn late(&self) -> Error {
        let what = match self.last_trouble() {
            Some(what) => format!("{LATE}{what}"),
            None => "the server did not answer within the time for this call".to_owned(),
        };
        Error::new(ErrorKind::Timeout, what)
    }

    /// A new connection that knows the histories.
    pub fn connect(&self, deadline: Instant) -> Result<Link> {
        let mut link = self.connect_only(deadline)?;
        self.greet(&mut link, deadline)?;
        Ok(link)
    }

    /// A new connection to a server whose tables were not looked at.
    pub fn connect_only(&self, deadline: Instant) -> Result<Link> {
        let known = self.seen.lock().place.clone();
        Link::connect(&self.connector, &self.hosts, &known, deadline)
    }

    /// The connection learns the histories, and this process which is the newest.
    ///
    /// # Errors
    /// `Io`: it is a primary that was replaced; another host may be the right one.
    pub fn greet(&self, link: &mut Link, deadline: Instant) -> Result<()> {
        let known = self.seen.lock().clone();
        let said = link.hello(&self.sql, &known, deadline);
        let said = said.map_err(|failure| failure.into_error(|| self.late()));
        said.map_err(|error| match (error.kind(), known.moment) {
            // It has been read before: what is refused is to begin the next history.
            (ErrorKind::PermissionDenied, Some(_)) => Error::new(
                ErrorKind::Io,
                "the server was replaced, and a process that may write has to connect first",
            )
            .with_source(error),
            _ => error,
        })?;
        let newest = link.histories.current();
        let mut seen = self.seen.lock();
        let Some(moment) = seen.moment.filter(|moment| moment.history != newest) else {
            if seen.moment.is_none() {
                seen.moment = Some(Moment {
                    sequence: 0,
                    history: newest,
                });
                seen.place.clone_from(&link.place);
            }
            return Ok(());
        };
        let is_older = link.histories.holds_up_to(moment.history).is_none();
        if is_older && is_stale(&link.place, &seen.place) {
            return Err(replaced());
        }
        *seen = Seen {
            moment: Some(Moment {
                sequence: 0,
                history: newest,
            }),
            place: link.place.clone(),
            went_back: false,
        };
        drop(seen);
        // What was connected before may be a server that was replaced.
        self.drop_idle();
        Ok(())
    }

    /// The newest history that this process knows of.
    pub fn history(&self) -> History {
        let none = History {
            number: 0,
            random: [0, 0],
        };
        self.seen
            .lock()
            .moment
            .map_or(none, |moment| moment.history)
    }

    /// Whether a connection has the newest history that this process knows of.
    pub fn is_current(&self, link: &Link) -> bool {
        let newest = self.seen.lock().moment;
        newest.is_none_or(|moment| moment.history == link.histories.current())
    }

    /// This process has seen a sequence of the history of a connection.
    pub fn seen(&self, link: &Link, sequence: u64) {
        let mut seen = self.seen.lock();
        let history = link.histories.current();
        if let Some(moment) = seen
            .moment
            .as_mut()
            .filter(|moment| moment.history == history)
        {
            moment.sequence = moment.sequence.max(sequence);
        }
    }

    /// The server does not have what this process was told: the next connection begins another history.
    pub fn went_back(&self) {
        self.seen.lock().went_back = true;
    }

    fn lend(&self, deadline: Instant) -> Result<Lent<'_>> {
        let mut links = self.links.lock();
        loop {
            if self.is_closed() {
                return Err(Error::closed());
            }
            if let Some(link) = links.idle.pop() {
                if !self.is_current(&link) {
                    links.count -= 1;
                    continue;
                }
                return Ok(Lent {
                    server: self,
                    link: Some(link),
                    was_idle: true,
                });
            }
            if links.count < MOST {
                links.count += 1;
                break;
            }
            if self.freed.wait_until(&mut links, deadline).timed_out() {
                return Err(self.late());
            }
        }
        drop(links);
        let mut lent = Lent {
            server: self,
            link: None,
            was_idle: false,
        };
        lent.link = Some(self.connect(deadline)?);
        Ok(lent)
    }

    /// A connection was lost, or did not answer: the next one waits for each host again.
    pub fn look_again(&self) {
        self.hosts.forget();
    }

    /// Connections that nobody uses are most likely as dead as the one that was lost.
    fn drop_idle(&self) {
        let mut links = self.links.lock();
        let idle = std::mem::take(&mut links.idle);
        links.count -= idle.len();
        drop(links);
        drop(idle);
    }

    /// Makes a read until it has an answer.
    ///
    /// # Errors
    /// `Timeout`; `ConnectionLost` without `retry`; `Closed`; what the server refuses.
    pub fn read<T>(
        &self,
        deadline: Instant,
        retry: bool,
        mut make: impl FnMut(&mut Link) -> std::result::Result<T, Failure>,
    ) -> Result<T> {
        let mut attempt = 0;
        loop {
            if Instant::now() >= deadline {
                return Err(self.late());
            }
            let mut may_retry = true;
            let failed = match self.lend(deadline) {
                Err(error) if !may_pass(&error) => return Err(error),
                Err(error) => error,
                Ok(mut lent) => {
                    // Only what is given back below is used again.
                    let mut link = lent.link.take().expect("it was just lent");
                    match make(&mut link) {
                        Ok(made) if self.is_current(&link) => {
                            lent.link = Some(link);
                            return Ok(made);
                        }
                        // Meanwhile this process learned of a newer history: this answer may be of a replaced primary.
                        Ok(_) => Error::new(ErrorKind::Io, "the server was replaced"),
                        Err(Failure::Refused(error)) => {
                            lent.link = Some(link);
                            return Err(error);
                        }
                        Err(Failure::Again(error)) => {
                            lent.link = Some(link);
                            error
                        }
                        Err(Failure::Late) => {
                            self.look_again();
                            return Err(self.late());
                        }
                        Err(Failure::Lost(error)) => {
                            // A connection that was dead before this call has not lost it.
                            may_retry = retry || lent.was_idle;
                            self.look_again();
                            self.drop_idle();
                            error
                        }
                    }
                }
            };
            self.note(&failed);
            if !may_retry {
                let what = format!(
                    "{failed} in the middle of this call; make it again (or open with retry)"
                );
                return Err(Error::new(ErrorKind::ConnectionLost, what).with_source(failed));
            }
            self.rest(pause(attempt), deadline);
            attempt += 1;
        }
    }

    /// Waits a moment before an attempt; closing ends it.
    pub fn rest(&self, time: Duration, deadline: Instant) {
        let until = (Instant::now() + time).min(deadline);
        let mut links = self.links.lock();
        while !self.is_closed() && !self.freed.wait_until(&mut links, until).timed_out() {}
    }
}
