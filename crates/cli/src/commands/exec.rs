//! `exec`: hold one handle open and serve one JSON request a line with one JSON answer a line.
//!
//! What it promises (`docs/EXEC.md` has the form): answers come in the order of the requests, each flushed before the
//! next request is read; a wrong request gets an answer too and the program goes on; the end of standard input leaves
//! the directory and ends the program. What one request or answer may cost is bounded.

mod answer;
mod request;

use std::collections::BTreeMap;
use std::io::{BufRead, Read, Write};

use clap::Args;
use level_party::{Db, Op, Snapshot, WriteBatch, WriteOptions};

use crate::args::{Creating, Syncing, Target};
use crate::bounds::Walk;
use crate::commands::status;
use crate::failure::{Failure, Result};
use crate::json::ByteBuf;
use crate::output::Output;
use answer::{Answer, Entries};
use request::{Check, Moment, Operation, Refusal, Request};

/// The longest request line taken. The largest batch that a database takes fits as base64.
const LINE_BYTES: u64 = 256 << 20;

/// Hold a handle open: a JSON request a line in, a JSON answer a line out.
///
/// {"id":1,"op":"put","key":"a","value":"1"} is answered by {"id":1,"ok":true}. The operations are get, get_many,
/// contains, put, delete, batch, cas, transaction, scan, snapshot, release and status; docs/EXEC.md describes them. The end of standard input ends the program.
#[derive(Args, Debug)]
pub struct Exec {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    creating: Creating,
    #[command(flatten)]
    syncing: Syncing,
}

impl Exec {
    /// Serves standard input to its end.
    pub fn run(self) -> Result<()> {
        let db = self.target.open_for_writing(self.creating)?;
        let mut server = Server {
            db,
            sync: self.syncing.sync,
            snapshots: BTreeMap::new(),
            next_snapshot: 1,
        };
        serve(std::io::stdin().lock(), &mut Output::stdout(), |request| {
            server.answer(request)
        })?;
        Ok(server.db.close()?)
    }
}

/// Reads requests, has each answered, and writes the answers.
fn serve<W: Write>(
    mut input: impl BufRead,
    output: &mut Output<W>,
    mut answer: impl FnMut(Operation) -> Answer,
) -> Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut input).take(LINE_BYTES).read_until(b'\n', &mut line);
        let read = read.map_err(|error| {
            Failure::Database(format!("standard input cannot be read: {error}"))
        })?;
        if read == 0 {
            return Ok(());
        }
        if read as u64 == LINE_BYTES && line.last() != Some(&b'\n') {
            line.clear();
            input
                .skip_until(b'\n')
                .map_err(|e| Failure::Database(format!("standard input cannot be read: {e}")))?;
            let refusal = Answer::refused(Refusal::new(format!(
                "a request line is at most {LINE_BYTES} bytes"
            )));
            refusal.write(None, output)?;
            continue;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match Request::parse(&line) {
            Ok(request) => answer(request.operation).write(request.id, output)?,
            Err((id, refusal)) => Answer::refused(refusal).write(id, output)?,
        }
    }
}

/// The handle that all requests share.
struct Server {
    db: Db,
    sync: bool,
    /// The snapshots that the dialogue holds, by number.
    snapshots: BTreeMap<u64, Snapshot>,
    next_snapshot: u64,
}

impl Server {
    fn answer(&mut self, operation: Operation) -> Answer {
        match self.perform(operation) {
            Ok(answer) => answer,
            Err(Trouble::Request(refusal)) => Answer::refused(refusal),
            Err(Trouble::Database(error)) => Answer::failed(error),
        }
    }

