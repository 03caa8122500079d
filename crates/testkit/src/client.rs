//! A client: one thread of the test, which drives one process after the other and records what it is answered.
//!
//! Moments are taken on one clock, in the test's own process: before a request's first byte is written and after its
//! answer was read. So a call's true span lies within the recorded one, and no clock of another process counts.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{Value, json};

use crate::ExecChild;
use crate::history::History;
use crate::linear::{Action, Call, Content};
use crate::load::group;

/// Which program on which directory, and since when moments are counted.
#[derive(Debug, Clone)]
pub struct Target {
    /// The program `level-party`.
    pub program: PathBuf,
    /// The database.
    pub dir: PathBuf,
    /// Further flags of `exec`.
    pub flags: Vec<String>,
    start: Instant,
    doom: Arc<Mutex<Doom>>,
    may_lose_snapshots: bool,
}

/// What one process gets that the others do not.
#[derive(Debug, Default)]
struct Doom {
    variable: Option<(String, String)>,
    /// Whose process may get it: a client's with a number below this.
    below: usize,
    pid: Option<u32>,
}

impl Target {
    /// Moments are counted from now on.
    pub fn new(program: impl AsRef<Path>, dir: impl AsRef<Path>) -> Self {
        Target {
            program: program.as_ref().to_owned(),
            dir: dir.as_ref().to_owned(),
            flags: Vec::new(),
            start: Instant::now(),
            doom: Arc::default(),
            may_lose_snapshots: false,
        }
    }

    /// The same place, where reads of a moment may end with `SnapshotLost`.
    pub fn that_may_lose_snapshots(self) -> Self {
        Target {
            may_lose_snapshots: true,
            ..self
        }
    }

    /// The next process that a client with a number below this one starts, and no other, gets this environment variable.
    pub fn doom(&self, below: usize, name: &str, value: &str) {
        *self.doom.lock().expect("nothing panics while it is held") = Doom {
            variable: Some((name.into(), value.into())),
            below,
            pid: None,
        };
    }

    /// The process that got the variable, once it was started.
    pub fn doomed(&self) -> Option<u32> {
        self.doom
            .lock()
            .expect("nothing panics while it is held")
            .pid
    }

    /// The same place, with other flags of `exec`.
    pub fn with_flags(&self, flags: &[&str]) -> Self {
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        Target {
            flags,
            ..self.clone()
        }
    }

    /// One more process on the directory.
    pub fn spawn(&self) -> ExecChild {
        ExecChild::spawn_with(&self.program, &self.dir, &self.flags)
    }

    /// The same, for the client of this number.
    fn spawn_for(&self, client: usize) -> ExecChild {
        let mut doom = self.doom.lock().expect("nothing panics while it is held");
        let below = doom.below;
        let variable = doom.variable.take_if(|_| client < below);
        let environment: Vec<(&str, &str)> = variable
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let child = ExecChild::spawn_in(&self.program, &self.dir, &self.flags, &environment);
        if variable.is_some() {
            doom.pid = Some(child.pid());
        }
        child
    }

    /// Nanoseconds since the start.
    pub fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).expect("a test ends within 500 years")
    }
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// `ok`, with the answer's fields.
    Ok(Value),
    /// `Timeout`, which promises that the call had no effect; with its message.
    Timeout(String),
    /// `Conflict`: others changed the key of a swap all the time; nothing was written.
    Conflict,
    /// Nobody can tell: `OutcomeUnknown`, `ConnectionLost`, or the client's own process was killed.
    Unknown,
}

/// A request's reply, and the moments between which it was made.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Before its first byte was written.
    pub begun: u64,
    /// After its answer was read, or its process found dead.
    pub ended: u64,
    /// What became of it.
    pub reply: Reply,
}

/// One client. Values it writes are never used twice.
#[derive(Debug)]
pub struct Client {
    /// Its name in histories.
    pub number: usize,
    /// What it saw.
    pub history: History,
    /// The spans of its acknowledged writes.
    pub acknowledged: Vec<(u64, u64)>,
    target: Target,
    child: ExecChild,
    serial: u64,
    /// Puts whose outcome is unknown and that its process may still see done: key and content.
    owed: Vec<(String, Content)>,
    /// How often its process was killed.
    pub lives_lost: usize,
}

impl Client {
    /// A client with a process of its own.
    pub fn new(number: usize, target: &Target) -> Self {
        Client {
            number,
            history: History::default(),
            acknowledged: Vec::new(),
            target: target.clone(),
            child: target.spawn_for(number),
            serial: 0,
            owed: Vec::new(),
            lives_lost: 0,
        }
    }

