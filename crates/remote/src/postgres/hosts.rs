//! Which host of the URL a connection goes to: one that takes writes, on the highest timeline of its system.
//!
//! Each new connection asks all hosts at once. A primary that was replaced and still runs is so found by a process that has seen
//! nothing of its successor. Promises: a host that does not answer is waited for a second at most once another one takes writes,
//! and once in a minute, unless a connection was lost meanwhile. Must not know: the tables.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use level_party_locks::Mutex;
use tokio::task::JoinSet;
use tokio::time::timeout_at;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Connection, SimpleQueryMessage, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::config::{Connector, Host};
use super::failure::{Failure, may_pass, not_connected};
use super::reads::misread;
use crate::error::{Error, ErrorKind, Result};

pub type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// How long the others have at most once a host that takes writes has answered.
const OTHERS: Duration = Duration::from_secs(1);
/// For so long a host that did not answer in time is asked, and not waited for.
const SILENT: Duration = Duration::from_secs(60);

/// Settings that each connection has: our statements are to be planned alike always, by their indexes, and run until they end.
const SETTINGS: &str = "SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = off; \
    SET statement_timeout = 0; SET lock_timeout = 0; SET idle_session_timeout = 0; SET search_path = pg_catalog, pg_temp; \
    SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; \
    SET enable_sort = off; SET jit = off; SET plan_cache_mode = force_generic_plan; SET bytea_output = 'hex'; \
    SET client_min_messages = warning; SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; \
    SET tcp_keepalives_count = 3; SET tcp_user_timeout = 20000; SET client_connection_check_interval = 1000; \
    SET standard_conforming_strings = on";
const PRODUCT: &str = "SELECT version(), current_setting('server_version_num')";
/// The backend, the system and its timeline.
const PLACE: &str = "SELECT pg_backend_pid(), system_identifier || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8) \
    FROM pg_control_system()";

/// A connection to a host that takes writes and is PostgreSQL.
pub struct Connected {
    pub client: Client,
    pub connection: Connection<Socket, Stream>,
    /// Which host of the URL.
    pub host: usize,
    /// The backend's number on its host.
    pub pid: i32,
    /// System and timeline.
    pub place: String,
    /// The product and its version.
    pub version: String,
}

/// What is remembered of the hosts.
#[derive(Default)]
pub struct Hosts {
    /// Since when hosts did not answer, by their place in the URL.
    silent: Mutex<Vec<Option<Instant>>>,
}

impl Hosts {
    /// A connection was lost: the next look waits for each host.
    pub fn forget(&self) {
        self.silent.lock().clear();
    }

    /// Connects to the host to use. `known` is where this process has seen the newest history: what it replaced is not used.
    pub async fn connect(
        &self,
        connector: &Connector,
        known: &str,
        deadline: Instant,
    ) -> Result<Connected> {
        let before = self.silent.lock().clone();
        let since = |host: usize| before.get(host).copied().flatten();
        let waits_for = |host| since(host).is_none_or(|since| since.elapsed() >= SILENT);
        let mut looked = look(connector, waits_for, deadline).await;
        if !looked.found.is_empty() {
            let silent = |host| match looked.left.contains(&host) {
                true if waits_for(host) => Some(Instant::now()),
                true => since(host),
                false => None,
            };
            *self.silent.lock() = (0..connector.hosts.len()).map(silent).collect();
        }
        let place = |connected: &Connected| (connected.host, connected.place.clone());
        let places: Vec<_> = looked.found.iter().map(place).collect();
        match best(&places, known) {
            Some(at) => Ok(looked.found.swap_remove(at)),
            None if places.is_empty() => Err(none_found(connector, looked)),
            None => Err(replaced()),
        }
    }
}

/// What a look at all hosts brought.
struct Looked {
    found: Vec<Connected>,
    failed: Vec<(usize, Error)>,
    /// Those that had not answered when it ended.
    left: Vec<usize>,
}

/// Asks all hosts, until each has answered; no longer than a second for those that are left when one takes writes, and not at all
/// for those that are not to be waited for.
async fn look(
    connector: &Connector,
    waits_for: impl Fn(usize) -> bool,
    deadline: Instant,
) -> Looked {
    let mut asked = JoinSet::new();
    for (at, host) in connector.hosts.iter().enumerate() {
        let (host, tls) = (host.clone(), connector.tls.clone());
        // One host that takes connections and never answers must not keep us from seeing the others change.
        let limit = connector.attempt.filter(|_| connector.hosts.len() > 1);
        asked.spawn(async move {
            let asking = ask(at, host, tls);
            let said = match limit {
                None => asking.await,
                Some(limit) => tokio::time::timeout(limit, asking)
                    .await
                    .unwrap_or_else(|_| Err(silent())),
            };
            (at, said)
        });
    }
    let mut looked = Looked {
        found: Vec::new(),
        failed: Vec::new(),
        left: (0..connector.hosts.len()).collect(),
    };
    let mut until = deadline;
    while looked.found.is_empty() || looked.left.iter().any(|host| waits_for(*host)) {
        let Ok(Some(answer)) = timeout_at(until.into(), asked.join_next()).await else {
            break;
        };
        let (host, said) = match answer {
            Ok(answer) => answer,
            Err(ended) => std::panic::resume_unwind(ended.into_panic()),
        };
        looked.left.retain(|left| *left != host);
        match said {
            Ok(connected) => {
                if looked.found.is_empty() {
                    // What is left of the time is for the call itself.
                    let now = Instant::now();
                    let part = deadline.saturating_duration_since(now) / 4;
                    until = now + part.min(OTHERS);
                }
                looked.found.push(connected);
            }
            Err(error) => looked.failed.push((host, error)),
        }
    }
    asked.shutdown().await;
    looked
}

