//! A request line, read strictly: an unknown operation, an unknown or missing field and a field given twice are
//! refused with a sentence that says what to send instead. A misspelt `limit` must not silently mean "everything".

use std::fmt;

use level_party::{Position, WatchFrom};
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::bounds::Walk;
use crate::json::{ByteBuf, complaint, complaint_inside};
use crate::keyspace::{Ops, Run};

/// What a request asks for.
#[derive(Debug)]
pub enum Operation {
    Get {
        key: Vec<u8>,
        at: Moment,
    },
    Contains {
        key: Vec<u8>,
        at: Moment,
    },
    GetMany {
        keys: Vec<ByteBuf>,
        at: Moment,
    },
    /// `put`, `delete` and `batch`; `sync` where the request says it.
    Write {
        ops: Ops,
        sync: Option<bool>,
    },
    Cas {
        key: Vec<u8>,
        expected: Option<ByteBuf>,
        value: Option<ByteBuf>,
        sync: Option<bool>,
    },
    /// `ops` if every key of `checks` holds what it says.
    Transaction {
        checks: Vec<Check>,
        ops: Ops,
        sync: Option<bool>,
    },
    /// `keys`: without the values.
    Scan {
        walk: Walk,
        keys: bool,
        at: Moment,
    },
    Count {
        walk: Walk,
        at: Moment,
    },
    Clear {
        walk: Walk,
    },
    Watch {
        walk: Walk,
        from: WatchFrom,
    },
    /// The watch that the request with this id began.
    Unwatch {
        watch: String,
    },
    Snapshot,
    Release {
        snapshot: u64,
    },
    Status,
    /// A copy of the database in this directory.
    Checkpoint {
        to: String,
    },
    Hello,
}

/// The number of a snapshot that the dialogue took, or the newest state.
pub type Moment = Option<u64>;

/// What must hold for a transaction to commit.
#[derive(Debug)]
pub struct Check {
    pub sublevel: Option<Vec<String>>,
    pub what: Checked,
}

/// What a check is about.
#[derive(Debug)]
pub enum Checked {
    /// The key holds this value; `None`: nothing.
    Key(Vec<u8>, Option<Vec<u8>>),
    /// A scan gives these entries and no others.
    Range(Walk, Vec<(ByteBuf, ByteBuf)>),
}

/// A request and the id to answer it with.
#[derive(Debug)]
pub struct Request<'a> {
    pub id: Option<&'a RawValue>,
    /// The sublevel that it is about, from the outermost on; none for the whole database.
    pub sublevel: Vec<String>,
    pub operation: Operation,
}

/// Why a request is not understood: a sentence for its author.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal(pub String);

impl Refusal {
    pub fn new(message: impl Into<String>) -> Self {
        Refusal(message.into())
    }
}

/// No operation has as many; it bounds what looking for a field can cost.
const MOST_FIELDS: usize = 64;

/// The operations, as a request names them. `del` is `delete`.
pub const OPERATIONS: [&str; 18] = [
    "hello",
    "get",
    "get_many",
    "contains",
    "put",
    "delete",
    "batch",
    "cas",
    "transaction",
    "scan",
    "count",
    "clear",
    "watch",
    "unwatch",
    "snapshot",
    "release",
    "status",
    "checkpoint",
];

fn all_operations() -> String {
    let (last, others) = OPERATIONS.split_last().expect("there are operations");
    format!("{} or {last}", others.join(", "))
}

impl<'a> Request<'a> {
    /// Reads a line. A refusal carries the id, where there is one to be seen.
    pub fn parse(line: &'a [u8]) -> Result<Self, (Option<&'a RawValue>, Refusal)> {
        let mut fields: Fields<'a> =
            serde_json::from_slice(line.trim_ascii_end()).map_err(|error| {
                let what = complaint(&error);
                (
                    None,
                    Refusal(format!(
                        "not a request: {what}; send one JSON object a line, with an \"op\""
                    )),
                )
            })?;
        let id = fields.take_raw("id");
        match operation(fields) {
            Ok((sublevel, operation)) => Ok(Request {
                id,
                sublevel,
                operation,
            }),
            Err(refusal) => Err((id, refusal)),
        }
    }
}

/// The operations that are about no keys.
const WITHOUT_KEYS: [&str; 6] = [
    "hello",
    "unwatch",
    "snapshot",
    "release",
    "status",
    "checkpoint",
];

