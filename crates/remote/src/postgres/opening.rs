//! The first connection: whether there is a database, its tables if it is to be made, and how the server is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::blocker::Patience;
use super::failure::{Failure, may_pass};
use super::hosts::field;
use super::link::{Link, bytes_of, check_layout, pause, random_words};
use super::pool::Server;
use super::reads::misread;
use super::schema::Sql;
use super::standby_of;
use crate::answer::{Moment, ServiceState, Standby};
use crate::error::{Error, ErrorKind, Result};
use crate::request::Settings;

/// How long the second connection may take that a pooler is looked for with,
const PROBE: Duration = Duration::from_secs(2);
/// and how often both ask which backend they have.
const PROBES: u32 = 3;

/// What is known of a database that was opened.
pub struct Opened {
    pub version: String,
    pub warnings: Vec<String>,
}

/// Finds the database or makes it; tries until the deadline where that may help.
pub fn open(server: &Server, settings: &Settings, deadline: Instant) -> Result<Opened> {
    let mut attempt = 0;
    // The bits of the first history, if this opening makes the database: by them it knows its own work.
    let random = random_words()?;
    loop {
        match try_open(server, settings, (random, attempt), deadline) {
            Err(error) if may_pass(&error) => {
                server.note(&error);
                if Instant::now() + pause(attempt) >= deadline {
                    let what = format!("cannot open {}", server.connector.address);
                    return Err(Error::new(ErrorKind::Timeout, error.message())
                        .with_source(error)
                        .context(what));
                }
                server.rest(pause(attempt), deadline);
                attempt += 1;
            }
            Err(error) => {
                return Err(error.context(format_args!("cannot open {}", server.connector.address)));
            }
            // A copy's own handle opens it before that, too; until then its writes are refused.
            Ok((_, state)) if matches!(state, ServiceState::Filling { .. }) && !settings.fills => {
                let error = state.refusal();
                return Err(error.context(format_args!("cannot open {}", server.connector.address)));
            }
            Ok((opened, _)) => return Ok(opened),
        }
    }
}

fn try_open(
    server: &Server,
    settings: &Settings,
    (random, attempt): ([u64; 2], u32),
    deadline: Instant,
) -> Result<(Opened, ServiceState)> {
    let late = || server.late();
    let mut link = server.connect_only(deadline)?;
    check_pooler(&mut link, server, deadline)?;
    let known = layout(&mut link, server, deadline).map_err(|failure| failure.into_error(late))?;
    let made = match known {
        None if !settings.create_if_missing => {
            let what = format!("there is no database in the schema {}", server.sql.schema);
            return Err(Error::new(ErrorKind::NotFound, what));
        }
        None => create(&mut link, server, random, deadline),
        Some(_) => Ok(false),
    };
    let made = made.map_err(|failure| failure.into_error(late))?;
    if settings.error_if_exists && !made {
        // An attempt before may have lost its connection while it committed.
        let is_ours = attempt > 0
            && is_made_of(&mut link, server, random, deadline)
                .map_err(|failure| failure.into_error(late))?;
        if !is_ours {
            return Err(exists(server));
        }
    }
    let layout = layout(&mut link, server, deadline).map_err(|failure| failure.into_error(late))?;
    check_layout(layout.unwrap_or(0))?;
    check_owner(&mut link, server, deadline)?;
    server.greet(&mut link, deadline)?;
    let state =
        service(&mut link, &server.sql, deadline).map_err(|failure| failure.into_error(late))?;
    let asked =
        status(&mut link, &server.sql, deadline).map_err(|failure| failure.into_error(late))?;
    let opened = Opened {
        version: link.version.clone(),
        warnings: asked.warnings,
    };
    Ok((opened, state))
}

