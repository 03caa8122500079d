//! An answer line: `id` as it was given, `ok`, and what the operation yields.

use std::io::Write;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::request::Refusal;
use crate::failure::{Failure, Result};
use crate::json::Bytes;
use crate::output::Output;

/// What is said to a request.
pub enum Answer {
    /// Done, and nothing to tell.
    Done,
    /// The value of a key.
    Value(Option<Vec<u8>>),
    /// The values of several keys.
    Values(Vec<Option<Vec<u8>>>),
    /// One field with a number or a truth.
    Field(&'static str, Value),
    /// The entries of a scan.
    Entries(Entries),
    /// Any other fields.
    Fields(Map<String, Value>),
    /// It failed, with a kind for programs and a sentence for people.
    Failed { kind: &'static str, message: String },
}

impl Answer {
    /// A request that cannot be understood or done.
    pub fn refused(refusal: Refusal) -> Self {
        Answer::Failed {
            kind: level_party::ErrorKind::InvalidArgument.as_str(),
            message: refusal.0,
        }
    }

    /// An operation that the database failed.
    pub fn failed(error: level_party::Error) -> Self {
        Answer::Failed {
            kind: error.kind().as_str(),
            message: error.to_string(),
        }
    }

    /// A failure of this program.
    pub fn internal(failure: &Failure) -> Self {
        let message = match failure {
            Failure::Usage(message) | Failure::Database(message) => message.clone(),
            Failure::Difference | Failure::Interrupted | Failure::BrokenPipe => {
                "the answer could not be made".into()
            }
        };
        Answer::Failed {
            kind: level_party::ErrorKind::Io.as_str(),
            message,
        }
    }

    /// A request that names something which is not there, or that the database failed.
    pub fn of_trouble(trouble: super::Trouble) -> Self {
        match trouble {
            super::Trouble::Request(refusal) => Answer::refused(refusal),
            super::Trouble::Database(error) => Answer::failed(error),
        }
    }

    /// Writes the line and passes it on.
    pub fn write<W: Write>(self, id: Option<&RawValue>, output: &mut Output<W>) -> Result<()> {
        output.bytes(&self.line(id)?)?;
        output.flush()
    }

    fn line(self, id: Option<&RawValue>) -> Result<Vec<u8>> {
        let mut line = b"{".to_vec();
        if let Some(id) = id {
            line.extend_from_slice(b"\"id\":");
            line.extend_from_slice(id.get().as_bytes());
            line.push(b',');
        }
        let ok = !matches!(self, Answer::Failed { .. });
        line.extend_from_slice(if ok { b"\"ok\":true" } else { b"\"ok\":false" });
        match &self {
            Answer::Done => {}
            Answer::Value(value) => field(&mut line, "value", &value.as_deref().map(Bytes))?,
            Answer::Values(values) => {
                let values: Vec<_> = values.iter().map(|v| v.as_deref().map(Bytes)).collect();
                field(&mut line, "values", &values)?;
            }
            Answer::Field(name, value) => field(&mut line, name, value)?,
            Answer::Entries(entries) => {
                line.extend_from_slice(match entries.keys {
                    true => b",\"keys\":",
                    false => b",\"entries\":",
                });
                line.extend_from_slice(&entries.json);
                line.push(b']');
            }
            Answer::Fields(fields) => {
                for (name, value) in fields {
                    field(&mut line, name, value)?;
                }
            }
            Answer::Failed { kind, message } => {
                field(
                    &mut line,
                    "error",
                    &json!({"kind": kind, "message": message}),
                )?;
            }
        }
        line.extend_from_slice(b"}\n");
        Ok(line)
    }
}

/// The entries of a scan's answer, or their keys, kept as the JSON that they become.
pub struct Entries {
    keys: bool,
    json: Vec<u8>,
}

impl Entries {
    /// Bytes of JSON in one answer at most, so that a scan of everything cannot take all memory.
    pub const LIMIT: usize = 64 << 20;

    /// None yet; `keys`: there are to be keys alone.
    pub fn new(keys: bool) -> Self {
        Entries {
            keys,
            json: b"[".to_vec(),
        }
    }

    /// Adds an entry, or says that the answer is too large.
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> bool {
        if self.json.len() > 1 {
            self.json.push(b',');
        }
        let written = match self.keys {
            true => serde_json::to_writer(&mut self.json, &Bytes(key)),
            false => serde_json::to_writer(&mut self.json, &(Bytes(key), Bytes(value))),
        };
        written.is_ok() && self.json.len() < Self::LIMIT
    }
}

/// Adds a field to the object that `line` is becoming.
fn field(line: &mut Vec<u8>, name: &str, value: &impl Serialize) -> Result<()> {
    line.push(b',');
    append(line, &name)?;
    line.push(b':');
    append(line, value)
}

fn append(line: &mut Vec<u8>, what: &impl Serialize) -> Result<()> {
    serde_json::to_writer(line, what).map_err(|error| Failure::output(error.into()))
}
