//! [`Tail`]: the committed batches from a sequence on, in order, as they come.
//!
//! Promises: every batch that is committed while the window holds it is given once, in order, with its sequence; what
//! the window no longer holds, or never held, is a [`Gap`], never silence. The window is bounded by bytes, whoever is
//! slow: batches are dropped from its old end, and a reader that needs them gets the gap, unless a log that is kept
//! ([`past`]) has them. A batch larger than the whole window is itself a gap. Waiting takes no polling.
//! Must not know: the log that is being written. A log record is a group of batches; here each batch stands for itself, so
//! that a reader can begin anywhere, also in the middle of a group or of a batch. (From a past log a reader gets a whole
//! group as one batch: where its batches met is not in the record.)
//!
//! The window outlives the process that filled it: an opening begins it with the logs that it recovers, their bytes
//! staying in memory as long as the budget allows. And the logs of the latest flush stay on disk until the next one, so
//! that nobody misses what was flushed just before a process died. They lie below the manifest's log number: no recovery
//! replays them, and C++ LevelDB removes them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use level_party_format::Sequence;
use level_party_format::batch::{Op, WriteBatch};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::fs::Fs;

pub(crate) mod past;

use past::{PastLog, Records};

/// Bytes that a batch in the window costs beside its own.
const ENTRY_OVERHEAD: usize = 16;
/// Bytes that a pack costs beside its batches.
const PACK_OVERHEAD: usize = 128;
/// Batches share one piece of memory up to this size, and up to a part of the window: what is dropped at its old end is a
/// pack.
const PACK_BYTES: usize = 32 << 10;
const PACKS_PER_WINDOW: usize = 16;

/// The newest committed batches.
pub(crate) struct Window {
    fs: Arc<dyn Fs>,
    budget: usize,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Oldest first, without gaps between them.
    packs: VecDeque<Pack>,
    bytes: usize,
    /// Logs of what came before, oldest first.
    past: VecDeque<Arc<PastLog>>,
    /// Their bytes in memory. While there are any, no batch was dropped: the oldest go first.
    past_bytes: usize,
    /// The last sequence that is in the window, or was.
    last: Sequence,
    closed: bool,
}

/// Some batches that follow each other, of one group or of many. They are copied here, one behind the other: to keep each
/// where it came, or in memory of its own, would take two allocations for each, and freeing those that nobody has touched
/// for long costs a commit more than the copy does. The newest pack has memory for all that will come into it.
struct Pack {
    bytes: Vec<u8>,
    /// Where each batch ends, and its last sequence.
    ends: Vec<(usize, Sequence)>,
    first: Sequence,
    last: Sequence,
    cost: usize,
}

impl Window {
    /// A window that begins behind `last`, and the logs of what came before; with a budget of 0 it keeps nothing.
    pub(crate) fn new(
        fs: &Arc<dyn Fs>,
        budget: usize,
        last: Sequence,
        past: Vec<PastLog>,
    ) -> Arc<Window> {
        let mut state = State {
            packs: VecDeque::new(),
            bytes: 0,
            past_bytes: past.iter().map(PastLog::bytes_in_memory).sum(),
            past: past.into_iter().map(Arc::new).collect(),
            last,
            closed: false,
        };
        state.keep_to(budget);
        Arc::new(Window {
            fs: Arc::clone(fs),
            budget,
            state: Mutex::new(state),
            changed: Condvar::new(),
        })
    }

    /// Whether anything is kept at all.
    pub(crate) fn is_on(&self) -> bool {
        self.budget > 0
    }

