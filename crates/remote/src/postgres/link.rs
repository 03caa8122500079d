//! One connection to the server, driven by whichever thread has it.
//!
//! Nothing runs beside the calls: a connection has a small runtime of its own, which runs while a call is made. So a call costs no
//! hand-over to another thread, and its deadline is kept by the one that waits.
//!
//! A connection is used only once it has said `hello`, so that it knows the histories; none of them changes while it lasts
//! (`docs/REMOTE.md`, *Fail-over*). After any failure but a refusal it is dropped.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Connection, Row, Socket, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::config::Connector;
use super::failure::{Failure, lost, not_connected};
use super::schema::{APART, LAYOUT, Sql};
use crate::answer::{History, Moment};
use crate::error::{Error, ErrorKind, Result};

type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// Settings that each connection has: our statements are to be planned alike always, by their indexes, and run until they end.
const SETTINGS: &str = "SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = off; \
    SET statement_timeout = 0; SET lock_timeout = 0; SET idle_session_timeout = 0; SET search_path = pg_catalog, pg_temp; \
    SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; \
    SET enable_sort = off; SET jit = off; SET plan_cache_mode = force_generic_plan; SET bytea_output = 'hex'; \
    SET client_min_messages = warning; SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; \
    SET tcp_keepalives_count = 3; SET tcp_user_timeout = 20000; SET client_connection_check_interval = 1000; \
    SET standard_conforming_strings = on";

/// One history, and the sequence after which it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    pub history: History,
    pub after: u64,
}

/// The histories that the server knows, the newest first. There is one at least.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histories(Vec<Begun>);

impl Histories {
    pub fn new(newest_first: Vec<Begun>) -> Result<Self> {
        match newest_first.is_empty() {
            false => Ok(Histories(newest_first)),
            true => Err(Error::new(
                ErrorKind::Protocol,
                "the database knows of no history of its own",
            )),
        }
    }

    pub fn current(&self) -> History {
        self.0[0].history
    }

    /// Up to which sequence `history` is what is there now: all of it, where it is the current one. `None`: it is not known.
    pub fn holds_up_to(&self, history: History) -> Option<u64> {
        let at = self.0.iter().position(|begun| begun.history == history)?;
        // What later histories began after may be less than the next one did.
        let later = self.0[..at].iter().map(|begun| begun.after);
        Some(later.min().unwrap_or(u64::MAX))
    }

    /// Whether a bare sequence is one that a replaced history may have had, and lost.
    pub fn is_lost(&self, sequence: u64) -> bool {
        self.0.iter().any(|begun| {
            begun.after < sequence && sequence <= begun.after + APART && begun.after > 0
        }) && self.0.len() > 1
    }

    /// Whether a moment means what it meant.
    pub fn holds(&self, moment: Moment) -> bool {
        let holds = self.holds_up_to(moment.history);
        holds.is_some_and(|up_to| moment.sequence <= up_to)
    }
}

/// One connection.
pub struct Link {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    client: Client,
    connection: Connection<Socket, Stream>,
    statements: [Option<Statement>; Sql::COUNT],
    pub histories: Histories,
    /// Where the newest history is: system, timeline, database and table.
    pub place: String,
    /// The product and its version.
    pub version: String,
    /// Warnings and notifications that came since they were last looked at.
    pub warned: bool,
    pub notified: bool,
}

/// What this process has seen of a database: its newest history, and the greatest sequence in it.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub moment: Option<Moment>,
    /// Where that history is: system, timeline, database and table.
    pub place: String,
    /// A group that was recorded is not recorded any more.
    pub went_back: bool,
}

