//! Databases on PostgreSQL. What holds and why: `docs/REMOTE.md`.
//!
//! | module | is |
//! |---|---|
//! | `config`, `tls` | from a URL to how connections are made |
//! | `hosts` | which host of the URL a connection goes to |
//! | `link`, `pool`, `failure` | one connection; those of a process, and who retries; what an error means |
//! | `schema`, `schema.sql`, `scan.sql` | tables, functions, statements |
//! | `reads` | statements that read |
//! | `ticket`, `group`, `writer` | a write and who waits for it; writes of one call; their order, and exactly once |
//! | `pins`, `keeper` | moments that are held; what is done now and then |
//! | `feed` | watches |
//! | `service` | whether the database is in use, as text |
//! | `blocker` | which backend a call waits for |
//! | `opening` | the first connection, and the tables of a new database |

mod blocker;
mod config;
mod failure;
mod feed;
mod group;
mod hosts;
mod keeper;
mod link;
mod opening;
mod pins;
mod pool;
mod reads;
mod schema;
mod ticket;
mod tls;
mod writer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use level_party_workers::{Refused, Workers};

use crate::address::Address;
use crate::answer::{Chunk, Entry, History, Limits, Moment, ServiceState, Standby, Status};
use crate::call::{Answer, Call, Wait, blocked_on};
use crate::error::{Error, ErrorKind, Result};
use crate::remote::{Feed, Remote};
use crate::request::{KeyRange, Scan, Settings, Start, Write};
use config::{Connector, Environment};
use feed::{Hub, LogFeed};
use keeper::Keeper;
use link::Link;
use pool::{MOST, Server};
use schema::{MAX_KEY_BYTES, Sql};
use writer::Writer;

/// How long leaving takes at most.
const CLOSE: Duration = Duration::from_secs(1);

/// Opens the database at `address`.
///
/// # Errors
/// `NotFound`, `AlreadyExists`, `PermissionDenied`, `Unsupported` (another product), `IncompatibleVersion`, `Timeout`,
/// `InvalidArgument`, `Io`.
pub fn open(address: &Address, settings: &Settings) -> Result<Arc<dyn Remote>> {
    let variable = |name: &str| std::env::var(name).ok();
    let environment = Environment {
        variable: &variable,
        home: std::env::home_dir(),
    };
    let connector = Connector::new(address, &environment)?;
    let deadline = deadline(settings.open_timeout);
    let server = Arc::new(Server::new(connector));
    let workers = Workers::new("level-party-remote", MOST);
    let fills = settings.fills;
    let (opened_server, settings) = (Arc::clone(&server), settings.clone());
    let opened = by(&workers, Wait::Thread, deadline, move || {
        opening::open(&opened_server, &settings, deadline)
    });
    let opened = blocked_on(opened, deadline + CLOSE).unwrap_or_else(|| Err(server.late()))?;
    let mut warnings = server.connector.warnings.clone();
    warnings.extend(opened.warnings);
    Ok(Arc::new(Postgres {
        writer: Writer::new(Arc::clone(&server), fills),
        keeper: Keeper::new(Arc::clone(&server))?,
        hub: Hub::new(Arc::clone(&server)),
        version: opened.version,
        warnings,
        workers,
        server,
    }))
}

fn deadline(limit: Duration) -> Instant {
    let now = Instant::now();
    let far = Duration::from_secs(100 * 365 * 86_400);
    now.checked_add(limit).unwrap_or_else(|| now + far)
}

/// The answer of a call that blocks. A thread's is made by that thread itself, in its first poll: nothing is handed over. A task's is
/// made by a worker; so is one of a thread of somebody's tokio runtime, which must not run ours.
fn by<T: Send + 'static>(
    workers: &Workers,
    wait: Wait,
    deadline: Instant,
    call: impl FnOnce() -> Result<T> + Send + 'static,
) -> Answer<'_, T> {
    match wait {
        Wait::Task => Box::pin(async move {
            let made = workers.call(call).map_err(not_begun)?;
            made.await.unwrap_or_else(|| Err(unmade()))
        }),
        Wait::Thread if tokio::runtime::Handle::try_current().is_err() => {
            Box::pin(async move { call() })
        }
        Wait::Thread => Box::pin(async move {
            let made = workers.call(call).map_err(not_begun)?;
            let made = blocked_on(made, deadline + CLOSE).ok_or_else(no_thread)?;
            made.unwrap_or_else(|| Err(unmade()))
        }),
    }
}