    /// Adds the batches of a group, which are published, in order.
    pub(crate) fn push<'a>(&self, batches: impl Iterator<Item = &'a WriteBatch>) {
        let most = PACK_BYTES.min(self.budget / PACKS_PER_WINDOW);
        let mut state = self.state.lock();
        for batch in batches.filter(|batch| !batch.is_empty()) {
            state.add(batch, most, self.budget);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// A log was flushed: it is kept on disk. Gives the numbers of those that are not needed there any more.
    pub(crate) fn keep_log(&self, log: PastLog) -> Vec<u64> {
        let mut state = self.state.lock();
        let before = std::mem::take(&mut state.past);
        let (on_disk, rest): (Vec<_>, Vec<_>) = before.into_iter().partition(|log| log.on_disk);
        let in_memory = on_disk.iter().filter(|log| log.bytes.is_some());
        let in_memory = in_memory.map(|log| Arc::new(log.without_file()));
        state.past = rest.into_iter().chain(in_memory).collect();
        state.past.push_back(Arc::new(log));
        on_disk.iter().map(|log| log.number).collect()
    }

    /// What a reader gets who needs a sequence before `first`, the oldest in the window.
    fn look_back(&self, sequence: Sequence, first: Sequence) -> Past {
        let logs: Vec<Arc<PastLog>> = self.state.lock().past.iter().rev().cloned().collect();
        // The first sequence of what is newer than the log being looked at.
        let mut newer = None;
        let mut resume = first;
        for log in logs {
            let Some(last) = log
                .last
                .or(newer.map(|newer: Sequence| newer.saturating_sub(1)))
            else {
                break;
            };
            if sequence > last {
                break;
            }
            let mut found = log.first;
            if found.is_none_or(|first| sequence >= first) {
                let Some(records) = log.records(self.fs.as_ref(), last) else {
                    break;
                };
                found = records.first();
                if found.is_some_and(|first| sequence >= first) {
                    return Past::Records(records);
                }
            }
            newer = found;
            resume = found.unwrap_or(resume).min(resume);
        }
        Past::Gap(Gap {
            from: sequence,
            resume,
        })
    }

    /// Ends all waiting; what the window holds can still be read.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.state.lock().bytes
    }
}

/// What the past has for a reader.
enum Past {
    Records(Arc<Records>),
    Gap(Gap),
}

/// What the window has for a reader.
enum Found {
    Item(TailItem),
    /// It is older than the window, which begins here.
    Before(Sequence),
}

impl State {
    /// The sequence of the oldest operation held; of the next to come if there is none.
    fn first(&self) -> Sequence {
        let oldest = self.packs.front();
        oldest.map_or(self.last + 1, |pack| pack.first)
    }

    /// Adds a batch that follows all others, to the newest pack while that has room.
    fn add(&mut self, batch: &WriteBatch, most: usize, budget: usize) {
        self.last = last_of(batch);
        self.bytes += cost_of(batch);
        match self.packs.back_mut() {
            Some(pack) if pack.takes(batch, most) => pack.add(batch, batch.as_bytes()),
            newest => {
                if let Some(full) = newest {
                    full.end();
                }
                self.bytes += PACK_OVERHEAD;
                self.packs.push_back(Pack::begin(batch, most, budget));
            }
        }
        self.keep_to(budget);
    }

    /// Drops what is oldest until the budget is kept.
    fn keep_to(&mut self, budget: usize) {
        while self.bytes + self.past_bytes > budget {
            if let Some(at) = self.past.iter().position(|log| log.bytes.is_some()) {
                let log = &self.past[at];
                self.past_bytes -= log.bytes_in_memory();
                match log.on_disk {
                    true => self.past[at] = Arc::new(log.without_bytes()),
                    false => drop(self.past.remove(at)),
                }
            } else if let Some(oldest) = self.packs.pop_front() {
                self.bytes -= oldest.cost;
            } else {
                break;
            }
        }
    }

    /// The batch with this sequence, or that it is older; nothing if it is still to come.
    fn find(&self, sequence: Sequence) -> Option<Found> {
        if sequence > self.last {
            return None;
        }
        let first = self.first();
        if sequence < first {
            return Some(Found::Before(first));
        }
        let at = self.packs.partition_point(|pack| pack.last < sequence);
        let batch = self.packs.get(at)?.find(sequence)?;
        let from = sequence.max(batch.sequence());
        let batch = Arc::new(batch);
        Some(Found::Item(TailItem::Batch(Committed { batch, from })))
    }
}