impl Drop for Link {
    fn drop(&mut self) {
        // Waits for nothing; in a task's thread another end of it would panic.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Link {
    /// A connection to a server that takes writes. Its tables were not looked at.
    pub fn connect(connector: &Connector, deadline: Instant) -> Result<Link> {
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build();
        let runtime = runtime.map_err(|error| {
            let what = format!("cannot set a connection up: {error}");
            Error::new(ErrorKind::Io, what).with_source(error)
        })?;
        let connecting = connector.config.connect(connector.tls.clone());
        let connected =
            runtime.block_on(async { tokio::time::timeout_at(deadline.into(), connecting).await });
        let (client, connection) = match connected {
            Ok(Ok(connected)) => connected,
            Ok(Err(error)) => return Err(not_connected(error)),
            Err(_) => {
                return Err(Error::new(
                    ErrorKind::Timeout,
                    "cannot connect: no host answered in time",
                ));
            }
        };
        let mut link = Link {
            runtime: Some(runtime),
            client,
            connection,
            statements: [const { None }; Sql::COUNT],
            histories: Histories::default(),
            place: String::new(),
            version: String::new(),
            warned: false,
            notified: false,
        };
        link.version = link.greet(deadline)?;
        Ok(link)
    }

    /// Asks which product it is, and has it plan and run as we need it.
    fn greet(&mut self, deadline: Instant) -> Result<String> {
        let ask = "SELECT version(), current_setting('server_version_num')";
        let rows = self.drive(deadline, |client, _| client.simple_query(ask));
        let rows = rows.map_err(|failure| failure.into_error(no_greeting))?;
        let row = rows.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let version = row
            .and_then(|row| row.get(0))
            .unwrap_or_default()
            .to_owned();
        let number = row
            .and_then(|row| row.get(1))
            .and_then(|number| number.parse().ok());
        check_product(&version, number.unwrap_or(0))?;
        let set = self.drive(deadline, |client, _| client.batch_execute(SETTINGS));
        set.map_err(|failure| failure.into_error(no_greeting))?;
        Ok(version.split(" on ").next().unwrap_or_default().to_owned())
    }

    /// Runs what `make` makes of the client until it is done.
    pub fn drive<'l, T, F>(
        &'l mut self,
        deadline: Instant,
        make: impl FnOnce(&'l Client, &'l mut [Option<Statement>; Sql::COUNT]) -> F,
    ) -> std::result::Result<T, Failure>
    where
        F: Future<Output = std::result::Result<T, tokio_postgres::Error>> + 'l,
    {
        self.drive_with(deadline, || None, make)
    }

