//! `watch`: print changes as they are committed, by whichever process.

use clap::Args;
use level_party::{Change, ErrorKind, Position, WatchFrom, WatchItem};
use serde_json::json;

use crate::args::{Span, Target, whole};
use crate::coding::{Coding, InJson};
use crate::failure::{Failure, Result, say};
use crate::keyspace::Within;
use crate::output::{Output, Part};
use crate::stop;

/// Print changes as they are committed, by whichever process, until Ctrl-C.
///
/// A line each: sequence number, put or del, key, value. At the end the position is said on standard error: `--since` goes on after it without missing a change, as long as the leader keeps that many (--json has a position in each line). Changes that are no longer kept are a line of their own: `gap`, the first that is missing, the first that is told.
#[derive(Args, Debug)]
pub struct WatchCommand {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    coding: Coding,
    #[command(flatten)]
    within: Within,

    /// Where to begin: `now`, `beginning` (the oldest change still kept), or the sequence number or position of the last change you know: it begins after that
    #[arg(long, value_name = "POSITION", default_value = "now", value_parser = since)]
    since: WatchFrom,
    /// Stop after so many changes
    #[arg(long, value_name = "N", value_parser = whole)]
    limit: Option<u64>,
    /// Print lines of JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    span: Span,
}

fn since(text: &str) -> std::result::Result<WatchFrom, String> {
    match text {
        "now" => Ok(WatchFrom::Now),
        "beginning" => Ok(WatchFrom::Beginning),
        _ => text
            .parse::<Position>()
            .map(WatchFrom::After)
            .map_err(|error| error.to_string()),
    }
}

#[derive(serde::Serialize)]
struct Line<'a> {
    sequence: u64,
    r#type: &'static str,
    key: InJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<InJson<'a>>,
    position: Position,
}

impl WatchCommand {
    /// Prints until it is stopped.
    pub fn run(self) -> Result<()> {
        let walk = self.span.walk(self.coding)?;
        let db = self.target.open_to_view()?;
        let keyspace = self.within.of(&db)?;
        let mut watch = keyspace.watch(&walk, self.since)?;
        let closer = watch.closer();
        stop::instead(move || closer.close());
        let mut output = Output::stdout().coded(self.coding);
        let mut left = self.limit.unwrap_or(u64::MAX);
        while left > 0 {
            let item = match watch.next() {
                Some(Ok(item)) => item,
                Some(Err(error)) if error.kind() == ErrorKind::Timeout => {
                    say(format_args!("{error}; the watch goes on"));
                    continue;
                }
                Some(Err(error)) if error.kind() == ErrorKind::Closed && stop::asked() => break,
                Some(Err(error)) => {
                    output.flush()?;
                    let again = format!("hint: go on with --since {}", watch.position());
                    return Err(Failure::from(error).and(again));
                }
                None => break,
            };
            let position = watch.position();
            match item {
                WatchItem::Change(change) => {
                    let key = change
                        .key
                        .get(keyspace.prefix().len()..)
                        .unwrap_or_default();
                    self.print(&mut output, &change, key, position)?;
                    left -= 1;
                }
                WatchItem::Gap { from, resume } if self.json => output.json(
                    &json!({"type": "gap", "from": from, "resume": resume, "position": position}),
                )?,
                WatchItem::Gap { from, resume } => {
                    output.line(format_args!("gap\t{from}\t{resume}"))?;
                }
                _ => {}
            }
            output.flush()?;
        }
        say(format_args!("position: {}", watch.position()));
        match left {
            0 => Ok(()),
            _ => Err(Failure::Interrupted), // Nothing else ends a watch.
        }
    }

    fn print(
        &self,
        output: &mut Output,
        change: &Change,
        key: &[u8],
        position: Position,
    ) -> Result<()> {
        let kind = if change.value.is_some() { "put" } else { "del" };
        if self.json {
            let value = change.value.as_deref();
            let value = value.map(|value| self.coding.value.json(value));
            return output.json(&Line {
                sequence: change.sequence,
                r#type: kind,
                key: self.coding.key.json(key)?,
                value: value.transpose()?,
                position,
            });
        }
        output.bytes(format!("{}\t{kind}\t", change.sequence).as_bytes())?;
        match &change.value {
            Some(value) => output.entry(Part::Both, key, value),
            None => output.entry(Part::Key, key, b""),
        }
    }
}
