//! `exec`: hold one handle open and serve one JSON request a line with one JSON answer a line.
//!
//! What it promises (`docs/EXEC.md` has the form): answers come in the order of the requests, each flushed before the
//! next request is read; a wrong request gets an answer too and the program goes on; the end of standard input leaves
//! the directory and ends the program. The events of watches come between the answers, whole lines. What one request or answer may cost is bounded.

mod answer;
mod checks;
mod request;
mod watches;

use std::collections::BTreeMap;
use std::io::{BufRead, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clap::Args;
use level_party::{Db, Readable, Snapshot};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::args::{Creating, Syncing, Target};
use crate::bounds::{self, OnlyKeys, Walk};
use crate::commands::status;
use crate::failure::{Failure, Result};
use crate::input::stdin_of;
use crate::json::ByteBuf;
use crate::keyspace::{Keyspace, Ops, Run};
use crate::output::Output;
use answer::{Answer, Entries};
use checks::WholeCheck;
use request::{Check, Checked, Moment, OPERATIONS, Operation, Refusal, Request};
use watches::Watches;

/// The number of this form of the dialogue. It changes where a request or answer comes to mean something else.
const PROTOCOL: u64 = 1;

/// The longest request line taken. The largest batch that a database takes fits as base64.
const LINE_BYTES: u64 = 256 << 20;

/// Hold a handle open: a JSON request a line in, a JSON answer a line out.
///
/// {"id":1,"op":"put","key":"a","value":"1"} is answered by {"id":1,"ok":true,"sequence":1}. The operations are hello, get,
/// get_many, contains, put, delete, batch, cas, transaction, scan, count, clear, watch, unwatch, snapshot, release, status and checkpoint; docs/EXEC.md describes them. The end of standard input ends the program.
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
        let output = Arc::new(Mutex::new(Output::new(std::io::stdout(), false)));
        let mut server = Server {
            db,
            sync: self.syncing.sync,
            snapshots: BTreeMap::new(),
            next_snapshot: 1,
            watches: Watches::new(output.clone()),
        };
        let served = serve(stdin_of("requests").lock(), &output, &mut server);
        server.watches.close_all();
        served
    }
}

/// What answers requests.
trait Dialogue {
    fn answer(&mut self, request: Request<'_>) -> Answer;

    /// The answer has been written.
    fn answered(&mut self) {}
}

/// Reads requests, has each answered, and writes the answers.
fn serve<W: Write>(
    mut input: impl BufRead,
    output: &Mutex<Output<W>>,
    dialogue: &mut impl Dialogue,
) -> Result<()> {
    let write = |answer: Answer, id: Option<&RawValue>| answer.write(id, &mut lock(output));
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
            write(refusal, None)?;
            continue;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match Request::parse(&line) {
            Ok(request) => {
                let id = request.id;
                write(dialogue.answer(request), id)?;
                dialogue.answered();
            }
            Err((id, refusal)) => write(Answer::refused(refusal), id)?,
        }
    }
}

/// The output, whatever became of a thread that had it.
fn lock<W: Write>(output: &Mutex<Output<W>>) -> MutexGuard<'_, Output<W>> {
    output.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The handle that all requests share.
struct Server {
    db: Db,
    sync: bool,
    /// The snapshots that the dialogue holds, by number.
    snapshots: BTreeMap<u64, Snapshot>,
    next_snapshot: u64,
    watches: Watches,
}

impl Dialogue for Server {
    fn answer(&mut self, request: Request<'_>) -> Answer {
        self.perform(request).unwrap_or_else(Answer::of_trouble)
    }

    fn answered(&mut self) {
        self.watches.begin();
    }
}

impl Server {
    fn perform(&mut self, request: Request<'_>) -> Performed {
        let keyspace = Keyspace::of(&self.db, &request.sublevel)?;
        match request.operation {
            Operation::Watch { walk, from } => {
                let position = self.watches.open(request.id, &keyspace, &walk, from)?;
                Ok(Answer::Field("position", position.to_string().into()))
            }
            Operation::Unwatch { watch } => {
                self.watches.close(&watch)?;
                Ok(Answer::Done)
            }
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
            Operation::Checkpoint { to } => {
                let sequence = self.db.checkpoint(to)?;
                Ok(Answer::Field("sequence", sequence.into()))
            }
            Operation::Hello => Ok(Answer::Fields(hello())),
            operation => match self.read(&keyspace, operation)? {
                Ok(answer) => Ok(answer),
                Err(operation) => self.write(&keyspace, operation),
            },
        }
    }

    /// Performs an operation that reads; another one comes back.
    fn read(
        &self,
        keyspace: &Keyspace,
        operation: Operation,
    ) -> std::result::Result<std::result::Result<Answer, Operation>, Trouble> {
        Ok(Ok(match operation {
            Operation::Get { key, at } => Answer::Value(match at {
                None => keyspace.get(&key)?,
                Some(number) => keyspace.at(self.snapshot(number)?).get(key)?,
            }),
            Operation::Contains { key, at } => {
                let found = match at {
                    None => keyspace.contains(&key)?,
                    Some(number) => keyspace.at(self.snapshot(number)?).contains(key)?,
                };
                Answer::Field("found", found.into())
            }
            Operation::GetMany { keys, at } => {
                let keys = keys.iter().map(|key| &key.0);
                Answer::Values(match at {
                    None => keyspace.get_many(keys)?,
                    Some(number) => keyspace.at(self.snapshot(number)?).get_many(keys)?,
                })
            }
            Operation::Scan { walk, keys, at } => self.scan(keyspace, &walk, keys, at)?,
            Operation::Count { walk, at } => {
                let mut count: u64 = 0;
                for key in self.keys(keyspace, &walk, at)? {
                    key?;
                    count += 1;
                }
                Answer::Field("count", count.into())
            }
            operation => return Ok(Err(operation)),
        }))
    }

