//! Looking for what is about to come instead of sleeping, where calls come in bursts.
//!
//! To wake a thread on another core takes tens of microseconds, as long as answering dozens of calls: a peer that has
//! just sent a burst is answered, and sends the next, sooner than that. So both ends of a connection look for a moment
//! before they sleep, after bursts alone, and less and less often where it was in vain (the peer shares the core, or a
//! disk is waited for): what looking costs is then lost in what sleeping does.

use std::time::Duration;

/// How long one looks for what comes next: about as long as it takes to be woken twice, which is what sleeping costs a
/// task (the driver is, and then the task's own thread). A leader has made 64 puts by then.
pub(crate) const LOOK: Duration = Duration::from_micros(200);
/// So many calls that came together, or more, are a burst.
pub(crate) const BURST: usize = 4;
/// After looking in vain again and again, two to this power bursts pass before the next try.
const MOST_VAIN: u32 = 7;

/// Whether it is worth while to look.
#[derive(Debug, Default)]
pub(crate) struct Hope {
    vain: u32,
    pass: u32,
}

impl Hope {
    /// A burst has ended. Whether to look for the next.
    pub fn is_there(&mut self) -> bool {
        let there = self.pass == 0;
        self.pass = self.pass.saturating_sub(1);
        there
    }

    /// Something came in time.
    pub fn fulfilled(&mut self) {
        self.vain = 0;
    }

    /// Nothing did.
    pub fn disappointed(&mut self) {
        self.vain = (self.vain + 1).min(MOST_VAIN);
        self.pass = (1 << self.vain) - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_in_vain_is_tried_again_less_and_less_often_but_always_again() {
        let mut hope = Hope::default();
        let mut tries = Vec::new();
        for burst in 0..1000 {
            if hope.is_there() {
                tries.push(burst);
                hope.disappointed();
            }
        }
        let pauses: Vec<i32> = tries.windows(2).map(|two| two[1] - two[0]).collect();
        assert_eq!(pauses[..7], [2, 4, 8, 16, 32, 64, 128]);
        assert!(pauses[7..].iter().all(|pause| *pause == 128));
        hope.pass = 0;
        for _ in 0..3 {
            assert!(hope.is_there());
            hope.fulfilled();
        }
        hope.disappointed();
        assert!(!hope.is_there());
        assert!(hope.is_there(), "once in vain, one burst passes");
    }
}