/// Connects to one host and asks what it is.
async fn ask(at: usize, host: Host, tls: MakeRustlsConnect) -> Result<Connected> {
    let (client, mut connection) = host.config.connect(tls).await.map_err(not_connected)?;
    let rows = run(&mut connection, client.simple_query(PRODUCT)).await?;
    let version = field(&rows, 0).unwrap_or_default().to_owned();
    let number = field(&rows, 1).and_then(|number| number.parse().ok());
    check_product(&version, number.unwrap_or(0))?;
    let set = format!("{SETTINGS}; {PLACE}");
    let rows = run(&mut connection, client.simple_query(&set)).await?;
    let pid = field(&rows, 0).and_then(|pid| pid.parse().ok());
    Ok(Connected {
        host: at,
        pid: pid.ok_or_else(misread)?,
        place: field(&rows, 1).ok_or_else(misread)?.to_owned(),
        version: version.split(" on ").next().unwrap_or_default().to_owned(),
        client,
        connection,
    })
}

/// A field of the first row.
pub fn field(messages: &[SimpleQueryMessage], at: usize) -> Option<&str> {
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    row.and_then(|row| row.get(at))
}

async fn run<T>(
    connection: &mut Connection<Socket, Stream>,
    query: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
) -> Result<T> {
    let mut query = pin!(query);
    let done = poll_fn(|context| {
        if let Poll::Ready(done) = query.as_mut().poll(context) {
            return Poll::Ready(done);
        }
        // Its end is told to the query, too.
        let ended = std::pin::Pin::new(&mut *connection).poll(context);
        match (query.as_mut().poll(context), ended) {
            (Poll::Pending, Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
            (asked, _) => asked,
        }
    });
    let done: std::result::Result<T, tokio_postgres::Error> = done.await;
    done.map_err(|error| Failure::of(error).into_error(silent))
}

/// Which of these hosts, each with its place, is used: of the system that is known (else of the first host's) the one on the
/// highest timeline, the first where there are several. `None`: each was replaced.
fn best(places: &[(usize, String)], known: &str) -> Option<usize> {
    let mut left: Vec<usize> = (0..places.len())
        .filter(|at| !is_stale(&places[*at].1, known))
        .collect();
    left.sort_by_key(|at| places[*at].0);
    let site = |at: &usize| site(&places[*at].1);
    let is_known = |at: &&usize| site(at).0 == self::site(known).0;
    let (system, _) = site(left.iter().find(is_known).or(left.first())?);
    let of_system = left.iter().filter(|at| site(at).0 == system);
    // Of equals `max_by_key` gives the last.
    of_system.rev().max_by_key(|at| site(at).1).copied()
}

/// Whether `place` is a primary that was replaced: of the same system, on an earlier timeline. (The timelines' digits are
/// hexadecimal, and as many in each.)
pub fn is_stale(place: &str, known: &str) -> bool {
    let ((system, timeline), (known_system, known_timeline)) = (site(place), site(known));
    system == known_system && timeline < known_timeline
}

/// The system and timeline of a place.
fn site(place: &str) -> (&str, &str) {
    let mut parts = place.split('/');
    (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    )
}

/// A host that was the primary.
pub fn replaced() -> Error {
    Error::new(
        ErrorKind::Io,
        "this host was the primary and has been replaced: stop it, or take it out of the URL",
    )
}

fn silent() -> Error {
    Error::new(
        ErrorKind::Io,
        "cannot connect: the host did not answer in time",
    )
}

/// Why no host can be used; to be tried again if that may help with one of them.
fn none_found(connector: &Connector, looked: Looked) -> Error {
    let Looked {
        mut failed, left, ..
    } = looked;
    if failed.is_empty() {
        return Error::new(
            ErrorKind::Timeout,
            "cannot connect: no host answered in time",
        );
    }
    if let ([(_, error)], 1) = (failed.as_slice(), connector.hosts.len()) {
        return error.clone();
    }
    failed.extend(left.into_iter().map(|host| (host, silent())));
    failed.sort_by_key(|(host, _)| *host);
    let why = |(host, error): &(usize, Error)| {
        let why = error.message().trim_start_matches("cannot connect: ");
        format!("{}: {why}", connector.hosts[*host].name)
    };
    let what: Vec<String> = failed.iter().map(why).collect();
    let first = failed.iter().find(|(_, error)| may_pass(error));
    let (_, first) = first.unwrap_or(&failed[0]);
    Error::new(first.kind(), format!("cannot connect: {}", what.join("; ")))
        .with_source(first.clone())
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

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn highest_timeline_of_the_known_system_is_used() {
        let best = |places: &[(usize, &str)], known: &str| {
            let places: Vec<_> = places
                .iter()
                .map(|(host, place)| (*host, (*place).to_owned()))
                .collect();
            best(&places, known).map(|at| places[at].0)
        };
        // In the order of their answers.
        let two = [(1, "71/0000000A"), (0, "71/00000009")];
        assert_eq!(best(&two, ""), Some(1));
        assert_eq!(best(&two[1..], ""), Some(0));
        assert_eq!(best(&two[1..], "71/0000000A/5/9"), None);
        // Of another system: by the URL's order, unless one was seen.
        let other = [(2, "72/0000000F"), (1, "71/00000002"), (0, "71/00000001")];
        assert_eq!(best(&other, ""), Some(1));
        assert_eq!(best(&other, "72/00000001/5/9"), Some(2));
        assert_eq!(best(&other[..2], "73/00000001/5/9"), Some(1));
        // One server by two names.
        assert_eq!(best(&[(1, "71/1"), (0, "71/1")], ""), Some(0));
        assert_eq!(best(&[], ""), None);
    }
}
