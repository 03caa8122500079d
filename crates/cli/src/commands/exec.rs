//! `exec`: hold one handle open and serve one JSON request a line with one JSON answer a line.
//!
//! What it promises (`docs/EXEC.md` has the form): answers come in the order of the requests, each flushed before the
//! next request is read; a wrong request gets an answer too and the program goes on; the end of standard input leaves
//! the directory and ends the program. What one request or answer may cost is bounded.

mod answer;
mod request;

use std::io::{BufRead, Read, Write};

use clap::Args;
use level_party::{Db, WriteBatch, WriteOptions};

use crate::args::{Creating, Syncing, Target};
use crate::bounds::Walk;
use crate::commands::status;
use crate::failure::{Failure, Result};
use crate::output::Output;
use answer::{Answer, Entries};
use request::{Operation, Refusal, Request};

/// The longest request line taken. The largest batch that a database takes fits as base64.
const LINE_BYTES: u64 = 256 << 20;

/// Hold a handle open: a JSON request a line in, a JSON answer a line out.
///
/// {"id":1,"op":"put","key":"a","value":"1"} is answered by {"id":1,"ok":true}. The operations are get, put, delete,
/// batch, scan and status; docs/EXEC.md describes them. The end of standard input ends the program.
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
}

impl Server {
    fn answer(&mut self, operation: Operation) -> Answer {
        self.perform(operation).unwrap_or_else(Answer::failed)
    }

    fn perform(&mut self, operation: Operation) -> level_party::Result<Answer> {
        match operation {
            Operation::Get { key } => self.db.get(key).map(Answer::Value),
            Operation::Write { batch, sync } => self.write(&batch, sync),
            Operation::Scan(walk) => self.scan(&walk),
            Operation::Status => {
                let status = self.db.status()?;
                Ok(status::fields(&status)
                    .map_or_else(|failure| Answer::internal(&failure), Answer::Fields))
            }
        }
    }

    fn write(&self, batch: &WriteBatch, sync: Option<bool>) -> level_party::Result<Answer> {
        let options = WriteOptions::default().sync(sync.unwrap_or(self.sync));
        self.db.write(batch, options).map(|()| Answer::Done)
    }

    fn scan(&self, walk: &Walk) -> level_party::Result<Answer> {
        let mut entries = Entries::new();
        for entry in walk.entries(&self.db) {
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

#[cfg(test)]
mod tests;
