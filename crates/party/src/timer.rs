//! Wakes tasks at their deadlines.
//!
//! Promises: a waker that is set is called once its moment has come, unless it is taken back before; never under a lock of
//! this file. There is one thread a node, started with the first waker.
//! Must not know: what a task waits for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use level_party_locks::{Condvar, Mutex};

use crate::error::{Error, Result};

/// The deadlines of a node's tasks.
#[derive(Default)]
pub(crate) struct Timer {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    wakers: BTreeMap<Key, Waker>,
    next: u64,
    running: bool,
    closed: bool,
}

type Key = (Instant, u64);

/// A waker that is set; dropped, it is taken back.
pub(crate) struct Alarm {
    shared: Arc<Shared>,
    key: Key,
}

impl Timer {
    /// Has `waker` called at `at`.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn set(&self, at: Instant, waker: &Waker) -> Result<Alarm> {
        let mut state = self.shared.state.lock();
        if !state.running && !state.closed {
            let shared = self.shared.clone();
            std::thread::Builder::new()
                .name("level-party-timer".into())
                .spawn(move || shared.run())
                .map_err(|error| Error::io("cannot start a thread", error))?;
            state.running = true;
        }
        let key = (at, state.next);
        state.next += 1;
        let is_first = state.wakers.first_key_value().is_none_or(|(k, _)| key < *k);
        state.wakers.insert(key, waker.clone());
        drop(state);
        if is_first {
            self.shared.changed.notify_one();
        }
        Ok(Alarm {
            shared: self.shared.clone(),
            key,
        })
    }

    /// The node closes: the thread ends, and whoever waits still is woken now.
    pub fn close(&self) {
        let mut state = self.shared.state.lock();
        state.closed = true;
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        self.shared.changed.notify_one();
        wakers.into_values().for_each(Waker::wake);
    }
}

impl Alarm {
    /// The task waits with another waker by now.
    pub fn renew(&self, waker: &Waker) {
        let waker = waker.clone();
        let before = {
            let mut state = self.shared.state.lock();
            let kept = state.wakers.get_mut(&self.key);
            kept.map(|kept| std::mem::replace(kept, waker))
        };
        drop(before);
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let taken = self.shared.state.lock().wakers.remove(&self.key);
        // A waker's drop is the task's own code.
        drop(taken);
    }
}

impl Shared {
    fn run(&self) {
        let mut state = self.state.lock();
        while !state.closed {
            let Some((&key, _)) = state.wakers.first_key_value() else {
                self.changed.wait(&mut state);
                continue;
            };
            if key.0 > Instant::now() {
                self.changed.wait_until(&mut state, key.0);
                continue;
            }
            let waker = state.wakers.remove(&key);
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
            state = self.state.lock();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::task::Wake;
    use std::time::Duration;

    use super::*;

    struct Told(u8, Sender<u8>);

    impl Wake for Told {
        fn wake(self: Arc<Self>) {
            let _ = self.1.send(self.0);
        }
    }

    #[test]
    fn wakers_are_called_in_order_and_not_once_taken_back() {
        let timer = Timer::default();
        let (told, tells) = channel();
        let waker = |n| Waker::from(Arc::new(Told(n, told.clone())));
        let now = Instant::now();
        let late = timer
            .set(now + Duration::from_millis(20), &waker(2))
            .unwrap();
        let never = timer
            .set(now + Duration::from_millis(10), &waker(9))
            .unwrap();
        let soon = timer
            .set(now + Duration::from_millis(5), &waker(1))
            .unwrap();
        drop(never);
        assert_eq!([tells.recv().unwrap(), tells.recv().unwrap()], [1, 2]);
        drop((late, soon));
        let century = timer
            .set(now + Duration::from_secs(3600), &waker(3))
            .unwrap();
        timer.close();
        assert_eq!(tells.recv().unwrap(), 3);
        drop(century);
    }
}