/// A pooler that hands each transaction to another backend: two connections through it share one, or one changes it.
///
/// # Errors
/// `Unsupported`.
fn check_pooler(link: &mut Link, server: &Server, deadline: Instant) -> Result<()> {
    let until = deadline.min(Instant::now() + PROBE);
    let mut other = match server.connect_only(until) {
        Ok(other) if other.host == link.host && other.place == link.place => other,
        // They are on two servers, or this user has one connection: nothing is found out.
        Ok(_) => return Ok(()),
        Err(error) if may_pass(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    // Without a pooler each has a backend of its own as long as it lasts.
    let first = link.pid.to_string();
    let mut is_shared = other.pid == link.pid;
    for _ in 0..PROBES {
        if is_shared {
            break;
        }
        // What `other` holds now, `link` can't be given.
        let theirs = backend(
            &mut other,
            "BEGIN; SELECT pg_backend_pid()",
            server,
            deadline,
        )?;
        let ours = backend(link, "SELECT pg_backend_pid()", server, deadline)?;
        backend(
            &mut other,
            "SELECT pg_backend_pid(); COMMIT",
            server,
            deadline,
        )?;
        is_shared = theirs == first || ours != first;
    }
    match is_shared {
        false => Ok(()),
        true => Err(Error::new(
            ErrorKind::Unsupported,
            "a pooler before PostgreSQL hands each transaction to another connection, which is not supported; connect to \
             PostgreSQL itself, or have the pooler keep a connection for each session (pool_mode = session)",
        )),
    }
}

/// The backend that answers `ask`.
fn backend(link: &mut Link, ask: &str, server: &Server, deadline: Instant) -> Result<String> {
    let asked = link.drive(deadline, |client, _| client.simple_query(ask));
    let rows = asked.map_err(|failure| failure.into_error(|| server.late()))?;
    field(&rows, 0).map(str::to_owned).ok_or_else(misread)
}

/// The schema may have been made by somebody else, whose functions would run as this user.
///
/// # Errors
/// `PermissionDenied`.
fn check_owner(link: &mut Link, server: &Server, deadline: Instant) -> Result<()> {
    let schema = server.connector.schema.as_str();
    let asked = link.drive(deadline, |client, _| async move {
        let ask = "SELECT pg_has_role(current_user, n.nspowner, 'MEMBER') OR r.rolsuper OR n.nspowner = d.datdba, r.rolname::text \
            FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner, pg_database d \
            WHERE n.nspname = $1 AND d.datname = current_database()";
        client.query(ask, &[&schema]).await
    });
    let rows = asked.map_err(|failure| failure.into_error(|| server.late()))?;
    let row = rows.first().ok_or_else(misread)?;
    match (row.try_get(0), row.try_get::<_, String>(1)) {
        (Ok(true), _) => Ok(()),
        (Ok(false), Ok(owner)) => Err(Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "the schema {} belongs to {owner}, whose functions would run as this user; have the database's owner make it \
                 his own, or name another one with ?schema=",
                server.sql.schema
            ),
        )),
        _ => Err(misread()),
    }
}

pub fn service(
    link: &mut Link,
    sql: &Sql,
    deadline: Instant,
) -> std::result::Result<ServiceState, Failure> {
    let rows = link.query(sql, Sql::SERVICE, &[], deadline)?;
    let row = rows.first().ok_or_else(|| Failure::Refused(misread()))?;
    let text: String = row.try_get(0).map_err(Failure::of)?;
    ServiceState::parse(&text).map_err(Failure::Refused)
}

/// Changes the service state from one text to another. Where the connection is lost, what is there tells whether it was done: each
/// change is to a text of its own, but for one back to `live`, after which another's answer would be the same.
pub fn set_service(
    server: &Arc<Server>,
    expected: &str,
    new: &str,
    deadline: Instant,
) -> Result<bool> {
    let mut sent = false;
    server.read(deadline, true, |link| {
        let asked = std::mem::replace(&mut sent, true);
        let mut patience = Patience::new(server, link, deadline);
        let rows = link.query_with(
            &server.sql,
            Sql::SET_SERVICE,
            &[&expected, &new],
            deadline,
            || Some(patience.next()),
        )?;
        let changed: bool = match rows.first().map(|row| row.try_get(0)) {
            Some(Ok(changed)) => changed,
            _ => return Err(Failure::Refused(misread())),
        };
        if changed || !asked {
            return Ok(changed);
        }
        let state = service(link, &server.sql, deadline)?;
        Ok(state.to_text() == new)
    })
}

fn exists(server: &Server) -> Error {
    let what = format!(
        "the schema {} holds a database already (error_if_exists is set)",
        server.sql.schema
    );
    Error::new(ErrorKind::AlreadyExists, what)
}