impl Pack {
    /// A pack that begins with this batch, and has memory for as many like it as `most` bytes hold. What takes more than
    /// `budget` goes at once, and is not copied.
    fn begin(batch: &WriteBatch, most: usize, budget: usize) -> Pack {
        let many = (most.saturating_sub(PACK_OVERHEAD) / cost_of(batch)).max(1);
        let keeps = PACK_OVERHEAD + cost_of(batch) <= budget;
        let mut pack = Pack {
            bytes: Vec::with_capacity(if keeps { many * batch.byte_size() } else { 0 }),
            ends: Vec::with_capacity(many),
            first: batch.sequence(),
            last: 0,
            cost: PACK_OVERHEAD,
        };
        pack.add(batch, if keeps { batch.as_bytes() } else { &[] });
        pack
    }

    /// Whether this batch, which follows, finds room up to `most` bytes.
    fn takes(&self, batch: &WriteBatch, most: usize) -> bool {
        self.cost + cost_of(batch) <= most
    }

    fn add(&mut self, batch: &WriteBatch, bytes: &[u8]) {
        self.last = last_of(batch);
        self.cost += cost_of(batch);
        self.bytes.extend_from_slice(bytes);
        self.ends.push((self.bytes.len(), self.last));
    }

    /// No batch follows: it keeps no more memory than it needs.
    fn end(&mut self) {
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    /// The batch with this sequence.
    fn find(&self, sequence: Sequence) -> Option<WriteBatch> {
        let at = self.ends.partition_point(|(_, last)| *last < sequence);
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before].0);
        let (end, _) = *self.ends.get(at)?;
        WriteBatch::from_bytes(self.bytes[start..end].to_vec()).ok()
    }
}

/// What a batch takes of the window.
fn cost_of(batch: &WriteBatch) -> usize {
    batch.byte_size() + ENTRY_OVERHEAD
}

fn last_of(batch: &WriteBatch) -> Sequence {
    (batch.sequence() + u64::from(batch.count())).saturating_sub(1)
}

/// A committed batch, and from which of its operations on it was asked for.
#[derive(Clone, Debug)]
pub struct Committed {
    batch: Arc<WriteBatch>,
    from: Sequence,
}

impl Committed {
    /// The whole batch; its first operation has the sequence [`WriteBatch::sequence`], the next one more.
    pub fn batch(&self) -> &WriteBatch {
        &self.batch
    }

    /// The sequence of the first operation that was not given before: the batch's own, unless the reader began inside.
    pub fn from(&self) -> Sequence {
        self.from
    }

    /// The sequence of the last operation.
    pub fn last_sequence(&self) -> Sequence {
        last_of(&self.batch)
    }

    /// The operations from [`Committed::from`] on, each with its sequence.
    pub fn ops(&self) -> impl Iterator<Item = (Sequence, Op<'_>)> {
        let numbered = (self.batch.sequence()..).zip(self.batch.iter());
        numbered.skip_while(|(sequence, _)| *sequence < self.from)
    }
}

/// Operations that can't be given any more, or never could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first sequence that is missing.
    pub from: Sequence,
    /// The first that can be given: the reader goes on there.
    pub resume: Sequence,
}

/// What a [`Tail`] gives.
#[derive(Clone, Debug)]
pub enum TailItem {
    /// The next batch.
    Batch(Committed),
    /// Some operations are missing; the next item follows them.
    Gap(Gap),
}

/// The committed batches from a sequence on. Made by [`Engine::tail_from`](crate::Engine::tail_from).
pub struct Tail {
    window: Arc<Window>,
    next: Sequence,
    /// What it reads from while it is behind the window.
    reading: Option<Arc<Records>>,
    woken: Arc<Mutex<bool>>,
}

/// Ends the waiting of one [`Tail`], from any thread.
#[derive(Clone)]
pub struct TailWaker {
    window: Arc<Window>,
    woken: Arc<Mutex<bool>>,
}

impl TailWaker {
    /// Makes the tail's present or next [`Tail::wait_next`] end with nothing.
    pub fn wake(&self) {
        // Under the window's lock, so that nobody looks just before and sleeps just after.
        let _state = self.window.state.lock();
        *self.woken.lock() = true;
        self.window.changed.notify_all();
    }
}

