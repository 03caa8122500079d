//! A thread that makes one call after another, and notes when each was answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use level_party_bench::{Error, Result};

use crate::clock::clock;

/// Answers that are remembered at first: more than a process gets in a round.
const ANSWERS: usize = 1 << 20;

/// The thread.
pub struct Caller {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<u64>>>,
}

/// When calls were answered, in order.
pub struct Answers(Vec<u64>);

impl Caller {
    /// Makes the first call here, and the others there.
    pub fn start(mut call: impl FnMut() -> Result<()> + Send + 'static) -> Result<Caller> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        call()?;
        let thread = std::thread::spawn(move || {
            let mut times = Vec::with_capacity(ANSWERS);
            while !stopped.load(Ordering::Relaxed) {
                call()?;
                times.push(clock());
            }
            // One call more, so that the pause has an end even if it was all there was.
            call()?;
            times.push(clock());
            Ok(times)
        });
        Ok(Caller { stop, thread })
    }

    /// Ends the calls.
    pub fn stop(self) -> Result<Answers> {
        self.stop.store(true, Ordering::Relaxed);
        let times = self
            .thread
            .join()
            .map_err(|_| Error::from("the caller panicked"))?;
        times.map(Answers)
    }
}

impl Answers {
    /// The longest pause between two answers that ended after `from` and not after `to`: its two ends. `None`: no call was
    /// answered in that time.
    pub fn longest_pause(&self, from: u64, to: u64) -> Option<(u64, u64)> {
        let pauses = self.0.windows(2).map(|pair| (pair[0], pair[1]));
        pauses
            .filter(|(_, end)| (from + 1..=to).contains(end))
            .max_by_key(|(begin, end)| end - begin)
    }
}
