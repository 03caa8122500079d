//! What wakes the elector, whether it waits for a connection's end or for time to pass.

use std::io;
use std::time::Duration;

use level_party_locks::{Condvar, Mutex};
use level_party_os::Waker;

/// Rung by whoever has news for the elector; stays rung until it is heard.
pub(crate) struct Alarm {
    waker: Waker,
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Alarm {
    pub fn new() -> io::Result<Self> {
        Ok(Alarm {
            waker: Waker::new()?,
            rung: Mutex::new(false),
            changed: Condvar::new(),
        })
    }

    pub fn ring(&self) {
        let mut rung = self.rung.lock();
        *rung = true;
        self.waker.wake();
        self.changed.notify_all();
    }

    /// Makes it silent again. Look at what it was rung for after this.
    pub fn hear(&self) {
        let mut rung = self.rung.lock();
        *rung = false;
        self.waker.reset();
    }

    /// What a wait for a connection's end takes.
    pub fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Waits until it is rung or `limit` has passed; `None` waits for the ring alone.
    pub fn wait(&self, limit: Option<Duration>) {
        let mut rung = self.rung.lock();
        match limit {
            Some(limit) => {
                self.changed.wait_while_for(&mut rung, |rung| !*rung, limit);
            }
            None => self.changed.wait_while(&mut rung, |rung| !*rung),
        }
    }
}