fn not_begun(refused: Refused) -> Error {
    match refused {
        Refused::Closed => Error::closed(),
        Refused::NoThread(error) => {
            let what = format!("cannot start a thread: {error}");
            Error::new(ErrorKind::Io, what).with_source(error)
        }
    }
}

fn unmade() -> Error {
    Error::new(
        ErrorKind::Closed,
        "this handle was closed before the call was made",
    )
}

fn no_thread() -> Error {
    Error::new(ErrorKind::Timeout, "no thread made this call in time")
}

struct Postgres {
    server: Arc<Server>,
    workers: Workers,
    writer: Arc<Writer>,
    keeper: Arc<Keeper>,
    hub: Arc<Hub>,
    version: String,
    warnings: Vec<String>,
}

impl Postgres {
    /// A read that `make` makes of a connection.
    fn read<T: Send + 'static>(
        &self,
        call: &Call,
        make: impl Fn(&mut Link, &Sql, Instant) -> std::result::Result<T, failure::Failure>
        + Send
        + 'static,
    ) -> Answer<'_, T> {
        let (
            server,
            Call {
                wait,
                deadline,
                retry,
            },
        ) = (Arc::clone(&self.server), *call);
        by(&self.workers, wait, deadline, move || {
            server.read(deadline, retry, |link| make(link, &server.sql, deadline))
        })
    }
}

impl Remote for Postgres {
    fn address(&self) -> &str {
        &self.server.connector.address
    }

    fn limits(&self) -> Limits {
        Limits {
            key_bytes: MAX_KEY_BYTES,
            batch_bytes: 64 << 20,
            batch_ops: 1 << 22,
        }
    }

