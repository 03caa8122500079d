//! Writers and readers, each a client with a process of its own, and what is known afterwards.
//!
//! Writers put, remove, swap and read a few hot keys, write groups of keys in batches ([`group`]), increment a counter
//! of their own ([`counter`]) and one that all share ([`shared`]), and move amounts between accounts ([`bank`]). Readers read all of it, and
//! check at once what one moment must hold. Whoever finds his process killed starts another.

pub(crate) mod bank;
pub(crate) mod counter;
pub(crate) mod group;
pub(crate) mod shared;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};

use serde_json::{Value, json};

use crate::PATIENCE;
use crate::client::{Asked, Client, Reply, Target, entries};
use counter::Written;
use shared::SharedCounter;

/// Keys that everybody writes: few, so that their writes meet, and awkward.
pub(crate) const HOT: [&str; 6] = ["", "\0", "hot", "hot\0", "hot/\u{10ffff}", "\u{10ffff}"];
/// Groups that everybody writes.
pub(crate) const GROUPS: [&str; 2] = ["group/a", "group/b"];
/// Padding that takes a value over many blocks of a table and records of a log.
const LONG: usize = 40_000;

/// What the clients of one load share.
#[derive(Debug)]
pub struct Load {
    target: Target,
    writers: usize,
    stop: AtomicBool,
    acknowledged: Mutex<u64>,
    progress: Condvar,
}

impl Load {
    /// A load by `program` on `dir`, with as many writers.
    pub fn new(program: &Path, dir: &Path, writers: usize) -> Self {
        Load::at(Target::new(program, dir), writers)
    }

    /// A load at `place`, with as many writers.
    pub fn at(target: Target, writers: usize) -> Self {
        Load {
            target,
            writers,
            stop: AtomicBool::new(false),
            acknowledged: Mutex::new(0),
            progress: Condvar::new(),
        }
    }

    /// How many write.
    pub fn writers(&self) -> usize {
        self.writers
    }

    /// Where it works.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Opens the accounts, before anybody looks at them.
    ///
    /// # Panics
    /// If that fails.
    pub fn open_accounts(&self) {
        let ops = bank::opening();
        self.target.spawn().ok(&json!({"op": "batch", "ops": ops}));
    }

    /// Ends what all clients do.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        let _told = self.acknowledged.lock();
        self.progress.notify_all();
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// A guard that ends the load when it goes: also when its thread fails, so that its words are seen and not a hang.
    pub fn stop_at_end(&self) -> impl Drop {
        StopAtEnd(self)
    }

    /// Waits until `more` writes were acknowledged from now on. False: the load was stopped.
    ///
    /// # Panics
    /// If they are not within [`PATIENCE`].
    pub fn wait_for_progress(&self, more: u64) -> bool {
        let acknowledged = self.acknowledged.lock().unwrap();
        let goal = *acknowledged + more;
        let (_now, late) = self
            .progress
            .wait_timeout_while(acknowledged, PATIENCE, |now| *now < goal && !self.stopped())
            .unwrap();
        assert!(
            !late.timed_out(),
            "no {more} writes were acknowledged within {PATIENCE:?}"
        );
        !self.stopped()
    }

    /// Writes as writer number `writer` until the load stops.
    ///
    /// # Panics
    /// On any answer but `ok`: who survives notices nothing.
    pub fn write(&self, writer: usize) -> (Client, Written, SharedCounter) {
        let mut client = Client::new(writer, &self.target);
        let (mut written, mut shared) = (Written::default(), SharedCounter::default());
        let mut random = fastrand::Rng::with_seed(writer as u64);
        while !self.stopped() {
            let before = client.acknowledged.len();
            let hot = HOT[random.usize(..HOT.len())];
            let group = GROUPS[random.usize(..GROUPS.len())];
            match random.u32(..100) {
                0 => never_late(client.put(hot, LONG)),
                1..20 => never_late(client.put(hot, 0)),
                20..28 => never_late(client.delete(hot)),
                28..38 => never_late(client.swap(hot)),
                38..50 => never_late(client.get(hot)),
                50..65 => never_late(client.write_group(group, random.u32(..5) == 0)),
                65..80 => counter::increment(&mut client, &mut written),
                80..90 => shared::increment(&mut client, &mut shared),
                _ => bank::transfer(&mut client, &mut random),
            }
            let more = client.acknowledged.len() - before;
            *self.acknowledged.lock().unwrap() += more as u64;
            self.progress.notify_all();
        }
        (client, written, shared)
    }

    /// Reads as client number `number` until the load stops.
    ///
    /// # Panics
    /// When a moment shows a part of a batch, or a counter goes back, and on any answer but `ok`.
    pub fn read(&self, number: usize) -> Client {
        let mut client = Client::new(number, &self.target);
        let mut random = fastrand::Rng::with_seed(number as u64);
        let mut counters = vec![0; self.writers];
        while !self.stopped() {
            match random.u32(..10) {
                0..5 => never_late(client.get(HOT[random.usize(..HOT.len())])),
                5..8 => {
                    let group = GROUPS[random.usize(..GROUPS.len())];
                    never_late(client.read_group(group, random.usize(..group::WAYS)));
                }
                8 => drop(bank::look(&mut client)),
                _ => {
                    let writer = random.usize(..self.writers);
                    let Some(answer) = answer(&mut client, &counter::look(writer)) else {
                        continue;
                    };
                    let found = entries(&answer).and_then(|two| counter::value(writer, &two));
                    let found = found.unwrap_or_else(|words| panic!("client {number}: {words}"));
                    let seen = &mut counters[writer];
                    assert!(
                        found >= *seen,
                        "counter {writer}: {found} was read after {seen}"
                    );
                    *seen = found;
                }
            }
        }
        client
    }
}

/// Nobody's call may time out here, nor end without an outcome but by the death of its own process.
fn never_late(asked: Asked) {
    let late = matches!(asked.reply, Reply::Timeout(_) | Reply::Conflict);
    assert!(!late, "a call was not done in time: {:?}", asked.reply);
}

/// Asks and returns the answer; `None` if the client's process was killed.
fn answer(client: &mut Client, request: &Value) -> Option<Value> {
    match client.ask(request).reply {
        Reply::Ok(answer) => Some(answer),
        Reply::Unknown => None,
        late => panic!("a call was not done in time: {late:?}"),
    }
}

struct StopAtEnd<'a>(&'a Load);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}