    fn write(&self, keyspace: &Keyspace, operation: Operation) -> Performed {
        match operation {
            Operation::Write { ops, sync } => {
                let mut batch = ops.whole(keyspace)?;
                batch.sync(sync.unwrap_or(self.sync));
                let sequence = self.db.write_sequenced(&batch)?;
                Ok(Answer::Field("sequence", sequence.into()))
            }
            Operation::Cas {
                key,
                expected,
                value,
                sync,
            } => {
                let swapped = self.swap(keyspace, key, expected, value, sync)?;
                Ok(Answer::Field("swapped", swapped.into()))
            }
            Operation::Transaction { checks, ops, sync } => {
                let committed = self.transact(keyspace, &checks, ops, sync)?;
                Ok(Answer::Field("committed", committed.into()))
            }
            Operation::Clear { walk } => {
                let removed = match walk.bounds() {
                    Some(bounds) => keyspace.clear(bounds)?,
                    None => 0,
                };
                Ok(Answer::Field("removed", removed.into()))
            }
            _ => Err(Trouble::Request(Refusal::new(
                "this operation writes nothing",
            ))),
        }
    }

    fn snapshot(&self, number: u64) -> std::result::Result<&Snapshot, Trouble> {
        self.snapshots.get(&number).ok_or_else(|| {
            Trouble::Request(Refusal::new(format!(
                "there is no snapshot {number}: take one with {{\"op\":\"snapshot\"}}"
            )))
        })
    }

    /// Sets `key` to `value` if it holds `expected`. A swap is never synced; a transaction can be.
    fn swap(
        &self,
        keyspace: &Keyspace,
        key: Vec<u8>,
        expected: Option<ByteBuf>,
        value: Option<ByteBuf>,
        sync: Option<bool>,
    ) -> level_party::Result<bool> {
        if !sync.unwrap_or(self.sync) {
            let [expected, value] = [&expected, &value].map(|v| v.as_ref().map(|b| &b.0[..]));
            return keyspace.compare_and_swap(&key, expected, value);
        }
        let mut run = Run::default();
        match value {
            Some(value) => run.put(&key, &value.0),
            None => run.delete(&key),
        }
        let check = Check {
            sublevel: None,
            what: Checked::Key(key, expected.map(|value| value.0)),
        };
        self.transact(keyspace, &[check], Ops::here(run), Some(true))
    }

    /// Applies `ops` if every check holds. False: one does not.
    fn transact(
        &self,
        keyspace: &Keyspace,
        checks: &[Check],
        ops: Ops,
        sync: Option<bool>,
    ) -> level_party::Result<bool> {
        let mut batch = ops.whole(keyspace)?;
        batch.sync(sync.unwrap_or(self.sync));
        let checks = checks.iter().map(|check| WholeCheck::of(check, keyspace));
        let checks = checks.collect::<level_party::Result<Vec<_>>>()?;
        let keys = checks.iter().filter_map(WholeCheck::key);
        let (keys, expected): (Vec<_>, Vec<_>) = keys.unzip();
        self.db.transaction(|tx| {
            let found = tx.get_many(&keys)?;
            if !found
                .iter()
                .map(Option::as_ref)
                .eq(expected.iter().copied())
            {
                return Ok(false);
            }
            for check in &checks {
                if !check.range_holds(tx)? {
                    return Ok(false);
                }
            }
            tx.write(&batch)?;
            Ok(true)
        })
    }

    fn keys(
        &self,
        keyspace: &Keyspace,
        walk: &Walk,
        at: Moment,
    ) -> std::result::Result<OnlyKeys, Trouble> {
        Ok(match at {
            None => walk.keys(keyspace),
            Some(number) => walk.keys_at(keyspace, self.snapshot(number)?),
        })
    }

    fn scan(&self, keyspace: &Keyspace, walk: &Walk, keys: bool, at: Moment) -> Performed {
        let mut entries = Entries::new(keys);
        let walked: bounds::Entries = match (keys, at) {
            (true, at) => Box::new(
                self.keys(keyspace, walk, at)?
                    .map(|key| Ok((key?, Vec::new()))),
            ),
            (false, None) => walk.entries(keyspace),
            (false, Some(number)) => walk.entries_at(keyspace, self.snapshot(number)?),
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

/// What this program and its dialogue are.
fn hello() -> Map<String, Value> {
    let fields = [
        ("program", Value::from("level-party")),
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("protocol", PROTOCOL.into()),
        ("operations", OPERATIONS.to_vec().into()),
    ];
    fields
        .map(|(name, value)| (name.to_string(), value))
        .into_iter()
        .collect()
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
