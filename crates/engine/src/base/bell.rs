//! [`Bell`]: wakes the leader's thread, from any member, under any lock.
//!
//! Promises: a ring is never lost while its ringer goes on: the thread's next rest ends at once. A caller that waits for the
//! thread's work rings surely, again and again. Ringing takes no lock where the thread is awake, so that a reader's last drop of a
//! version can ring.
//! Must not know: why anybody rings.

use std::any::Any;
use std::sync::Arc;

use crate::base::control::{BellKind, Control};
use crate::base::peers::Peers;
use crate::base::steps::step;

/// Wakes the leader's thread.
pub(crate) struct Bell {
    control: Control,
    peers: Arc<dyn Peers>,
}

impl Bell {
    /// The bell of a segment.
    pub(crate) fn new(control: &Control, peers: &Arc<dyn Peers>) -> Bell {
        Bell {
            control: control.clone(),
            peers: Arc::clone(peers),
        }
    }

    /// Wakes the thread.
    pub(crate) fn ring(&self) {
        if let Some(word) = self.control.ring(BellKind::Work) {
            step!(self.peers, Wake);
            self.peers.wake_all(word);
        }
    }

    /// Wakes the thread also where somebody has rung who died, or was stopped, before he had woken it.
    pub(crate) fn ring_surely(&self) {
        self.peers
            .wake_all(self.control.ring_always(BellKind::Work));
    }

    /// Before the thread looks for work: a ring from now on ends the [rest](Bell::rest) that gets the answer.
    pub(crate) fn listen(&self) -> u32 {
        self.control.announce_sleep_at(BellKind::Work).1
    }

    /// Waits for a ring since `heard`; ends without one after a while.
    pub(crate) fn rest(&self, heard: u32) {
        let (word, _) = self.control.bell(BellKind::Work);
        self.peers.sleep(word, heard, self.peers.longest_rest());
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

#[cfg(all(test, not(loom)))]
mod tests;