impl Tail {
    pub(crate) fn new(window: &Arc<Window>, from: Sequence) -> Tail {
        Tail {
            window: Arc::clone(window),
            next: from.max(1),
            reading: None,
            woken: Arc::default(),
        }
    }

    /// The sequence of the next operation it will give, or say to be missing: all before it were given, or said to be
    /// missing. Where [`Tail::try_next`] has nothing, that is all there is: an empty batch has no sequence of its own, and
    /// no sequence is left out.
    pub fn position(&self) -> Sequence {
        self.next
    }

    /// The sequence of the last operation that has come.
    pub fn latest(&self) -> Sequence {
        self.window.state.lock().last
    }

    /// What wakes it.
    pub fn waker(&self) -> TailWaker {
        TailWaker {
            window: Arc::clone(&self.window),
            woken: Arc::clone(&self.woken),
        }
    }

    /// The next batch or gap, if it is there already.
    pub fn try_next(&mut self) -> Option<TailItem> {
        let found = self.window.state.lock().find(self.next);
        found.map(|found| self.pass(found))
    }

    /// The next batch or gap; waits for it. Nothing if it was woken.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] once the engine is closed and all that was committed before is given.
    pub fn wait_next(&mut self) -> Result<Option<TailItem>> {
        self.wait_next_until(None)
    }

