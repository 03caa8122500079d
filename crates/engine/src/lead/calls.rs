//! [`Calls`]: whether anybody has called the leader since it looked last.
//!
//! Promises: a call by any member is seen once, by whoever asks next.
//! Must not know: what is called for.

use crate::base::control::Control;

/// The calls that the leader has seen.
pub(crate) struct Calls {
    control: Control,
    seen: u64,
}

impl Calls {
    /// The first look finds one: something may be frozen.
    pub(crate) fn new(control: Control) -> Calls {
        let seen = control.calls().wrapping_sub(1);
        Calls { control, seen }
    }

    /// Whether there is one that was not taken.
    #[inline]
    pub(crate) fn are_new(&self) -> bool {
        self.control.calls() != self.seen
    }

    /// Whether there is one, and takes it.
    pub(crate) fn take(&mut self) -> bool {
        let now = self.control.calls();
        std::mem::replace(&mut self.seen, now) != now
    }
}