fn operation(mut fields: Fields<'_>) -> Result<(Vec<String>, Operation), Refusal> {
    if let Some(name) = &fields.twice {
        return Err(Refusal(format!("the field {name:?} is given twice")));
    }
    let op: String = fields
        .take("op")?
        .ok_or_else(|| Refusal(format!("a request needs an \"op\": {}", all_operations())))?;
    let sublevel = match WITHOUT_KEYS.contains(&op.as_str()) {
        true => None,
        false => fields.take("sublevel")?,
    };
    let operation = match op.as_str() {
        "get" | "get_many" | "contains" | "scan" | "count" => reading(&op, &mut fields)?,
        "put" | "del" | "delete" | "batch" | "cas" | "transaction" | "clear" => {
            writing(&op, &mut fields)?
        }
        "watch" => Operation::Watch {
            walk: bounds(&mut fields)?,
            from: watch_from(&mut fields)?,
        },
        "unwatch" => Operation::Unwatch {
            watch: match fields.take_raw("watch") {
                Some(id) => id.get().to_string(),
                None => return Err(Refusal(r#""unwatch" needs the field "watch""#.into())),
            },
        },
        "snapshot" => Operation::Snapshot,
        "release" => Operation::Release {
            snapshot: fields.need(&op, "snapshot")?,
        },
        "status" => Operation::Status,
        "checkpoint" => Operation::Checkpoint {
            to: fields.need(&op, "to")?,
        },
        "hello" => Operation::Hello,
        _ => {
            let known = all_operations();
            return Err(Refusal(format!("unknown op {op:?}: use {known}")));
        }
    };
    fields.end(&op)?;
    Ok((sublevel.unwrap_or_default(), operation))
}

fn reading(op: &str, fields: &mut Fields<'_>) -> Result<Operation, Refusal> {
    let at = fields.take("snapshot")?;
    Ok(match op {
        "get" => Operation::Get {
            key: fields.need::<ByteBuf>(op, "key")?.0,
            at,
        },
        "contains" => Operation::Contains {
            key: fields.need::<ByteBuf>(op, "key")?.0,
            at,
        },
        "get_many" => Operation::GetMany {
            keys: fields.need(op, "keys")?,
            at,
        },
        "count" => Operation::Count {
            walk: bounds(fields)?,
            at,
        },
        _ => Operation::Scan {
            walk: walk(fields)?,
            keys: fields.take("keys")?.unwrap_or(false),
            at,
        },
    })
}

fn writing(op: &str, fields: &mut Fields<'_>) -> Result<Operation, Refusal> {
    if op == "clear" {
        let walk = bounds(fields)?;
        return Ok(Operation::Clear { walk });
    }
    let sync = fields.take("sync")?;
    let mut run = Run::default();
    Ok(match op {
        "put" => {
            let (key, value): (ByteBuf, ByteBuf) =
                (fields.need(op, "key")?, fields.need(op, "value")?);
            run.put(&key.0, &value.0);
            Operation::Write {
                ops: Ops::here(run),
                sync,
            }
        }
        "batch" => Operation::Write {
            ops: ops(op, fields)?,
            sync,
        },
        "cas" => Operation::Cas {
            key: fields.need::<ByteBuf>(op, "key")?.0,
            expected: fields.need(op, "expected")?,
            value: fields.need(op, "value")?,
            sync,
        },
        "transaction" => Operation::Transaction {
            checks: fields.each(op, "checks", check)?,
            ops: ops(op, fields)?,
            sync,
        },
        _ => {
            run.delete(&fields.need::<ByteBuf>(op, "key")?.0);
            Operation::Write {
                ops: Ops::here(run),
                sync,
            }
        }
    })
}

/// The operations of a batch or transaction.
fn ops(op: &str, fields: &mut Fields<'_>) -> Result<Ops, Refusal> {
    let mut ops = Ops::default();
    fields.each(op, "ops", |mut fields| {
        let kind: String = fields.need("an operation", "type")?;
        let sublevel = fields.take("sublevel")?;
        let key: ByteBuf = fields.need(&kind, "key")?;
        match kind.as_str() {
            "put" => {
                let value: ByteBuf = fields.need(&kind, "value")?;
                ops.within(sublevel).put(&key.0, &value.0);
            }
            "del" | "delete" => {
                ops.within(sublevel).delete(&key.0);
            }
            _ => {
                return Err(Refusal(format!(
                    r#"the type {kind:?} is none: give "put" or "del""#
                )));
            }
        }
        fields.end(&kind)
    })?;
    Ok(ops)
}

fn check(mut fields: Fields<'_>) -> Result<Check, Refusal> {
    const NAME: &str = "a check";
    let sublevel = fields.take("sublevel")?;
    let what = match fields.take::<ByteBuf>("key")? {
        Some(key) => {
            let value: Option<ByteBuf> = fields.need(NAME, "value")?;
            Checked::Key(key.0, value.map(|value| value.0))
        }
        None => match fields.take("entries")? {
            Some(entries) => Checked::Range(walk(&mut fields)?, entries),
            None => {
                return Err(Refusal(
                    r#"a check needs the fields "key" and "value", or a range and its "entries""#
                        .into(),
                ));
            }
        },
    };
    fields.end(NAME)?;
    Ok(Check { sublevel, what })
}

/// Where a watch begins: `since`, or `from`, as it was called first.
fn watch_from(fields: &mut Fields<'_>) -> Result<WatchFrom, Refusal> {
    let wrong = || {
        Refusal(
            r#"the field "since": give "now", "beginning", a position as it was told, or a sequence number"#
                .into(),
        )
    };
    let given = match (fields.take("since")?, fields.take("from")?) {
        (Some(_), Some(_)) => {
            let both = r#""since" and "from" are one field: give one of them"#;
            return Err(Refusal(both.into()));
        }
        (since, from) => since.or(from),
    };
    match given {
        None => Ok(WatchFrom::Now),
        Some(Value::String(text)) if text == "now" => Ok(WatchFrom::Now),
        Some(Value::String(text)) if text == "beginning" => Ok(WatchFrom::Beginning),
        Some(Value::String(text)) => text
            .parse::<Position>()
            .map(WatchFrom::After)
            .map_err(|_| wrong()),
        Some(given) => {
            let sequence = given.as_u64().ok_or_else(wrong)?;
            Ok(WatchFrom::After(Position::from(sequence)))
        }
    }
}

fn walk(fields: &mut Fields<'_>) -> Result<Walk, Refusal> {
    Ok(Walk {
        reverse: fields.take("reverse")?.unwrap_or(false),
        limit: fields.take("limit")?,
        ..bounds(fields)?
    })
}

fn bounds(fields: &mut Fields<'_>) -> Result<Walk, Refusal> {
    let mut key = |name| fields.take::<ByteBuf>(name).map(|bytes| bytes.map(|b| b.0));
    Ok(Walk {
        gt: key("gt")?,
        gte: key("gte")?,
        lt: key("lt")?,
        lte: key("lte")?,
        prefix: key("prefix")?,
        ..Walk::default()
    })
}

/// The fields of one JSON object, as they stand in the line.
struct Fields<'a> {
    list: Vec<(String, &'a RawValue)>,
    twice: Option<String>,
}

impl<'a> Fields<'a> {
    fn take_raw(&mut self, name: &str) -> Option<&'a RawValue> {
        let at = self.list.iter().position(|(field, _)| field == name)?;
        Some(self.list.swap_remove(at).1)
    }

    fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, Refusal> {
        let Some(raw) = self.take_raw(name) else {
            return Ok(None);
        };
        let value = serde_json::from_str(raw.get());
        value
            .map(Some)
            .map_err(|error| in_field(name, &complaint_inside(&error)))
    }

    /// A field that `whose` must have.
    fn need<T: DeserializeOwned>(&mut self, whose: &str, name: &str) -> Result<T, Refusal> {
        self.take(name)?.ok_or_else(|| lacks(whose, name))
    }

    /// The objects in the list that the field is.
    fn each<T>(
        &mut self,
        whose: &str,
        name: &str,
        mut read: impl FnMut(Fields<'a>) -> Result<T, Refusal>,
    ) -> Result<Vec<T>, Refusal> {
        let raw = self.take_raw(name).ok_or_else(|| lacks(whose, name))?;
        let list: Vec<&'a RawValue> = serde_json::from_str(raw.get())
            .map_err(|error| in_field(name, &complaint_inside(&error)))?;
        let read_one = |(at, raw): (usize, &'a RawValue)| {
            let fields: Fields<'a> = serde_json::from_str(raw.get())
                .map_err(|error| Refusal(complaint_inside(&error)))
                .map_err(|refusal| in_item(name, at, refusal))?;
            if let Some(twice) = &fields.twice {
                let twice = Refusal(format!("the field {twice:?} is given twice"));
                return Err(in_item(name, at, twice));
            }
            read(fields).map_err(|refusal| in_item(name, at, refusal))
        };
        list.into_iter().enumerate().map(read_one).collect()
    }

    fn end(self, whose: &str) -> Result<(), Refusal> {
        match self.list.first() {
            Some((name, _)) => Err(Refusal(format!("{} has no field {name:?}", quoted(whose)))),
            None => Ok(()),
        }
    }
}

/// An operation's name stands in quotes, the name of a thing does not.
fn quoted(whose: &str) -> String {
    match whose.contains(' ') {
        true => whose.into(),
        false => format!("{whose:?}"),
    }
}

fn lacks(whose: &str, name: &str) -> Refusal {
    Refusal(format!("{} needs the field {name:?}", quoted(whose)))
}

fn in_field(name: &str, what: &str) -> Refusal {
    Refusal(format!("the field {name:?}: {what}"))
}

/// `at` counts from 0.
fn in_item(name: &str, at: usize, refusal: Refusal) -> Refusal {
    Refusal(format!("item {} of {name:?}: {}", at + 1, refusal.0))
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldVisitor;
        impl<'de> Visitor<'de> for FieldVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Fields {
                    list: Vec::new(),
                    twice: None,
                };
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    if fields.list.len() == MOST_FIELDS {
                        return Err(A::Error::custom("too many fields"));
                    }
                    if fields.list.iter().any(|(field, _)| *field == name) {
                        fields.twice.get_or_insert(name);
                    } else {
                        fields.list.push((name, value));
                    }
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(FieldVisitor)
    }
}
