//! The session's lock, let go of in one place: what was decided under it for others is told to them after it.
//!
//! A task's waker is the caller's own code: it may run the task on the spot, which comes back here. So no waker is
//! called under the lock.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering;
use std::time::Instant;

use parking_lot::{Condvar, MutexGuard};

use super::{Inner, Session};

pub(super) struct Guard<'a> {
    session: &'a Session,
    /// Always there but for the moments in which the lock is let go.
    inner: Option<MutexGuard<'a, Inner>>,
}

impl Session {
    pub(super) fn lock(&self) -> Guard<'_> {
        Guard {
            session: self,
            inner: Some(self.inner.lock()),
        }
    }
}

impl Guard<'_> {
    /// Runs `f` without the lock.
    pub fn unlocked<R>(&mut self, f: impl FnOnce() -> R) -> R {
        self.release();
        let result = f();
        self.inner = Some(self.session.inner.lock());
        result
    }

    /// Waits for `condvar`, at most until `deadline`; may return at any time. True: the deadline passed.
    pub fn wait_until(&mut self, condvar: &Condvar, deadline: Instant) -> bool {
        if self.has_news() {
            self.unlocked(|| {});
            return false;
        }
        self.session
            .backlog
            .store(self.load.open, Ordering::Release);
        let inner = self.inner.as_mut().expect("it is locked");
        condvar.wait_until(inner, deadline).timed_out()
    }

    fn has_news(&self) -> bool {
        !self.wakes.is_empty() || self.driver.rung || self.driver.elector_rung || self.room.freed
    }

    fn release(&mut self) {
        let Some(mut inner) = self.inner.take() else {
            return;
        };
        self.session
            .backlog
            .store(inner.load.open, Ordering::Release);
        let news = &mut *inner;
        news.room.tell_next(&mut news.wakes);
        if news.room.is_empty() && self.session.line.load(Ordering::Relaxed) {
            self.session.line.store(false, Ordering::SeqCst);
        }
        let wakes = std::mem::take(&mut inner.wakes);
        let ring = std::mem::take(&mut inner.driver.rung);
        let ring_elector = std::mem::take(&mut inner.driver.elector_rung);
        drop(inner);
        if ring {
            self.session.driver_waker.wake();
            self.session.driver_rung.notify_one();
        }
        if ring_elector {
            self.session.elector.ring();
        }
        wakes.into_iter().for_each(std::task::Waker::wake);
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.release();
    }
}

impl Deref for Guard<'_> {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        self.inner.as_ref().expect("it is locked")
    }
}

impl DerefMut for Guard<'_> {
    fn deref_mut(&mut self) -> &mut Inner {
        self.inner.as_mut().expect("it is locked")
    }
}