    fn history(&self) -> History {
        self.server.history()
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    fn get<'a>(
        &'a self,
        call: &Call,
        key: &'a [u8],
        at: Option<Moment>,
    ) -> Answer<'a, Option<Entry>> {
        let key = key.to_vec();
        self.read(call, move |link, sql, deadline| {
            reads::get(link, sql, &key, at, deadline)
        })
    }

    fn contains<'a>(&'a self, call: &Call, key: &'a [u8], at: Option<Moment>) -> Answer<'a, bool> {
        let key = key.to_vec();
        self.read(call, move |link, sql, deadline| {
            reads::contains(link, sql, &key, at, deadline)
        })
    }

    fn get_many(
        &self,
        call: &Call,
        keys: Vec<Vec<u8>>,
        at: Option<Moment>,
    ) -> Answer<'_, Vec<Option<Entry>>> {
        self.read(call, move |link, sql, deadline| {
            reads::get_many(link, sql, &keys, at, deadline)
        })
    }

    fn scan(&self, call: &Call, scan: Scan, at: Option<Moment>) -> Answer<'_, Chunk> {
        let (server, keeper) = (Arc::clone(&self.server), Arc::clone(&self.keeper));
        let Call {
            wait,
            deadline,
            retry,
        } = *call;
        by(&self.workers, wait, deadline, move || {
            let read = server.read(deadline, retry, |link| {
                let read = reads::scan(link, &server.sql, &scan, at, deadline)?;
                server.seen(link, read.1.sequence);
                Ok(read)
            });
            let (mut chunk, newest) = read?;
            if at.is_none() && (chunk.more || scan.hold) {
                keeper.pins.hold(newest);
                keeper.pinned();
                chunk.pinned = Some(newest);
            }
            Ok(chunk)
        })
    }

    fn write(&self, call: &Call, write: Write) -> Answer<'_, Option<u64>> {
        let Call { wait, deadline, .. } = *call;
        if wait == Wait::Thread {
            let (writer, keeper) = (Arc::clone(&self.writer), Arc::clone(&self.keeper));
            return by(&self.workers, wait, deadline, move || {
                keeper.wrote();
                writer.write(write, deadline)
            });
        }
        Box::pin(async move {
            self.keeper.wrote();
            self.writer.begin(write, deadline)?.await
        })
    }

    fn pin(&self, call: &Call) -> Answer<'_, Moment> {
        let newest = self.newest(call);
        Box::pin(async move {
            let moment = newest.await?;
            self.keeper.pins.hold(moment);
            self.keeper.pinned();
            Ok(moment)
        })
    }

    fn unpin(&self, moment: Moment) {
        self.keeper.pins.give_back(moment);
    }

    fn newest(&self, call: &Call) -> Answer<'_, Moment> {
        let server = Arc::clone(&self.server);
        self.read(call, move |link, sql, deadline| {
            let newest = reads::newest(link, sql, deadline)?;
            server.seen(link, newest.sequence);
            Ok(newest)
        })
    }

    fn feed(&self, call: &Call, start: Start, range: KeyRange) -> Answer<'_, Box<dyn Feed>> {
        let (hub, keeper) = (Arc::clone(&self.hub), Arc::clone(&self.keeper));
        let Call { wait, deadline, .. } = *call;
        by(&self.workers, wait, deadline, move || {
            let feed = LogFeed::begin(&hub, &keeper, start, &range, deadline)?;
            Ok(Box::new(feed) as Box<dyn Feed>)
        })
    }

    fn approximate_size(&self, call: &Call, range: KeyRange) -> Answer<'_, u64> {
        self.read(call, move |link, sql, deadline| match range.is_empty() {
            true => Ok(0),
            false => reads::size(link, sql, &range.start(), range.end().as_deref(), deadline),
        })
    }

    fn status(&self, call: &Call) -> Answer<'_, Status> {
        let asked = self.read(call, opening::status);
        Box::pin(async move {
            let asked = asked.await?;
            let mut status = Status::new(&self.version, self.address(), asked.newest);
            status.oldest_readable = asked.oldest_readable;
            (status.pins, status.oldest_pin) = self.keeper.pins.report();
            status.standby = asked.standby;
            status.lag_bytes = asked.lag_bytes;
            status.warnings.clone_from(&self.server.connector.warnings);
            status.warnings.extend(asked.warnings);
            status.trouble = self.server.trouble();
            Ok(status)
        })
    }

    fn service_state(&self, call: &Call) -> Answer<'_, ServiceState> {
        self.read(call, |link, sql, deadline| {
            opening::service(link, sql, deadline)
        })
    }

    fn set_service_state(
        &self,
        call: &Call,
        expected: ServiceState,
        new: ServiceState,
    ) -> Answer<'_, bool> {
        let (expected, new) = (expected.to_text(), new.to_text());
        let (server, Call { wait, deadline, .. }) = (Arc::clone(&self.server), *call);
        by(&self.workers, wait, deadline, move || {
            opening::set_service(&server, &expected, &new, deadline)
        })
    }

    fn close(&self) {
        if self.server.is_closed() {
            return;
        }
        let until = Instant::now() + CLOSE;
        self.writer.close();
        let sessions = [self.writer.take_session(until), self.keeper.close()];
        let sessions: Vec<[u8; 16]> = sessions.into_iter().flatten().collect();
        if !sessions.is_empty() {
            // Else the server removes them after a day.
            let server = Arc::clone(&self.server);
            let left = by(&self.workers, Wait::Thread, until, move || {
                let ids: Vec<&[u8]> = sessions.iter().map(<[u8; 16]>::as_slice).collect();
                server.read(until, false, |link| {
                    link.query(&server.sql, Sql::END_SESSION, &[&ids], until)
                        .map(drop)
                })
            });
            let _ = blocked_on(left, until);
        }
        self.server.close();
        self.hub.tell();
        self.workers.close();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.close();
    }
}

/// Whether acknowledged writes are on a second server, as the server's settings say.
fn standby_of(names: &str, connected: i64) -> Standby {
    match (names.trim().is_empty(), connected) {
        (false, _) => Standby::Synchronous,
        (true, 0) => Standby::None,
        (true, _) => Standby::Asynchronous,
    }
}
