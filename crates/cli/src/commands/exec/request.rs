//! A request line, read strictly: an unknown operation, an unknown or missing field and a field given twice are
//! refused with a sentence that says what to send instead. A misspelt `limit` must not silently mean "everything".

use std::fmt;

use level_party::{Position, WatchFrom};
use serde::de::{DeserializeOwned, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::bounds::Walk;
use crate::json::{ByteBuf, complaint};
use crate::place::{Ops, Run};

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
    Scan {
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
}

/// The number of a snapshot that the dialogue took, or the newest state.
pub type Moment = Option<u64>;

/// What a key must hold (`null`: nothing) for a transaction to commit.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    #[serde(default, deserialize_with = "named")]
    pub sublevel: Option<Vec<String>>,
    pub key: ByteBuf,
    #[serde(deserialize_with = "Option::deserialize")]
    pub value: Option<ByteBuf>,
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

const OPERATIONS: &str = "get, get_many, contains, put, delete, batch, cas, transaction, scan, clear, watch, \
                          unwatch, snapshot, release or status";

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
const WITHOUT_KEYS: [&str; 4] = ["unwatch", "snapshot", "release", "status"];

fn operation(mut fields: Fields<'_>) -> Result<(Vec<String>, Operation), Refusal> {
    if let Some(name) = &fields.twice {
        return Err(Refusal(format!("the field {name:?} is given twice")));
    }
    let op: String = fields
        .take("op")?
        .ok_or_else(|| Refusal(format!("a request needs an \"op\": {OPERATIONS}")))?;
    let sublevel = match WITHOUT_KEYS.contains(&op.as_str()) {
        true => None,
        false => fields.take("sublevel")?,
    };
    let operation = match op.as_str() {
        "get" => Operation::Get {
            key: fields.need::<ByteBuf>(&op, "key")?.0,
            at: fields.take("snapshot")?,
        },
        "contains" => Operation::Contains {
            key: fields.need::<ByteBuf>(&op, "key")?.0,
            at: fields.take("snapshot")?,
        },
        "get_many" => Operation::GetMany {
            keys: fields.need(&op, "keys")?,
            at: fields.take("snapshot")?,
        },
        "put" => {
            let (key, value): (ByteBuf, ByteBuf) =
                (fields.need(&op, "key")?, fields.need(&op, "value")?);
            let mut run = Run::default();
            run.put(&key.0, &value.0);
            Operation::Write {
                ops: Ops::here(run),
                sync: fields.take("sync")?,
            }
        }
        "delete" => {
            let mut run = Run::default();
            run.delete(&fields.need::<ByteBuf>(&op, "key")?.0);
            Operation::Write {
                ops: Ops::here(run),
                sync: fields.take("sync")?,
            }
        }
        "batch" => {
            let OpList(ops) = fields.need(&op, "ops")?;
            Operation::Write {
                ops,
                sync: fields.take("sync")?,
            }
        }
        "cas" => Operation::Cas {
            key: fields.need::<ByteBuf>(&op, "key")?.0,
            expected: fields.need(&op, "expected")?,
            value: fields.need(&op, "value")?,
            sync: fields.take("sync")?,
        },
        "transaction" => {
            let checks = fields.need(&op, "checks")?;
            let OpList(ops) = fields.need(&op, "ops")?;
            Operation::Transaction {
                checks,
                ops,
                sync: fields.take("sync")?,
            }
        }
        "scan" => Operation::Scan {
            walk: walk(&mut fields)?,
            at: fields.take("snapshot")?,
        },
        "clear" => Operation::Clear {
            walk: bounds(&mut fields)?,
        },
        "watch" => Operation::Watch {
            walk: bounds(&mut fields)?,
            from: watch_from(fields.take("from")?)?,
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
        _ => return Err(Refusal(format!("unknown op {op:?}: use {OPERATIONS}"))),
    };
    fields.end(&op)?;
    Ok((sublevel.unwrap_or_default(), operation))
}

fn watch_from(given: Option<Value>) -> Result<WatchFrom, Refusal> {
    let wrong = || {
        Refusal(
            r#"the field "from": give "now", "beginning", a position as it was told, or a sequence number"#
                .into(),
        )
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
            .map_err(|error| Refusal(format!("the field {name:?}: {}", complaint(&error))))
    }

    fn need<T: DeserializeOwned>(&mut self, op: &str, name: &str) -> Result<T, Refusal> {
        self.take(name)?
            .ok_or_else(|| Refusal(format!("{op:?} needs the field {name:?}")))
    }

    fn end(self, op: &str) -> Result<(), Refusal> {
        match self.list.first() {
            Some((name, _)) => Err(Refusal(format!("{op:?} has no field {name:?}"))),
            None => Ok(()),
        }
    }
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

/// A sublevel's names; a field that is there names one, and is no `null`.
fn named<'de, D: Deserializer<'de>>(names: D) -> Result<Option<Vec<String>>, D::Error> {
    Vec::deserialize(names).map(Some)
}

/// The `ops` of a batch, read straight into batches.
struct OpList(Ops);

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum BatchOp {
    Put {
        #[serde(default, deserialize_with = "named")]
        sublevel: Option<Vec<String>>,
        key: ByteBuf,
        value: ByteBuf,
    },
    Del {
        #[serde(default, deserialize_with = "named")]
        sublevel: Option<Vec<String>>,
        key: ByteBuf,
    },
}

impl<'de> Deserialize<'de> for OpList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OpVisitor;
        impl<'de> Visitor<'de> for OpVisitor {
            type Value = OpList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    r#"a list of {"type":"put","key":..,"value":..} and {"type":"del","key":..}"#,
                )
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OpList, A::Error> {
                let mut ops = Ops::default();
                while let Some(op) = list.next_element::<BatchOp>()? {
                    match op {
                        BatchOp::Put {
                            sublevel,
                            key,
                            value,
                        } => ops.within(sublevel).put(&key.0, &value.0),
                        BatchOp::Del { sublevel, key } => ops.within(sublevel).delete(&key.0),
                    };
                }
                Ok(OpList(ops))
            }
        }
        deserializer.deserialize_seq(OpVisitor)
    }
}