    /// The same; at each moment that `next` gives, `next` is asked again.
    pub fn drive_with<'l, T, F>(
        &'l mut self,
        deadline: Instant,
        mut next: impl FnMut() -> Option<Instant>,
        make: impl FnOnce(&'l Client, &'l mut [Option<Statement>; Sql::COUNT]) -> F,
    ) -> std::result::Result<T, Failure>
    where
        F: Future<Output = std::result::Result<T, tokio_postgres::Error>> + 'l,
    {
        let Link {
            runtime,
            client,
            connection,
            statements,
            warned,
            notified,
            ..
        } = self;
        let runtime = runtime.as_ref().expect("it is there until it is dropped");
        let future = make(client, statements);
        runtime.block_on(async move {
            let mut future = pin!(future);
            let first = next().map_or(deadline, |at| at.min(deadline));
            let mut sleep = pin!(tokio::time::sleep_until(first.into()));
            let mut ended = None;
            poll_fn(|context| {
                // What it sends goes out with the next look at the connection.
                if let Poll::Ready(done) = future.as_mut().poll(context) {
                    return Poll::Ready(done.map_err(Failure::of));
                }
                while ended.is_none() {
                    match connection.poll_message(context) {
                        Poll::Ready(Some(Ok(AsyncMessage::Notice(_)))) => *warned = true,
                        Poll::Ready(Some(Ok(AsyncMessage::Notification(_)))) => *notified = true,
                        Poll::Ready(Some(Ok(_))) => {}
                        Poll::Ready(Some(Err(error))) => ended = Some(lost(error)),
                        Poll::Ready(None) => ended = Some(ended_by_server()),
                        Poll::Pending => break,
                    }
                }
                if let Poll::Ready(done) = future.as_mut().poll(context) {
                    return Poll::Ready(done.map_err(Failure::of));
                }
                if let Some(error) = ended.take() {
                    return Poll::Ready(Err(Failure::Lost(error)));
                }
                while sleep.as_mut().poll(context).is_ready() {
                    if Instant::now() >= deadline {
                        return Poll::Ready(Err(Failure::Late));
                    }
                    let at = next().map_or(deadline, |at| at.min(deadline));
                    sleep.as_mut().reset(at.into());
                }
                Poll::Pending
            })
            .await
        })
    }

    /// The rows of one of our statements.
    pub fn query(
        &mut self,
        sql: &Sql,
        which: usize,
        parameters: &[&(dyn ToSql + Sync)],
        deadline: Instant,
    ) -> std::result::Result<Vec<Row>, Failure> {
        self.query_with(sql, which, parameters, deadline, || None)
    }

    /// The same; at each moment that `next` gives, `next` is asked again.
    pub fn query_with(
        &mut self,
        sql: &Sql,
        which: usize,
        parameters: &[&(dyn ToSql + Sync)],
        deadline: Instant,
        next: impl FnMut() -> Option<Instant>,
    ) -> std::result::Result<Vec<Row>, Failure> {
        let text = sql.text(which);
        self.drive_with(deadline, next, |client, statements| async move {
            let statement = match &statements[which] {
                Some(statement) => statement.clone(),
                None => {
                    let types: &[Type] = &[];
                    let prepared = client.prepare_typed(text, types).await?;
                    statements[which].insert(prepared).clone()
                }
            };
            client.query(&statement, parameters).await
        })
    }

    /// Waits for a notification until `deadline`. False: none came.
    pub fn wait_notified(&mut self, deadline: Instant) -> std::result::Result<bool, Failure> {
        if std::mem::take(&mut self.notified) {
            return Ok(true);
        }
        let Link {
            runtime,
            connection,
            ..
        } = self;
        let runtime = runtime.as_ref().expect("it is there until it is dropped");
        runtime.block_on(async move {
            let mut sleep = pin!(tokio::time::sleep_until(deadline.into()));
            poll_fn(|context| {
                loop {
                    match connection.poll_message(context) {
                        Poll::Ready(Some(Ok(AsyncMessage::Notification(_)))) => {
                            return Poll::Ready(Ok(true));
                        }
                        Poll::Ready(Some(Ok(_))) => {}
                        Poll::Ready(Some(Err(error))) => {
                            return Poll::Ready(Err(Failure::Lost(lost(error))));
                        }
                        Poll::Ready(None) => {
                            return Poll::Ready(Err(Failure::Lost(ended_by_server())));
                        }
                        Poll::Pending => break,
                    }
                }
                sleep.as_mut().poll(context).map(|()| Ok(false))
            })
            .await
        })
    }

    /// Asks for the histories; begins another one where the server is another, or has lost what was seen.
    pub fn hello(
        &mut self,
        sql: &Sql,
        seen: &Seen,
        deadline: Instant,
    ) -> std::result::Result<(), Failure> {
        let random = bytes_of(random_words().map_err(Failure::Refused)?);
        let history = seen.moment.map(|moment| bytes_of(moment.history.random));
        let history = history.as_ref().map(<[u8; 16]>::as_slice);
        let sequence = seen.moment.map_or(0, |moment| moment.sequence) as i64;
        let rows = self.query(
            sql,
            Sql::HELLO,
            &[&random.as_slice(), &history, &sequence, &seen.went_back],
            deadline,
        )?;
        let begun = |row: &Row| {
            let random: &[u8] = row.try_get(1)?;
            Ok(Begun {
                history: History {
                    number: row.try_get::<_, i64>(0)? as u64,
                    random: words_of(random),
                },
                after: row.try_get::<_, i64>(3)? as u64,
            })
        };
        let histories = rows
            .iter()
            .map(begun)
            .collect::<std::result::Result<_, _>>();
        self.histories =
            Histories::new(histories.map_err(Failure::of)?).map_err(Failure::Refused)?;
        self.place = rows[0].try_get(2).map_err(Failure::of)?;
        let layout: i32 = rows[0].try_get(4).map_err(Failure::of)?;
        check_layout(layout).map_err(Failure::Refused)?;
        Ok(())
    }
}

/// Whether `place` is a primary that was replaced: of the same system, on an earlier timeline. (The timelines' digits are
/// hexadecimal, and as many in each.)
pub fn is_stale(place: &str, known: &str) -> bool {
    let parts = |place: &str| {
        let mut parts = place.split('/').map(str::to_owned);
        Some((parts.next()?, parts.next()?))
    };
    match (parts(place), parts(known)) {
        (Some((system, timeline)), Some((known_system, known_timeline))) => {
            system == known_system && timeline < known_timeline
        }
        _ => false,
    }
}

/// # Errors
/// `IncompatibleVersion`.
pub fn check_layout(layout: i32) -> Result<()> {
    match layout == LAYOUT {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::IncompatibleVersion,
            format!("its tables have layout {layout}, and this release knows {LAYOUT}"),
        )),
    }
}

fn ended_by_server() -> Error {
    Error::new(ErrorKind::Io, "the server ended the connection")
}

fn no_greeting() -> Error {
    Error::new(
        ErrorKind::Timeout,
        "cannot connect: the server did not greet in time",
    )
}

