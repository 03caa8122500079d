//! What happens to a process's part in its party, told as it happens.
//!
//! Nothing is asked of anybody for it: the elector, which alone changes the part, says what it did. A receiver that reads
//! nothing costs a bounded queue.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::limits::Limits;

/// Events that wait for one receiver. Of more the oldest go, and their number is told.
const WAITING: usize = 256;

/// Something that happened to this process's part in the party.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(tag = "event", rename_all = "kebab-case")
)]
#[non_exhaustive]
pub enum Event {
    /// This process leads from here on.
    Elected {
        /// Its leadership's number.
        epoch: u64,
    },
    /// Another process leads from here on.
    Attached {
        /// The leader's process.
        leader_pid: u32,
        /// Its leadership's number.
        epoch: u64,
    },
    /// The leader has gone, or the connection to it has. Reads and writes go on.
    LeaderLost {
        /// The leader's process.
        leader_pid: u32,
        /// Its leadership's number.
        epoch: u64,
    },
    /// This process has stopped leading. It reads and writes on, unless it closes.
    SteppedDown {
        /// Its leadership's number.
        epoch: u64,
        /// Whether it could not go on: a manifest could not be written, or the directory was no longer its own.
        failed: bool,
    },
    /// Openings of the database lost something that nobody has acknowledged: told whenever this process has opened it.
    /// [`Db::losses`](crate::Db::losses) tells it at any time.
    Losses {
        /// A sentence each; see [`LeaderStatus::losses`](crate::LeaderStatus::losses).
        losses: Vec<String>,
    },
    /// So many events were not read in time and are not told.
    Missed {
        /// How many.
        count: u64,
    },
}

/// What happens to this process's part in the party, from when it was made; made by [`Db::events`](crate::Db::events).
///
/// As an iterator it waits for the next event, and ends when the handle it was made from is closed or dropped: it tells of the
/// handle, and does not keep it open.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use level_party::Event;
/// let db = level_party::Db::open(dir.path())?;
/// let events = db.events()?;
/// db.close()?;
/// let last = events.last(); // the election may be told before it
/// assert!(last.is_none_or(|event| matches!(event, Event::SteppedDown { .. })));
/// # Ok::<(), level_party::Error>(())
/// ```
pub struct Events {
    queue: Arc<Queue>,
}

#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Event>,
    missed: u64,
    closed: bool,
    /// The task that waits; a queue has one receiver.
    waker: Option<Waker>,
}

impl State {
    fn take(&mut self) -> Option<Event> {
        match std::mem::take(&mut self.missed) {
            0 => self.waiting.pop_front(),
            count => Some(Event::Missed { count }),
        }
    }
}

impl Queue {
    fn push(&self, event: Event) {
        let mut state = self.state.lock();
        if state.waiting.len() == WAITING {
            state.waiting.pop_front();
            state.missed += 1;
        }
        state.waiting.push_back(event);
        self.wake(state);
    }

    /// Wakes whoever waits, not under the lock: a waker is the task's own code.
    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let waker = state.waker.take();
        drop(state);
        self.changed.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// No more events come; those that wait are still given.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        self.wake(state);
    }
}

/// All receivers of a process's part in one directory.
#[derive(Default)]
pub(crate) struct Hub {
    queues: Mutex<Vec<Weak<Queue>>>,
}

impl Hub {
    pub fn receive(&self) -> Events {
        let queue = Arc::new(Queue::default());
        self.queues.lock().push(Arc::downgrade(&queue));
        Events { queue }
    }

    pub fn tell(&self, event: Event) {
        self.queues.lock().retain(|queue| {
            let queue = queue.upgrade();
            queue.inspect(|queue| queue.push(event.clone())).is_some()
        });
    }
}

impl Events {
    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// The next event, if it has come already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.queue.state.lock().take()
    }

    /// The next event, waiting no longer than `limit`. `None`: there was none, or none comes any more.
    pub fn next_timeout(&mut self, limit: Duration) -> Option<Event> {
        let deadline = Limits::new(limit, true).deadline;
        let mut state = self.queue.state.lock();
        loop {
            let found = state.take();
            if found.is_some() || state.closed {
                return found;
            }
            if self
                .queue
                .changed
                .wait_until(&mut state, deadline)
                .timed_out()
            {
                return state.take();
            }
        }
    }

    /// The next event; otherwise the task is woken when there is one, or none comes any more.
    pub(crate) fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut state = self.queue.state.lock();
        let found = state.take();
        if found.is_some() || state.closed {
            return Poll::Ready(found);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.next_timeout(Duration::MAX)
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_that_reads_nothing_is_told_how_much_it_missed() {
        let hub = Hub::default();
        let mut events = hub.receive();
        for epoch in 1..=300 {
            hub.tell(Event::Elected { epoch });
        }
        assert_eq!(events.next(), Some(Event::Missed { count: 44 }));
        assert_eq!(events.next(), Some(Event::Elected { epoch: 45 }));
        events.queue().close();
        assert_eq!(events.by_ref().count(), 255, "what waits is given");
        assert_eq!(events.next(), None);
        drop(events);
        hub.tell(Event::Elected { epoch: 301 });
        assert!(hub.queues.lock().is_empty(), "nobody listens any more");
    }
}
