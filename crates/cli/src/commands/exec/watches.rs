//! The watches of a dialogue: a thread each, which writes a line for each event.
//!
//! What it promises: no event of a watch comes before the answer to the request that began it, and none after the answer
//! to the request that ended it. Lines of watches and answers are written whole.

use std::collections::BTreeMap;
use std::io::Stdout;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use level_party::{Change, ErrorKind, Position, Watch, WatchCloser, WatchFrom, WatchItem};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::request::Refusal;
use super::{Trouble, lock};
use crate::bounds::Walk;
use crate::failure::{Failure, Result};
use crate::json::Bytes;
use crate::keyspace::Keyspace;
use crate::output::Output;
use crate::stop;

/// Watches at most in one dialogue: each has a thread and a connection.
const MOST: usize = 64;

/// The watches by the ids of the requests that began them.
pub struct Watches {
    output: Arc<Mutex<Output<Stdout>>>,
    running: BTreeMap<String, Running>,
    /// One whose request is being answered.
    next: Option<Events>,
}

struct Running {
    closer: WatchCloser,
    thread: JoinHandle<()>,
}

impl Watches {
    pub fn new(output: Arc<Mutex<Output<Stdout>>>) -> Self {
        Watches {
            output,
            running: BTreeMap::new(),
            next: None,
        }
    }

    /// Makes a watch, whose events begin with [`Watches::begin`], and says where it begins.
    pub fn open(
        &mut self,
        id: Option<&RawValue>,
        keyspace: &Keyspace,
        walk: &Walk,
        from: WatchFrom,
    ) -> std::result::Result<Position, Trouble> {
        let refused = |why: String| Err(Trouble::Request(Refusal::new(why)));
        self.running
            .retain(|_, running| !running.thread.is_finished());
        let Some(id) = id else {
            return refused(r#""watch" needs an "id", which its events carry"#.into());
        };
        if self.running.contains_key(id.get()) {
            return refused(format!("there is a watch {id} already"));
        }
        if self.running.len() == MOST {
            return refused(format!(
                "there are {MOST} watches already; end one with \"unwatch\""
            ));
        }
        let watch = keyspace.watch(walk, from)?;
        let position = watch.position();
        self.next = Some(Events {
            id: id.to_owned(),
            watch,
            prefix: keyspace.prefix().len(),
            output: self.output.clone(),
        });
        Ok(position)
    }

    /// Starts the events of the watch that was made last, if they have not started.
    pub fn begin(&mut self) {
        if let Some(events) = self.next.take() {
            let id = events.id.get().to_string();
            let closer = events.watch.closer();
            let thread = std::thread::spawn(move || events.run());
            self.running.insert(id, Running { closer, thread });
        }
    }

    /// Ends a watch: when this returns its last event has been written.
    pub fn close(&mut self, id: &str) -> std::result::Result<(), Trouble> {
        match self.running.remove(id) {
            Some(running) => {
                running.end();
                Ok(())
            }
            None => Err(Trouble::Request(Refusal::new(format!(
                "there is no watch {id}: name the id of the request that began it"
            )))),
        }
    }

    /// Ends all.
    pub fn close_all(&mut self) {
        for (_, running) in std::mem::take(&mut self.running) {
            running.end();
        }
    }
}

impl Running {
    fn end(self) {
        self.closer.close();
        let _ = self.thread.join(); // It has written its error already.
    }
}

/// What one watch's thread does.
struct Events {
    id: Box<RawValue>,
    watch: Watch,
    /// Bytes of the sublevel's prefix.
    prefix: usize,
    output: Arc<Mutex<Output<Stdout>>>,
}

#[derive(Serialize)]
struct Event<'a> {
    watch: &'a RawValue,
    #[serde(flatten)]
    what: What<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum What<'a> {
    Put {
        sequence: u64,
        key: Bytes<'a>,
        value: Bytes<'a>,
        position: Position,
    },
    Del {
        sequence: u64,
        key: Bytes<'a>,
        position: Position,
    },
    Gap {
        from: u64,
        resume: u64,
        position: Position,
    },
    End {
        error: Value,
    },
}

impl Events {
    fn run(mut self) {
        if let Err(Failure::BrokenPipe) = self.tell_all() {
            // Nobody reads answers any more, and who would notice waits for the next request.
            stop::leave();
            std::process::exit(0);
        }
    }

    fn tell_all(&mut self) -> Result<()> {
        while let Some(item) = self.watch.next() {
            let position = self.watch.position();
            match item {
                Ok(WatchItem::Change(change)) => self.change(&change, position)?,
                Ok(WatchItem::Gap { from, resume }) => self.tell(What::Gap {
                    from,
                    resume,
                    position,
                })?,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Timeout => {} // It goes on when there is a leader.
                Err(error) if error.kind() == ErrorKind::Closed => break,
                Err(error) => {
                    let error =
                        json!({"kind": error.kind().as_str(), "message": error.to_string()});
                    return self.tell(What::End { error });
                }
            }
        }
        Ok(())
    }

    fn change(&self, change: &Change, position: Position) -> Result<()> {
        let key = Bytes(change.key.get(self.prefix..).unwrap_or_default());
        let sequence = change.sequence;
        self.tell(match &change.value {
            Some(value) => What::Put {
                sequence,
                key,
                value: Bytes(value),
                position,
            },
            None => What::Del {
                sequence,
                key,
                position,
            },
        })
    }

    fn tell(&self, what: What<'_>) -> Result<()> {
        let mut output = lock(&self.output);
        output.json(&Event {
            watch: &self.id,
            what,
        })?;
        output.flush()
    }
}
