//! The bound on what waiting writes take, in bytes.
//!
//! Invariants:
//! - The bytes of writes under way are within the limit of each handle that adds to them; a write that is larger than its
//!   limit begins only when there is no other.
//! - A write that finds no room waits in the order of coming, so a handle's writes keep their order.
//! - A write whose time is up holds nobody up: a turn ends with its deadline, also that of a future that nobody polls.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use level_party_locks::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::limits::Limits;
use crate::news::News;
use crate::options::WhenFull;
use crate::timer::Timer;

/// What a write takes beside its bytes.
const WRITE_BYTES: usize = 256;

/// What waiting writes take.
#[derive(Default)]
pub(crate) struct Room {
    taken: AtomicUsize,
    calls: AtomicUsize,
    /// Somebody waits for its turn.
    waits: AtomicBool,
    waiting: Mutex<WaitList>,
    freed: News,
    closed: AtomicBool,
}

#[derive(Default)]
struct WaitList {
    next: u64,
    /// Those who wait, in the order of coming, and until when.
    turns: BTreeMap<u64, Instant>,
}

impl WaitList {
    /// Whose turn it is.
    fn first(&self) -> Option<u64> {
        let now = Instant::now();
        let mut turns = self.turns.iter();
        turns.find(|(_, until)| **until > now).map(|(n, _)| *n)
    }
}

/// Room that one write takes, for as long as this lives.
pub(crate) struct Taken<'a> {
    room: &'a Room,
    bytes: usize,
}

/// A turn in the waiting list.
struct Turn<'a> {
    room: &'a Room,
    number: u64,
}

impl Room {
    /// Bytes that writes take now.
    pub fn bytes(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Writes under way now.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// Takes room for a write of so many bytes if there is some, and nobody waits for it.
    pub fn take_at_once(&self, bytes: usize, limit: usize) -> Option<Taken<'_>> {
        if self.waits.load(Ordering::SeqCst) {
            return None;
        }
        self.take(bytes.saturating_add(WRITE_BYTES), limit)
    }

    fn take(&self, bytes: usize, limit: usize) -> Option<Taken<'_>> {
        let before = self.taken.fetch_add(bytes, Ordering::SeqCst);
        let taken = Taken { room: self, bytes };
        self.calls.fetch_add(1, Ordering::Relaxed);
        // Dropped, it is given back.
        (before == 0 || before.saturating_add(bytes) <= limit).then_some(taken)
    }

    /// Waits for room for a write of so many bytes.
    ///
    /// # Errors
    /// `Busy` where the handle does not wait; `Timeout`; `Closed`.
    pub async fn wait_for(
        &self,
        bytes: usize,
        limits: &Limits,
        timer: &Timer,
    ) -> Result<Taken<'_>> {
        let bytes_taken = bytes.saturating_add(WRITE_BYTES);
        if let Some(taken) = self.take_at_once(bytes, limits.queue_bytes) {
            return Ok(taken);
        }
        if limits.when_full == WhenFull::Busy {
            return Err(Error::new(
                ErrorKind::Busy,
                format!(
                    "{} bytes of writes are under way already (queue_bytes is {}); try again later",
                    self.bytes(),
                    limits.queue_bytes
                ),
            ));
        }
        let turn = self.queue(limits.deadline);
        let ready = || {
            if self.closed.load(Ordering::SeqCst) {
                return Some(Err(Error::closed()));
            }
            let is_first = self.waiting.lock().first() == Some(turn.number);
            let taken = is_first.then(|| self.take(bytes_taken, limits.queue_bytes))?;
            taken.map(Ok)
        };
        let found = self.freed.wait(limits.wait, limits.deadline, timer, ready);
        found.await?.unwrap_or_else(|| {
            Err(Error::new(
                ErrorKind::Timeout,
                format!(
                    "within {:?} there was no room for this write beside those under way (queue_bytes is {}); it had no effect",
                    limits.timeout, limits.queue_bytes
                ),
            ))
        })
    }

    fn queue(&self, until: Instant) -> Turn<'_> {
        let mut list = self.waiting.lock();
        let number = list.next;
        list.next += 1;
        list.turns.insert(number, until);
        self.waits.store(true, Ordering::SeqCst);
        Turn { room: self, number }
    }

    /// Whoever waits is told that the node closes.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.freed.tell();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut list = self.room.waiting.lock();
        list.turns.remove(&self.number);
        let waits = !list.turns.is_empty();
        self.room.waits.store(waits, Ordering::SeqCst);
        drop(list);
        if waits {
            // The next one's turn may have come.
            self.room.freed.tell();
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.room.calls.fetch_sub(1, Ordering::Relaxed);
        self.room.taken.fetch_sub(self.bytes, Ordering::SeqCst);
        // Whoever takes a turn looks for room after that, so that one of both sees the other.
        if self.room.waits.load(Ordering::SeqCst) {
            self.room.freed.tell();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::limits::now;

    #[test]
    fn write_waits_for_room_behind_those_that_came_before() {
        let (room, timer) = (Room::default(), Timer::default());
        let limits = |timeout| Limits {
            queue_bytes: 2 * WRITE_BYTES + 20,
            ..Limits::new(timeout, true)
        };
        let patient = limits(Duration::from_secs(3600));
        let first = room.take_at_once(10, patient.queue_bytes).unwrap();
        let second = room.take_at_once(10, patient.queue_bytes).unwrap();
        assert!(room.take_at_once(0, patient.queue_bytes).is_none());
        let busy = Limits {
            when_full: WhenFull::Busy,
            ..patient
        };
        let refused = now(room.wait_for(0, &busy, &timer)).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Busy);
        let late = now(room.wait_for(0, &limits(Duration::ZERO), &timer));
        assert_eq!(late.err().unwrap().kind(), ErrorKind::Timeout);
        std::thread::scope(|threads| {
            let waiting = threads.spawn(|| {
                let taken = now(room.wait_for(usize::MAX / 2, &patient, &timer)).unwrap();
                assert_eq!(room.calls(), 1, "larger than the limit, it is alone");
                drop(taken);
            });
            while !room.waits.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            drop(first);
            assert!(room.take_at_once(0, patient.queue_bytes).is_none());
            drop(second);
            waiting.join().unwrap();
        });
        assert_eq!((room.bytes(), room.calls()), (0, 0));
    }
}
