//! [`Bell`]: wakes the background thread, from any thread, under any lock.
//!
//! Promises: a ring is never lost: if the thread is awake, its next rest ends at once. Ringing takes no lock, so that a
//! reader's last drop of a version can ring.
//! Must not know: why anybody rings.

use std::any::Any;
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};

/// Wakes the background thread.
#[derive(Default)]
pub(crate) struct Bell {
    thread: OnceLock<Thread>,
}

impl Bell {
    /// The calling thread is the one to be woken from now on.
    pub(crate) fn answer_here(&self) {
        // There is one background thread.
        let _ = self.thread.set(thread::current());
    }

    /// Wakes the thread. Before it answers there is nobody to wake: it looks for work before its first rest.
    pub(crate) fn ring(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Waits for a ring since the last rest; may end without one.
    pub(crate) fn rest(&self) {
        thread::park();
    }

    /// Something that rings when it is dropped.
    pub(crate) fn ring_on_drop(self: &Arc<Bell>) -> Box<dyn Any + Send + Sync> {
        Box::new(OnDrop(Arc::clone(self)))
    }
}

struct OnDrop(Arc<Bell>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.ring();
    }
}