    /// Its process.
    pub fn child(&mut self) -> &mut ExecChild {
        &mut self.child
    }

    /// A text never used before.
    pub fn token(&mut self) -> String {
        self.serial += 1;
        format!("{}.{}", self.number, self.serial)
    }

    /// Makes a request. A client whose process was killed starts another.
    ///
    /// # Panics
    /// On a failure that none of the replies stands for.
    pub fn ask(&mut self, request: &Value) -> Asked {
        let begun = self.target.now();
        let answer = self.child.try_ask(request);
        let ended = self.target.now();
        let reply = match answer {
            None => {
                self.child = self.target.spawn_for(self.number);
                self.lives_lost += 1;
                self.owed.clear();
                Reply::Unknown
            }
            Some(answer) if answer["ok"] == true => Reply::Ok(answer),
            Some(answer) => match answer["error"]["kind"].as_str() {
                Some("OutcomeUnknown" | "ConnectionLost") => Reply::Unknown,
                Some("SnapshotLost") if self.target.may_lose_snapshots => Reply::Unknown,
                Some("Conflict") => Reply::Conflict,
                Some("Timeout") => Reply::Timeout(
                    answer["error"]["message"]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned(),
                ),
                _ => panic!("client {}: {request} was answered by {answer}", self.number),
            },
        };
        Asked {
            begun,
            ended,
            reply,
        }
    }

    /// Makes a request that writes, and records it as `action` on `key`.
    pub fn write(&mut self, key: &str, action: Action, request: &Value) -> Asked {
        self.write_judged(key, request, |_| action)
    }

    /// Makes a request that may write, and records on `key` what `action` makes of its answer, if there is one.
    fn write_judged(
        &mut self,
        key: &str,
        request: &Value,
        action: impl FnOnce(Option<&Value>) -> Action,
    ) -> Asked {
        let lives_before = self.lives_lost;
        let asked = self.ask(request);
        let answer = match &asked.reply {
            Reply::Ok(answer) => Some(answer),
            _ => None,
        };
        let action = action(answer);
        let ended = match asked.reply {
            Reply::Timeout(_) | Reply::Conflict => {
                self.history.without_effect += 1;
                return asked;
            }
            Reply::Ok(_) => {
                self.acknowledged.push((asked.begun, asked.ended));
                // A handle's writes take effect in their order: what has not by now never will.
                for (key, content) in self.owed.drain(..) {
                    self.history.bound_open_put(&key, &content, asked.ended);
                }
                Some(asked.ended)
            }
            Reply::Unknown => {
                if let Action::Set(content @ Some(_)) = &action
                    && self.lives_lost == lives_before
                {
                    self.owed.push((key.to_owned(), content.clone()));
                }
                None
            }
        };
        let call = Call {
            client: self.number,
            action,
            begun: asked.begun,
            ended,
        };
        self.history.add(key, call);
        asked
    }

    /// Makes a request that reads, and records what it found on `key`.
    ///
    /// # Panics
    /// With `found`'s words, if the answer is none that can be.
    pub fn read(
        &mut self,
        key: &str,
        request: &Value,
        found: impl FnOnce(&Value) -> Result<Content, String>,
    ) -> Asked {
        let asked = self.ask(request);
        if let Reply::Ok(answer) = &asked.reply {
            let found =
                found(answer).unwrap_or_else(|words| panic!("client {}: {words}", self.number));
            let call = Call {
                client: self.number,
                action: Action::Get(found),
                begun: asked.begun,
                ended: Some(asked.ended),
            };
            self.history.add(key, call);
        }
        asked
    }

    /// Puts a new value under `key`, `padding` bytes longer than it need be.
    pub fn put(&mut self, key: &str, padding: usize) -> Asked {
        let token = self.token();
        let value = padded(&token, padding);
        let request = json!({"op": "put", "key": key, "value": value});
        self.write(key, Action::Set(Some(token.into())), &request)
    }

    /// Removes `key`.
    pub fn delete(&mut self, key: &str) -> Asked {
        let request = json!({"op": "delete", "key": key});
        self.write(key, Action::Set(None), &request)
    }

    /// Reads `key`.
    pub fn get(&mut self, key: &str) -> Asked {
        let request = json!({"op": "get", "key": key});
        self.read(key, &request, |answer| match &answer["value"] {
            Value::Null => Ok(None),
            Value::String(text) => content(text).map(Some),
            other => Err(format!("the value of {key:?} is no text: {other}")),
        })
    }

