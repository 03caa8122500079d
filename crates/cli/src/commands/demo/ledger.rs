//! What the demo's threads count and share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Counters and facts, each written by whoever knows it first hand.
pub struct Ledger {
    /// For each writer, the newest batch whose acknowledgement was read.
    acked: Vec<AtomicU64>,
    /// Acknowledgements read.
    pub writes: AtomicU64,
    /// Values read.
    pub reads: AtomicU64,
    /// Values read that were older than an acknowledgement before the read.
    pub stale: AtomicU64,
    /// Entries that the present pass of the stream has seen.
    pub streamed: AtomicU64,
    /// Calls that were answered by an error.
    pub errors: AtomicU64,
    /// Leaders killed.
    pub kills: AtomicU64,
    /// Passes of the stream that went to their end, with the leaders killed during each.
    passes: Mutex<Vec<Pass>>,
    /// When the show ends.
    end: Instant,
    /// Whether the show is over.
    stop: AtomicBool,
    /// Whether the show cannot go on.
    broken_off: AtomicBool,
    /// Wakes who waits for a moment of the show, when it is over before.
    stopping: (Mutex<()>, Condvar),
    leader: Mutex<Option<Leader>>,
    probe: Mutex<Option<Probe>>,
    troubles: Mutex<Vec<String>>,
}

/// Who leads, as a reader was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    pub pid: u32,
    pub epoch: u64,
}

/// A wait for the first write after a kill: sent after it, by a process that was there before.
struct Probe {
    after: Instant,
    killed: usize,
}

/// A finished pass of the stream.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    pub entries: u64,
    /// Leaders killed meanwhile.
    pub kills: u64,
    /// How often the stream's own process led and was killed.
    pub restarts: u64,
}

impl Ledger {
    /// Nothing has happened yet; the show is to end at `end`.
    pub fn new(writers: usize, end: Instant) -> Self {
        Ledger {
            end,
            stopping: (Mutex::new(()), Condvar::new()),
            acked: (0..writers).map(|_| AtomicU64::new(0)).collect(),
            writes: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            stale: AtomicU64::new(0),
            streamed: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            kills: AtomicU64::new(0),
            passes: Mutex::new(Vec::new()),
            stop: AtomicBool::new(false),
            broken_off: AtomicBool::new(false),
            leader: Mutex::new(None),
            probe: Mutex::new(None),
            troubles: Mutex::new(Vec::new()),
        }
    }

    /// Notes that batch `n` was acknowledged.
    pub fn acknowledge(&self, writer: usize, n: u64) {
        self.acked[writer].store(n, SeqCst);
        self.writes.fetch_add(1, SeqCst);
    }

    /// The newest batch of a writer that was acknowledged by now.
    pub fn acked(&self, writer: usize) -> u64 {
        self.acked[writer].load(SeqCst)
    }

    /// The newest acknowledged batch of each writer.
    pub fn floors(&self) -> Vec<u64> {
        self.acked.iter().map(|n| n.load(SeqCst)).collect()
    }

    /// Ends the show.
    pub fn stop(&self) {
        let _guard = lock(&self.stopping.0);
        self.stop.store(true, SeqCst);
        self.stopping.1.notify_all();
    }

    /// Ends the show, with no children left.
    pub fn break_off(&self) {
        self.broken_off.store(true, SeqCst);
        self.stop();
    }

    pub fn is_broken_off(&self) -> bool {
        self.broken_off.load(SeqCst)
    }

    /// How long the show goes on.
    pub fn time_left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Waits for a moment, or for the end of the show.
    pub fn pause_until(&self, due: Instant) {
        let mut guard = lock(&self.stopping.0);
        while !self.stopped() {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.stopping.1.wait_timeout(guard, left);
            guard = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub fn stopped(&self) -> bool {
        self.stop.load(SeqCst)
    }

    /// Takes what a reader was told; says whether it is a new leader.
    pub fn hear(&self, told: Leader) -> bool {
        let mut leader = lock(&self.leader);
        if leader.is_some_and(|known| known.epoch >= told.epoch) {
            return false;
        }
        *leader = Some(told);
        true
    }

    /// The newest leader that anybody heard of.
    pub fn leader(&self) -> Option<Leader> {
        *lock(&self.leader)
    }

    /// Waits for the first write sent from now on by a writer other than `killed`.
    pub fn arm(&self, killed: usize) {
        *lock(&self.probe) = Some(Probe {
            after: Instant::now(),
            killed,
        });
    }

    /// Whether this acknowledged write is the one waited for; it is told only once.
    pub fn is_first_after_kill(&self, writer: usize, sent: Instant) -> bool {
        let mut probe = lock(&self.probe);
        let first = probe
            .as_ref()
            .is_some_and(|probe| probe.killed != writer && sent >= probe.after);
        if first {
            *probe = None;
        }
        first
    }

    pub fn passed(&self, pass: Pass) {
        lock(&self.passes).push(pass);
    }

    pub fn passes(&self) -> Vec<Pass> {
        lock(&self.passes).clone()
    }

    /// Notes something that should not have happened.
    pub fn trouble(&self, what: impl std::fmt::Display) {
        lock(&self.troubles).push(what.to_string());
    }

    pub fn troubles(&self) -> Vec<String> {
        lock(&self.troubles).clone()
    }
}

/// A thread that panicked does not take the counts with it.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_later_epoch_names_a_new_leader() {
        let ledger = Ledger::new(1, Instant::now());
        let leader = |pid, epoch| Leader { pid, epoch };
        assert!(ledger.hear(leader(7, 2)));
        assert!(!ledger.hear(leader(6, 1)));
        assert!(!ledger.hear(leader(7, 2)));
        assert_eq!(ledger.leader(), Some(leader(7, 2)));
    }

    #[test]
    fn first_write_after_a_kill_is_sent_by_a_survivor() {
        let ledger = Ledger::new(2, Instant::now());
        let before = Instant::now();
        ledger.arm(0);
        let after = Instant::now();
        assert!(
            !ledger.is_first_after_kill(1, before.checked_sub(Duration::from_millis(1)).unwrap())
        );
        assert!(!ledger.is_first_after_kill(0, after));
        assert!(ledger.is_first_after_kill(1, after));
        assert!(!ledger.is_first_after_kill(1, after));
    }
}
