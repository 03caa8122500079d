//! `batch`: several operations as one write.

use std::io::{BufRead, BufReader, Read};

use clap::Args;
use level_party::WriteBatch;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::args::{ByteArg, Creating, Syncing, Target, bytes};
use crate::coding::{Coding, Encoding};
use crate::failure::{Failure, Result};
use crate::input::stdin_of;
use crate::json::complaint;
use crate::keyspace::{Ops, Run, Within};
use crate::output::Report;
use crate::text::{counted, printable};

/// Bytes of input read at most: the largest batch in its longest form is about six times as long.
const INPUT_BYTES: u64 = 8 * WriteBatch::MAX_BYTES as u64;

/// Put and delete keys in one write, which takes effect as a whole or not at all.
///
/// Operations are given as words (`put KEY VALUE` and `del KEY`, any number in turn; `delete` is `del`), or, without words, as JSON lines on standard input: {"type":"put","key":..,"value":..} and {"type":"del","key":..}, as in `exec`. A line may name a sublevel of its own: "sublevel":["users"]. They apply in their order.
#[expect(
    clippy::doc_link_with_quotes,
    reason = "JSON in a help text, not a link"
)]
#[derive(Args, Debug)]
pub struct BatchCommand {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    creating: Creating,
    #[command(flatten)]
    syncing: Syncing,
    #[command(flatten)]
    coding: Coding,
    #[command(flatten)]
    within: Within,

    /// `put KEY VALUE` and `del KEY`, in turn
    #[arg(value_name = "OPERATION", value_parser = bytes(), allow_negative_numbers = true)]
    words: Vec<ByteArg>,

    #[command(flatten)]
    report: Report,
}

impl BatchCommand {
    /// Writes the operations.
    pub fn run(self) -> Result<()> {
        let ops = match self.words.is_empty() {
            true => from_lines(stdin_of("operations in JSON").lock(), self.coding)?,
            false => from_words(&self.words, self.coding)?,
        };
        let count = ops.count();
        let db = self.target.open_for_writing(self.creating)?;
        let mut batch = ops
            .whole(&self.within.of(&db)?)
            .map_err(|error| wrong(&error.to_string()))?;
        db.write(batch.sync(self.syncing.sync))?;
        self.report.tell(
            &json!({"operations": count}),
            format_args!("applied {}", counted(count, "operation", "operations")),
        )
    }
}

fn from_words(words: &[ByteArg], coding: Coding) -> Result<Ops> {
    let mut run = Run::default();
    let mut rest = words;
    while let Some((word, after)) = rest.split_first() {
        rest = match (word.0.as_slice(), after) {
            (b"put", [key, value, after @ ..]) => {
                run.put(&coding.key(key)?, &coding.value(value)?);
                after
            }
            (b"del" | b"delete", [key, after @ ..]) => {
                run.delete(&coding.key(key)?);
                after
            }
            (b"put", _) => return Err(wrong("`put` needs a key and a value")),
            (b"del" | b"delete", _) => return Err(wrong("`del` needs a key")),
            (other, _) => {
                let other = printable(other, &[]);
                return Err(wrong(&format!(
                    "{other:?} is no operation: give `put KEY VALUE` or `del KEY`"
                )));
            }
        };
    }
    Ok(Ops::here(run))
}

fn wrong(what: &str) -> Failure {
    Failure::Usage(format!("{what}; nothing was written"))
}

/// A line. Not an enum with a tag: such a one copies its fields, and raw JSON is only had from the line itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation<'a> {
    r#type: String,
    sublevel: Option<Vec<String>>,
    #[serde(borrow)]
    key: Option<&'a RawValue>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

fn from_lines(input: impl Read, coding: Coding) -> Result<Ops> {
    let mut input = BufReader::new(input.take(INPUT_BYTES));
    let mut ops = Ops::default();
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let wrong = |why: String| wrong(&format!("line {number}: {why}"));
        let read = input.read_until(b'\n', &mut line);
        if read.map_err(|error| wrong(format!("it cannot be read: {error}")))? == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        add(&mut ops, &line, coding).map_err(wrong)?;
        if ops.byte_size() > WriteBatch::MAX_BYTES {
            return Err(wrong(format!(
                "the batch is over {} bytes here; split it, or use `import`",
                WriteBatch::MAX_BYTES
            )));
        }
    }
    Ok(ops)
}

fn add(ops: &mut Ops, line: &[u8], coding: Coding) -> std::result::Result<(), String> {
    let text = std::str::from_utf8(line)
        .map_err(|_| r#"it is not UTF-8; write such a key or value as {"base64":".."}"#)?;
    let operation: Operation<'_> = serde_json::from_str(text.trim_ascii_end()).map_err(|error| {
        format!(
            r#"{}; a line is {{"type":"put","key":..,"value":..}} or {{"type":"del","key":..}}"#,
            complaint(&error)
        )
    })?;
    let field = |name: &str, field: Option<&RawValue>, encoding: Encoding| {
        let field = field.ok_or_else(|| format!("the field {name:?} is missing"))?;
        encoding
            .read_json(field)
            .map_err(|why| format!("the field {name:?}: {why}"))
    };
    let key = field("key", operation.key, coding.key)?;
    let run = ops.within(operation.sublevel);
    match operation.r#type.as_str() {
        "put" => {
            let value = field("value", operation.value, coding.value)?;
            run.put(&key, &value);
        }
        "del" | "delete" if operation.value.is_some() => {
            return Err("a delete has no value".into());
        }
        "del" | "delete" => {
            run.delete(&key);
        }
        other => {
            return Err(format!(
                r#"the type {other:?} is none: give "put" or "del""#
            ));
        }
    }
    Ok(())
}