    /// Writes a group of keys in one batch: a new token into its members, or nothing into any of them.
    pub fn write_group(&mut self, group: &str, remove: bool) -> Asked {
        let token = (!remove).then(|| self.token());
        let request = json!({"op": "batch", "ops": group::batch(group, token.as_deref())});
        self.write(group, Action::Set(token.map(Into::into)), &request)
    }

    /// Reads `key`, and puts a new value there on the condition that it still holds what was read.
    pub fn swap(&mut self, key: &str) -> Asked {
        let asked = self.get(key);
        let Reply::Ok(answer) = &asked.reply else {
            return asked;
        };
        let held = answer["value"].clone();
        let token = self.token();
        let request = json!({"op": "cas", "key": key, "expected": held, "value": token});
        let expected = held
            .as_str()
            .map(|text| content(text).expect("it was read before"));
        let swap = |swapped| Action::Swap {
            expected: expected.clone(),
            to: Some(token.as_str().into()),
            swapped,
        };
        self.write_judged(key, &request, |answer| {
            swap(answer.is_none_or(|answer| answer["swapped"] == true))
        })
    }

    /// Reads a group at one moment, in one of several ways.
    pub fn read_group(&mut self, group: &str, way: usize) -> Asked {
        let prefix = group::prefix(group);
        let request = match way {
            0 => json!({"op": "scan", "prefix": prefix}),
            1 => json!({"op": "scan", "prefix": prefix, "reverse": true}),
            2 => json!({"op": "get_many", "keys": group::members(group)}),
            _ => return self.read_group_at_snapshot(group),
        };
        self.read(group, &request, |answer| {
            group::content(group, &group_entries(group, answer)?)
        })
    }

    /// Takes a snapshot and reads the members of a group one by one, over whatever happens meanwhile. What they hold is
    /// of a moment within the first request.
    fn read_group_at_snapshot(&mut self, group: &str) -> Asked {
        let taken = self.ask(&json!({"op": "snapshot"}));
        let Reply::Ok(answer) = &taken.reply else {
            return taken;
        };
        let snapshot = answer["snapshot"].clone();
        let mut values = Vec::new();
        for key in group::members(group) {
            let asked = self.ask(&json!({"op": "get", "key": key, "snapshot": snapshot}));
            let Reply::Ok(answer) = &asked.reply else {
                return asked;
            };
            values.push(answer["value"].clone());
        }
        let found = group_entries(group, &json!({"values": values}))
            .and_then(|entries| group::content(group, &entries))
            .unwrap_or_else(|words| panic!("client {} at a snapshot: {words}", self.number));
        let call = Call {
            client: self.number,
            action: Action::Get(found),
            begun: taken.begun,
            ended: Some(taken.ended),
        };
        self.history.add(group, call);
        self.ask(&json!({"op": "release", "snapshot": snapshot}))
    }
}

/// The entries of a group, by the answer to a scan or to a get of all its members.
fn group_entries(group: &str, answer: &Value) -> Result<Vec<(String, String)>, String> {
    let Value::Array(values) = &answer["values"] else {
        return entries(answer);
    };
    let named = group::members(group).into_iter().zip(values);
    named
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| match value.as_str() {
            Some(text) => Ok((key, text.to_owned())),
            None => Err(format!("the value of {key:?} is no text: {value}")),
        })
        .collect()
}

/// The entries that a scan was answered with.
pub(crate) fn entries(answer: &Value) -> Result<Vec<(String, String)>, String> {
    serde_json::from_value(answer["entries"].clone()).map_err(|error| format!("{answer}: {error}"))
}

/// A token made longer, in a way that shows when a part is missing.
fn padded(token: &str, padding: usize) -> String {
    match padding {
        0 => token.to_owned(),
        _ => format!("{token}:{padding}:{}", "x".repeat(padding)),
    }
}

/// The token in a value.
pub(crate) fn content(value: &str) -> Result<std::sync::Arc<str>, String> {
    let Some((token, rest)) = value.split_once(':') else {
        return Ok(value.into());
    };
    let whole = rest.split_once(':').is_some_and(|(length, padding)| {
        length.parse() == Ok(padding.len()) && padding.bytes().all(|byte| byte == b'x')
    });
    match whole {
        true => Ok(token.into()),
        false => Err(format!(
            "a part of the value {token} is missing: {} bytes",
            value.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_not_whole_is_seen() {
        for padding in [0, 1, 5000] {
            assert_eq!(content(&padded("1.2", padding)).as_deref(), Ok("1.2"));
        }
        assert!(content(&padded("1.2", 9)[..10]).is_err());
    }
}
