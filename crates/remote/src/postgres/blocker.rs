//! Names the backend that a call waits for.
//!
//! Whatever locks the row of `meta` holds all writes up: a person's open transaction, for one. The waiting connection cannot ask
//! who it is, so another one asks for it, once the call has waited for a while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::Row;

use super::failure::Failure;
use super::link::Link;
use super::pool::Server;
use super::schema::Sql;
use crate::error::{Error, ErrorKind};

/// After so long, or half of the call's time, it is asked,
const FIRST: Duration = Duration::from_secs(1);
/// and again and again after so long.
const AGAIN: Duration = Duration::from_secs(6);
/// How long the answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// A call that may have to wait for a lock.
pub struct Patience {
    server: Arc<Server>,
    host: usize,
    pid: i32,
    began: Instant,
    asks_at: Instant,
}

impl Patience {
    /// Of a call on `link` that begins now, whose first answer is due at `due`.
    pub fn new(server: &Arc<Server>, link: &Link, due: Instant) -> Self {
        let began = Instant::now();
        let half = due.saturating_duration_since(began) / 2;
        Patience {
            server: Arc::clone(server),
            host: link.host,
            pid: link.pid,
            began,
            asks_at: began + half.min(FIRST),
        }
    }

    /// Asks if it is time to; gives when to look again.
    pub fn next(&mut self) -> Instant {
        let now = Instant::now();
        if now >= self.asks_at {
            self.asks_at = now + AGAIN;
            let (server, host, pid) = (Arc::clone(&self.server), self.host, self.pid);
            let waited = now - self.began;
            let asking = std::thread::Builder::new()
                .name("level-party-remote-blocker".into())
                .spawn(move || note(&server, host, pid, waited));
            if let Err(error) = asking {
                let what =
                    format!("cannot start a thread that asks what a write waits for: {error}");
                self.server.note(&Error::new(ErrorKind::Io, what));
            }
        }
        self.asks_at
    }
}

/// Notes what holds backend `pid` up, and has for as long as it `waited`.
fn note(server: &Server, host: usize, pid: i32, waited: Duration) {
    let deadline = Instant::now() + ANSWER;
    let asked = server.read(deadline, true, |link| {
        if link.host != host {
            return Ok(None); // The other was lost.
        }
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 2] =
            [&pid, &waited.as_secs_f64()];
        let rows = link.query(&server.sql, Sql::BLOCKER, &parameters, deadline)?;
        rows.first().map(sentence).transpose().map_err(Failure::of)
    });
    match asked {
        Ok(None) => {}
        Ok(Some(what)) => server.note(&Error::new(ErrorKind::Timeout, what)),
        Err(error) => server.note(&error),
    }
}

fn sentence(row: &Row) -> Result<String, tokio_postgres::Error> {
    let pid: i32 = row.try_get(0)?;
    if pid == 0 {
        return Ok("writes wait for a prepared transaction (see pg_prepared_xacts)".to_owned());
    }
    // What the server does not tell this user is left out.
    let said = |at: usize, before: &str| -> Result<String, tokio_postgres::Error> {
        let text: Option<String> = row.try_get(at)?;
        let text = text.filter(|text| !text.is_empty());
        Ok(text.map_or_else(String::new, |text| format!("{before}{text}")))
    };
    let ended: Option<bool> = row.try_get(7)?;
    let so = match ended {
        Some(true) => "; its client sent half a call, and it was ended".to_owned(),
        _ => format!("; end its transaction, or SELECT pg_terminate_backend({pid})"),
    };
    Ok(format!(
        "writes wait for the lock that backend {pid} of PostgreSQL holds{}{}{}{}{}{}{so}",
        said(1, ", application ")?,
        said(2, ", user ")?,
        said(3, ", at ")?,
        said(4, ", in a transaction since ")?,
        said(5, ", ")?,
        said(6, ", waiting for ")?,
    ))
}
