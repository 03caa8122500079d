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
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Connection, Row, Socket, Statement};

use super::config::Connector;
use super::failure::{Failure, lost};
use super::hosts::{Hosts, Stream};
use super::schema::{APART, LAYOUT, Sql};
use crate::answer::{History, Moment};
use crate::error::{Error, ErrorKind, Result};

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
    /// Which host of the URL it is to, and the number of its backend there.
    pub host: usize,
    pub pid: i32,
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
    /// A connection to the host to use (`hosts.rs`). Its tables were not looked at.
    pub fn connect(
        connector: &Connector,
        hosts: &Hosts,
        known: &str,
        deadline: Instant,
    ) -> Result<Link> {
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build();
        let runtime = runtime.map_err(|error| {
            let what = format!("cannot set a connection up: {error}");
            Error::new(ErrorKind::Io, what).with_source(error)
        })?;
        let connected = runtime.block_on(hosts.connect(connector, known, deadline))?;
        Ok(Link {
            runtime: Some(runtime),
            client: connected.client,
            connection: connected.connection,
            statements: [const { None }; Sql::COUNT],
            histories: Histories::default(),
            place: connected.place,
            version: connected.version,
            host: connected.host,
            pid: connected.pid,
            warned: false,
            notified: false,
        })
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
    fn old_moment_holds_up_to_where_each_later_history_began() {
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
}