    fn perform(&mut self, operation: Operation) -> Performed {
        match operation {
            Operation::Get { key, at } => Ok(Answer::Value(match at {
                None => self.db.get(key)?,
                Some(number) => self.snapshot(number)?.get(key)?,
            })),
            Operation::Contains { key, at } => {
                let found = match at {
                    None => self.db.contains(key)?,
                    Some(number) => self.snapshot(number)?.contains(key)?,
                };
                Ok(Answer::Field("found", found.into()))
            }
            Operation::GetMany { keys, at } => {
                let keys = keys.iter().map(|key| &key.0);
                Ok(Answer::Values(match at {
                    None => self.db.get_many(keys)?,
                    Some(number) => self.snapshot(number)?.get_many(keys)?,
                }))
            }
            Operation::Write { batch, sync } => {
                self.db.write(&batch, self.options(sync))?;
                Ok(Answer::Done)
            }
            Operation::Cas {
                key,
                expected,
                value,
                sync,
            } => {
                let swapped = self.swap(key, expected, value, sync)?;
                Ok(Answer::Field("swapped", swapped.into()))
            }
            Operation::Transaction {
                checks,
                batch,
                sync,
            } => {
                let committed = self.transact(&checks, &batch, sync)?;
                Ok(Answer::Field("committed", committed.into()))
            }
            Operation::Scan { walk, at } => self.scan(&walk, at),
            Operation::Snapshot => {
                let number = self.next_snapshot;
                self.snapshots.insert(number, self.db.snapshot()?);
                self.next_snapshot += 1;
                Ok(Answer::Field("snapshot", number.into()))
            }
            Operation::Release { snapshot } => {
                self.snapshot(snapshot)?;
                self.snapshots.remove(&snapshot);
                Ok(Answer::Done)
            }
            Operation::Status => {
                let status = self.db.status()?;
                Ok(status::fields(&status)
                    .map_or_else(|failure| Answer::internal(&failure), Answer::Fields))
            }
        }
    }

    fn options(&self, sync: Option<bool>) -> WriteOptions {
        WriteOptions::default().sync(sync.unwrap_or(self.sync))
    }

    fn snapshot(&self, number: u64) -> std::result::Result<&Snapshot, Trouble> {
        self.snapshots.get(&number).ok_or_else(|| {
            Trouble::Request(Refusal::new(format!(
                "there is no snapshot {number}: take one with {{\"op\":\"snapshot\"}}"
            )))
        })
    }

    /// Sets `key` to `value` if it holds `expected`. What is to be synced is a transaction: a swap alone is not.
    fn swap(
        &self,
        key: Vec<u8>,
        expected: Option<ByteBuf>,
        value: Option<ByteBuf>,
        sync: Option<bool>,
    ) -> level_party::Result<bool> {
        if !self.options(sync).sync {
            let [expected, value] = [&expected, &value].map(|v| v.as_ref().map(|b| &b.0[..]));
            return self.db.compare_and_swap(key, expected, value);
        }
        let mut batch = WriteBatch::new();
        match value {
            Some(value) => batch.put(&key, &value.0),
            None => batch.delete(&key),
        }
        let check = Check {
            key: ByteBuf(key),
            value: expected,
        };
        self.transact(&[check], &batch, Some(true))
    }

    /// Applies `batch` if every check holds. False: one does not.
    fn transact(
        &self,
        checks: &[Check],
        batch: &WriteBatch,
        sync: Option<bool>,
    ) -> level_party::Result<bool> {
        let sync = self.options(sync).sync;
        self.db.transaction(|tx| {
            tx.sync(sync);
            let found = tx.get_many(checks.iter().map(|check| &check.key.0))?;
            let expected = checks
                .iter()
                .map(|check| check.value.as_ref().map(|v| &v.0));
            if !found.iter().map(Option::as_ref).eq(expected) {
                return Ok(false);
            }
            for op in batch.iter() {
                match op {
                    Op::Put { key, value } => tx.put(key, value)?,
                    Op::Delete { key } => tx.delete(key)?,
                }
            }
            Ok(true)
        })
    }

    fn scan(&self, walk: &Walk, at: Moment) -> Performed {
        let mut entries = Entries::new();
        let walked = match at {
            None => walk.entries(&self.db),
            Some(number) => walk.entries_at(self.snapshot(number)?),
        };
        for entry in walked {
            let (key, value) = entry?;
            if !entries.push(&key, &value) {
                return Ok(Answer::refused(Refusal::new(format!(
                    "the answer would be over {} bytes; read on in parts with \"limit\" and \"gt\"",
                    Entries::LIMIT
                ))));
            }
        }
        Ok(Answer::Entries(entries))
    }
}

/// What an operation comes to.
type Performed = std::result::Result<Answer, Trouble>;

/// Why an operation was not performed.
enum Trouble {
    Request(Refusal),
    Database(level_party::Error),
}

impl From<level_party::Error> for Trouble {
    fn from(error: level_party::Error) -> Self {
        Trouble::Database(error)
    }
}

#[cfg(test)]
mod tests;
