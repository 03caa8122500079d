//! What `top` has seen so far.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use level_party::Status;

/// Samples kept: more than a wide screen has columns.
const KEPT: usize = 300;

/// The latest status and what came before it.
pub struct History {
    pub dir: String,
    pub status: Option<Status>,
    /// Why the latest question was not answered.
    pub trouble: Option<String>,
    /// Writes a second, the latest last.
    pub rates: VecDeque<u64>,
    /// How long each question took.
    latencies: VecDeque<Duration>,
    /// The sequence number last seen, and when.
    seen: Option<(u64, Instant)>,
    /// Leaders seen since the start, less the first.
    pub changes: u64,
}

impl History {
    pub fn new(dir: String) -> Self {
        History {
            dir,
            status: None,
            trouble: None,
            rates: VecDeque::new(),
            latencies: VecDeque::new(),
            seen: None,
            changes: 0,
        }
    }

    /// Takes an answer to a question that was asked and answered at these times.
    pub fn take(&mut self, status: Status, asked: Instant, answered: Instant) {
        push(&mut self.latencies, answered - asked);
        let sequence = status.leader.last_sequence;
        if let Some((before, when)) = self.seen {
            let seconds = (answered - when).as_secs_f64().max(1e-3);
            let rate = sequence.saturating_sub(before) as f64 / seconds;
            push(&mut self.rates, rate.round() as u64);
        }
        self.seen = Some((sequence, answered));
        if let Some(before) = &self.status {
            self.changes += u64::from(before.leader.epoch != status.leader.epoch);
        }
        self.status = Some(status);
        self.trouble = None;
    }

    /// Takes a question that was not answered.
    pub fn fail(&mut self, why: String) {
        self.trouble = Some(why);
    }

    /// The latest rate.
    pub fn rate(&self) -> u64 {
        self.rates.back().copied().unwrap_or(0)
    }

    /// The latency that `share` of the kept questions did not exceed.
    pub fn latency(&self, share: f64) -> Duration {
        let mut sorted: Vec<Duration> = self.latencies.iter().copied().collect();
        sorted.sort_unstable();
        let place = (sorted.len() as f64 * share) as usize;
        let last = sorted.len().saturating_sub(1);
        sorted.get(place.min(last)).copied().unwrap_or_default()
    }
}

fn push<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() == KEPT {
        list.pop_front();
    }
    list.push_back(item);
}
