//! Writers and readers, each a client with a process of its own, and what is known afterwards.
//!
//! Writers put, remove and read a few hot keys, write groups of keys in batches ([`group`]), increment a counter of
//! their own ([`counter`]), and move amounts between accounts of their own ([`bank`]). Readers read all of it, and
//! check at once what one moment must hold. Whoever finds his process killed starts another.

pub(crate) mod bank;
pub(crate) mod counter;
pub(crate) mod group;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};

use serde_json::json;

use crate::PATIENCE;
use crate::client::{Client, Place, Reply, entries};
use counter::Written;

/// Keys that everybody writes: few, so that their writes meet, and awkward.
pub(crate) const HOT: [&str; 6] = ["", "\0", "hot", "hot\0", "hot/\u{10ffff}", "\u{10ffff}"];
/// Groups that everybody writes.
pub(crate) const GROUPS: [&str; 2] = ["group/a", "group/b"];
/// Padding that takes a value over many blocks of a table and records of a log.
const LONG: usize = 40_000;

/// What the clients of one load share.
#[derive(Debug)]
pub struct Load {
    place: Place,
    writers: usize,
    stop: AtomicBool,
    acknowledged: Mutex<u64>,
    progress: Condvar,
}

impl Load {
    /// A load by `program` on `dir`, with as many writers.
    pub fn new(program: &Path, dir: &Path, writers: usize) -> Self {
        Load::at(Place::new(program, dir), writers)
    }

    /// A load at `place`, with as many writers.
    pub fn at(place: Place, writers: usize) -> Self {
        Load {
            place,
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
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Opens the accounts, before anybody looks at them.
    ///
    /// # Panics
    /// If that fails.
    pub fn open_accounts(&self) {
        let ops = bank::opening(self.writers);
        self.place.spawn().ok(&json!({"op": "batch", "ops": ops}));
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
    pub fn write(&self, writer: usize) -> (Client, Written) {
        let mut client = Client::new(writer, &self.place);
        let mut written = Written::default();
        let mut random = fastrand::Rng::with_seed(writer as u64);
        while !self.stopped() {
            let before = client.acknowledged.len();
            let hot = HOT[random.usize(..HOT.len())];
            let group = GROUPS[random.usize(..GROUPS.len())];
            match random.u32(..100) {
                0 => ignore(client.put(hot, LONG)),
                1..25 => ignore(client.put(hot, 0)),
                25..35 => ignore(client.delete(hot)),
                35..50 => ignore(client.get(hot)),
                50..65 => ignore(client.write_group(group, random.u32(..5) == 0)),
                65..90 => counter::increment(&mut client, &mut written),
                _ => bank::transfer(&mut client, random.i64(1..100)),
            }
            let more = client.acknowledged.len() - before;
            *self.acknowledged.lock().unwrap() += more as u64;
            self.progress.notify_all();
        }
        (client, written)
    }

    /// Reads as client number `number` until the load stops.
    ///
    /// # Panics
    /// When a moment shows a part of a batch, or a counter goes back, and on any answer but `ok`.
    pub fn read(&self, number: usize) -> Client {
        let mut client = Client::new(number, &self.place);
        let mut random = fastrand::Rng::with_seed(number as u64);
        let mut counters = vec![0; self.writers];
        while !self.stopped() {
            match random.u32(..10) {
                0..5 => ignore(client.get(HOT[random.usize(..HOT.len())])),
                5..7 => {
                    let group = GROUPS[random.usize(..GROUPS.len())];
                    ignore(client.read_group(group, random.bool()));
                }
                7 => {
                    if let Reply::Ok(answer) = client.ask(&bank::look()).reply {
                        right(entries(&answer).and_then(|all| bank::check(self.writers, &all)));
                    }
                }
                _ => {
                    let writer = random.usize(..self.writers);
                    if let Reply::Ok(answer) = client.ask(&counter::look(writer)).reply {
                        let found =
                            right(entries(&answer).and_then(|two| counter::value(writer, &two)));
                        let seen = &mut counters[writer];
                        assert!(
                            found >= *seen,
                            "counter {writer}: {found} was read after {seen}"
                        );
                        *seen = found;
                    }
                }
            }
        }
        client
    }
}

/// Nobody's call may time out or end without an outcome here, but by the death of its own process.
fn ignore(asked: crate::client::Asked) {
    if let Reply::Timeout(message) = asked.reply {
        panic!("a call timed out: {message}");
    }
}

fn right<T>(checked: Result<T, String>) -> T {
    checked.unwrap_or_else(|words| panic!("{words}"))
}

struct StopAtEnd<'a>(&'a Load);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}