/// The layout of the tables, if there are any.
fn layout(
    link: &mut Link,
    server: &Server,
    deadline: Instant,
) -> std::result::Result<Option<i32>, Failure> {
    let schema = server.connector.schema.as_str();
    let found = link.drive(deadline, |client, _| async move {
        let found = "SELECT 1 FROM pg_tables WHERE schemaname = $1 AND tablename = 'meta'";
        client.query(found, &[&schema]).await
    })?;
    if found.is_empty() {
        return Ok(None);
    }
    let ask = format!("SELECT layout FROM {}.meta", server.sql.schema);
    let rows = link.drive(deadline, |client, _| async move {
        client.query(&ask, &[]).await
    })?;
    let layout = rows
        .first()
        .map(|row| row.try_get(0))
        .transpose()
        .map_err(Failure::of)?;
    Ok(Some(layout.unwrap_or(0)))
}

/// Whether the first history of the database has these bits.
fn is_made_of(
    link: &mut Link,
    server: &Server,
    random: [u64; 2],
    deadline: Instant,
) -> std::result::Result<bool, Failure> {
    let ask = format!(
        "SELECT 1 FROM {}.history WHERE number = 1 AND random = $1",
        server.sql.schema
    );
    let random = bytes_of(random);
    let rows = link.drive(deadline, |client, _| async move {
        client.query(&ask, &[&random.as_slice()]).await
    })?;
    Ok(!rows.is_empty())
}

/// Makes the tables. False: another process was faster.
fn create(
    link: &mut Link,
    server: &Server,
    random: [u64; 2],
    deadline: Instant,
) -> std::result::Result<bool, Failure> {
    // One process at a time: the lock lasts until the transaction's end.
    let begin = format!(
        "BEGIN; SELECT pg_advisory_xact_lock(hashtext('level_party'), hashtext('{}')); CREATE SCHEMA IF NOT EXISTS {}",
        server.connector.schema, server.sql.schema
    );
    let undo = |link: &mut Link, failure| {
        // If it can't be undone the connection ends, which undoes it.
        let _ = link.drive(deadline, |client, _| client.batch_execute("ROLLBACK"));
        failure
    };
    let begun = link.drive(deadline, |client, _| async move {
        client.batch_execute(&begin).await
    });
    begun.map_err(|failure| undo(link, failure))?;
    let is_there = layout(link, server, deadline)
        .map_err(|failure| undo(link, failure))?
        .is_some();
    let text = match is_there {
        true => String::new(),
        false => server.sql.creation(bytes_of(random)),
    };
    let made = link.drive(deadline, |client, _| async move {
        client.batch_execute(&text).await
    });
    made.map_err(|failure| undo(link, failure))?;
    link.drive(deadline, |client, _| client.batch_execute("COMMIT"))?;
    Ok(!is_there)
}

/// How the server is.
pub struct Asked {
    pub newest: Moment,
    pub oldest_readable: u64,
    pub standby: Standby,
    pub lag_bytes: Option<u64>,
    pub warnings: Vec<String>,
}

pub fn status(
    link: &mut Link,
    sql: &Sql,
    deadline: Instant,
) -> std::result::Result<Asked, Failure> {
    let rows = link.query(sql, Sql::STATUS, &[], deadline)?;
    let row = rows.first().ok_or_else(|| Failure::Refused(misread()))?;
    let number = |at: usize| row.try_get::<_, i64>(at).map_err(Failure::of);
    let text = |at: usize| row.try_get::<_, String>(at).map_err(Failure::of);
    let standby = standby_of(&text(2)?, number(4)?);
    let mut warnings = Vec::new();
    if text(3)? == "off" {
        warnings.push("the server runs with fsync = off: a crash of its machine can lose or damage everything".to_owned());
    }
    match standby {
        Standby::Synchronous => {}
        Standby::Asynchronous => warnings.push(
            "no standby is synchronous (synchronous_standby_names is empty): a fail-over can lose acknowledged writes".to_owned(),
        ),
        Standby::None => warnings.push(
            "the server has no standby: acknowledged writes are on this one server alone".to_owned(),
        ),
    }
    let lag: Option<i64> = row.try_get(5).map_err(Failure::of)?;
    Ok(Asked {
        newest: Moment {
            sequence: number(0)? as u64,
            history: link.histories.current(),
        },
        oldest_readable: number(1)? as u64,
        standby,
        lag_bytes: lag.and_then(|lag| u64::try_from(lag).ok()),
        warnings,
    })
}