    /// As [`Tail::wait_next`], but no longer than until the deadline. Nothing if it was woken or the deadline passed.
    ///
    /// # Errors
    /// As [`Tail::wait_next`].
    pub fn wait_next_until(&mut self, deadline: Option<Instant>) -> Result<Option<TailItem>> {
        let window = Arc::clone(&self.window);
        let mut state: MutexGuard<'_, State> = window.state.lock();
        loop {
            if std::mem::take(&mut *self.woken.lock()) {
                return Ok(None);
            }
            if let Some(found) = state.find(self.next) {
                drop(state);
                return Ok(Some(self.pass(found)));
            }
            if state.closed {
                let message = "the engine is closed: no more batches come";
                return Err(Error::new(ErrorKind::Closed, message));
            }
            match deadline {
                None => window.changed.wait(&mut state),
                Some(deadline) => {
                    let waited = window.changed.wait_until(&mut state, deadline);
                    if waited.timed_out() && state.find(self.next).is_none() && !state.closed {
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn pass(&mut self, found: Found) -> TailItem {
        let item = match found {
            Found::Item(item) => {
                self.reading = None;
                item
            }
            Found::Before(first) => self.look_back(first),
        };
        self.next = match &item {
            TailItem::Batch(committed) if planted!(TailSkips) => committed.last_sequence() + 2,
            TailItem::Batch(committed) => committed.last_sequence() + 1,
            TailItem::Gap(gap) => gap.resume,
        };
        item
    }

    /// The next item where it is before the window. Not under the window's lock: it may read a file.
    fn look_back(&mut self, first: Sequence) -> TailItem {
        let found = |records: &Arc<Records>| records.find(self.next);
        let mut batch = self.reading.as_ref().and_then(found);
        if batch.is_none() {
            self.reading = None;
            match self.window.look_back(self.next, first) {
                Past::Gap(gap) => return TailItem::Gap(gap),
                Past::Records(records) => {
                    batch = found(&records);
                    self.reading = Some(records);
                }
            }
        }
        match batch {
            Some(batch) => TailItem::Batch(Committed {
                batch: Arc::new(batch),
                from: self.next,
            }),
            None => TailItem::Gap(Gap {
                from: self.next,
                resume: first,
            }),
        }
    }
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(budget: usize) -> Arc<Window> {
        let fs: Arc<dyn Fs> = Arc::new(crate::MemFs::new());
        Window::new(&fs, budget, 0, Vec::new())
    }

    #[test]
    fn a_wait_with_a_deadline_ends_with_nothing_and_misses_nothing() {
        let window = window(1_000);
        let mut tail = Tail::new(&window, 1);
        let soon = Instant::now() + std::time::Duration::from_millis(1);
        assert!(tail.wait_next_until(Some(soon)).unwrap().is_none());
        let mut batch = WriteBatch::new();
        batch.delete(b"k");
        batch.set_sequence(1);
        window.push([&batch].into_iter());
        let past = Instant::now();
        let found = tail.wait_next_until(Some(past)).unwrap();
        assert!(
            matches!(found, Some(TailItem::Batch(_))),
            "it was there already"
        );
    }

    #[test]
    fn a_reader_begins_at_any_batch_of_a_group_and_only_the_oldest_of_it_are_dropped() {
        let budget = 64 << 10;
        let window = window(budget);
        let group: Vec<WriteBatch> = (0..1_000)
            .map(|n: u64| {
                let mut batch = WriteBatch::new();
                batch.put(&n.to_be_bytes(), &[n as u8; 90]);
                batch.set_sequence(1 + n);
                batch
            })
            .collect();
        window.push(group.iter());
        assert!((budget / 2..=budget).contains(&window.bytes()));
        let first = window.state.lock().first();
        assert!((2..=600).contains(&first), "{first}");
        let gap = Gap {
            from: 1,
            resume: first,
        };
        let item = Tail::new(&window, 1).try_next();
        assert!(matches!(item, Some(TailItem::Gap(found)) if found == gap));
        for from in [first, first + 1, 700, 1_000] {
            let mut tail = Tail::new(&window, from);
            for expected in from..=1_000 {
                let Some(TailItem::Batch(found)) = tail.try_next() else {
                    panic!("{expected} is missing");
                };
                assert_eq!(found.batch(), &group[expected as usize - 1]);
            }
            assert!(tail.try_next().is_none());
        }
    }

    #[test]
    fn batches_of_many_groups_share_packs_that_keep_no_memory_they_do_not_need() {
        let budget = 256 << 10;
        let window = window(budget);
        let batches: Vec<WriteBatch> = (0..4_000)
            .map(|n: u64| {
                let mut batch = WriteBatch::new();
                let len = [0, 90, 5_000, 90, 1, 40_000][(n * n % 31 % 6) as usize];
                batch.put(&n.to_be_bytes(), &vec![n as u8; len]);
                batch.set_sequence(1 + n);
                batch
            })
            .collect();
        for (batch, last) in batches.iter().zip(1..) {
            window.push([batch].into_iter());
            let state = window.state.lock();
            let costs: usize = state.packs.iter().map(|pack| pack.cost).sum();
            assert_eq!(state.bytes, costs);
            assert!(costs <= budget);
            for pack in state.packs.iter().rev().skip(1) {
                assert_eq!(pack.bytes.capacity(), pack.bytes.len());
                assert!(pack.cost <= PACK_BYTES || pack.ends.len() == 1);
            }
            assert_eq!(state.packs.back().unwrap().last, last);
        }
        let state = window.state.lock();
        let (first, packs) = (state.first(), state.packs.len());
        drop(state);
        assert!(packs <= 2 * budget / PACK_BYTES, "{packs}");
        let mut tail = Tail::new(&window, first);
        for batch in &batches[first as usize - 1..] {
            let Some(TailItem::Batch(found)) = tail.try_next() else {
                panic!("{} is missing", batch.sequence());
            };
            assert_eq!(found.batch(), batch);
        }
        assert!(tail.try_next().is_none());
    }

    #[test]
    fn the_window_never_holds_more_than_its_budget() {
        let window = window(1_000);
        let mut next = 1;
        for len in [10, 300, 2_000, 0, 900, 100, 100, 100, 3_000] {
            let mut batch = WriteBatch::new();
            batch.put(b"key", &vec![0; len]);
            batch.delete(b"other");
            batch.set_sequence(next);
            next += 2;
            window.push([&batch].into_iter());
            assert!(window.bytes() <= 1_000);
        }
        assert_eq!(window.bytes(), 0, "the last was larger than the window");
        let gap = Gap {
            from: 1,
            resume: next,
        };
        let item = Tail::new(&window, 0).try_next();
        assert!(matches!(item, Some(TailItem::Gap(found)) if found == gap));
    }
}
