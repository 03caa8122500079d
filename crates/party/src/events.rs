//! What happens to a process's part in its party, told as it happens.
//!
//! Nothing is asked of anybody for it: the elector, which alone changes the part, says what it did. Each event goes to the
//! receivers, to `tracing`, and to the last events that a [`Status`](crate::Status) shows. A receiver that reads nothing
//! costs a bounded queue.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use level_party_locks::{Condvar, Mutex, MutexGuard};

use crate::limits::Limits;
use crate::status::{LastTrouble, PastEvent};
use crate::trace;

/// Events that wait for one receiver. Of more the oldest go, and their number is told.
const WAITING: usize = 256;
/// The last events that are kept for a status.
const KEPT: usize = 16;

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
    /// Something went wrong in this process's part: it could not connect or lead, its leadership could not go on, it could
    /// write no more. It goes on nevertheless. What goes wrong in the same way again and again is told once.
    Trouble {
        /// A sentence.
        what: String,
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

/// All receivers of a process's part in one directory, and what was told them last.
pub(crate) struct Hub {
    /// The directory.
    dir: Box<str>,
    queues: Mutex<Vec<Weak<Queue>>>,
    last: Mutex<VecDeque<(Event, Instant)>>,
}

impl Hub {
    pub fn new(dir: impl Into<Box<str>>) -> Hub {
        Hub {
            dir: dir.into(),
            queues: Mutex::default(),
            last: Mutex::default(),
        }
    }

    /// What events call the directory.
    pub fn dir(&self) -> &str {
        &self.dir
    }

    pub fn receive(&self) -> Events {
        let queue = Arc::new(Queue::default());
        self.queues.lock().push(Arc::downgrade(&queue));
        Events { queue }
    }

    pub fn tell(&self, event: Event) {
        if !self.note(&event) {
            return;
        }
        trace::event(&self.dir, &event);
        self.queues.lock().retain(|queue| {
            let queue = queue.upgrade();
            queue.inspect(|queue| queue.push(event.clone())).is_some()
        });
    }

    /// Keeps an event for a status. False: it is a trouble that goes on, and was told.
    fn note(&self, event: &Event) -> bool {
        let mut last = self.last.lock();
        if let (Event::Trouble { .. }, Some((before, at))) = (event, last.back_mut())
            && before == event
        {
            *at = Instant::now();
            return false;
        }
        if last.len() == KEPT {
            last.pop_front();
        }
        last.push_back((event.clone(), Instant::now()));
        true
    }

    /// The last events, the newest first.
    pub fn last(&self) -> Vec<PastEvent> {
        let past = |(event, at): &(Event, Instant)| PastEvent {
            event: event.clone(),
            ago: at.elapsed(),
        };
        self.last.lock().iter().rev().map(past).collect()
    }

    /// What went wrong last, as far as the last events tell.
    pub fn last_trouble(&self) -> Option<LastTrouble> {
        let last = self.last.lock();
        let found = last.iter().rev().find_map(|(event, at)| match event {
            Event::Trouble { what } => Some((what.clone(), at)),
            Event::LeaderLost { leader_pid, .. } => Some((connection_ended(*leader_pid), at)),
            _ => None,
        });
        let (what, at) = found?;
        Some(LastTrouble {
            what,
            ago: at.elapsed(),
        })
    }
}

/// What is said of a lost leader where it is a trouble.
pub(crate) fn connection_ended(leader_pid: u32) -> String {
    format!("the connection to the leader (pid {leader_pid}) ended")
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
        let hub = Hub::new("dir");
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

    #[test]
    fn repeated_trouble_is_told_once_and_kept_for_status() {
        let hub = Hub::new("dir");
        let mut events = hub.receive();
        let trouble = || Event::Trouble {
            what: "no answer".into(),
        };
        hub.tell(Event::Elected { epoch: 1 });
        hub.tell(trouble());
        hub.tell(trouble());
        let told: Vec<_> = std::iter::from_fn(|| events.try_next()).collect();
        assert_eq!(told, [Event::Elected { epoch: 1 }, trouble()]);
        let last: Vec<_> = hub.last().into_iter().map(|past| past.event).collect();
        assert_eq!(last, [trouble(), Event::Elected { epoch: 1 }]);
        assert_eq!(hub.last_trouble().expect("a trouble").what, "no answer");
        for epoch in 2..2 + KEPT as u64 {
            hub.tell(Event::Elected { epoch });
        }
        assert_eq!((hub.last().len(), hub.last_trouble()), (KEPT, None));
    }
}