/// # Errors
/// `Unsupported`: it is another product; `IncompatibleVersion`: it is too old.
fn check_product(version: &str, number: u32) -> Result<()> {
    const OTHERS: [(&str, &str); 5] = [
        (
            "CockroachDB",
            "a lock there does not order commits for readers of other nodes, and it has no NOTIFY",
        ),
        (
            "-YB-",
            "(YugabyteDB) a lock there does not order commits for readers of other nodes",
        ),
        (
            "Redshift",
            "it keeps no key unique and has no triggers of time such as NOTIFY",
        ),
        (
            "Greenplum",
            "it spreads a table over servers, and what is told here rests on one",
        ),
        (
            "Materialize",
            "it has no functions on the server that lock and write",
        ),
    ];
    for (name, why) in OTHERS {
        if version.contains(name) {
            let what = format!(
                "this server is {}, which is not supported: {why}",
                version.split(" on ").next().unwrap_or(name)
            );
            return Err(Error::new(ErrorKind::Unsupported, what));
        }
    }
    if !version.starts_with("PostgreSQL ") {
        let what = format!(
            "this server says that it is {version:?}, which is not PostgreSQL and not supported"
        );
        return Err(Error::new(ErrorKind::Unsupported, what));
    }
    if number < 140_000 {
        let what = format!("this server is {version}; PostgreSQL 14 or newer is needed");
        return Err(Error::new(ErrorKind::IncompatibleVersion, what));
    }
    Ok(())
}

/// 128 random bits.
pub fn random_words() -> Result<[u64; 2]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(
            ErrorKind::Io,
            format!("the system gives no random bits: {error}"),
        )
    })?;
    Ok(words_of(&bytes))
}

pub fn bytes_of(words: [u64; 2]) -> [u8; 16] {
    ((u128::from(words[0]) << 64) | u128::from(words[1])).to_be_bytes()
}

/// Bytes of another length are no history's, and become none that is known.
fn words_of(bytes: &[u8]) -> [u64; 2] {
    let word = bytes.try_into().map_or(0, u128::from_be_bytes);
    [(word >> 64) as u64, word as u64]
}

/// What a retry waits before attempt `number` (0: the first).
pub fn pause(number: u32) -> Duration {
    match number {
        0 => Duration::ZERO,
        n => Duration::from_millis(10 << n.min(6)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_of_an_older_history_holds_up_to_where_each_later_one_began() {
        let history = |number| History {
            number,
            random: [number, 0],
        };
        let begun = |number, after| Begun {
            history: history(number),
            after,
        };
        // The third began from a copy that had less than the second had begun with.
        let histories = Histories::new(vec![begun(3, 50), begun(2, 100), begun(1, 0)]).unwrap();
        let holds = |number, sequence| {
            histories.holds(Moment {
                sequence,
                history: history(number),
            })
        };
        assert!(holds(3, 1000) && holds(2, 50) && !holds(2, 51) && holds(1, 50) && !holds(1, 51));
        assert!(!holds(4, 0));
        let other = History {
            number: 3,
            random: [9, 9],
        };
        assert_eq!(histories.holds_up_to(other), None);
        assert!(Histories::new(Vec::new()).is_err());
    }

    #[test]
    fn a_primary_on_an_earlier_timeline_is_stale() {
        assert!(is_stale("71/00000009/5/9", "71/0000000A/5/9"));
        assert!(!is_stale("71/0000000A/5/9", "71/0000000A/6/9"));
        assert!(!is_stale("72/00000001/5/9", "71/0000000A/5/9"));
        assert!(!is_stale("71/00000001/5/9", ""));
    }

    #[test]
    fn other_products_are_refused_by_name() {
        for (version, kind) in [
            ("CockroachDB CCL v23.1", ErrorKind::Unsupported),
            (
                "PostgreSQL 11.2-YB-2.18.0.0-b0 on x86",
                ErrorKind::Unsupported,
            ),
            (
                "PostgreSQL 8.0.2 on i686, compiled by GCC, Redshift 1.0.5",
                ErrorKind::Unsupported,
            ),
            ("MySQL", ErrorKind::Unsupported),
            ("PostgreSQL 13.9 on x86", ErrorKind::IncompatibleVersion),
        ] {
            assert_eq!(
                check_product(version, 130_009).unwrap_err().kind(),
                kind,
                "{version}"
            );
        }
        check_product("PostgreSQL 15.18 (Debian) on x86", 150_018).unwrap();
    }
}
