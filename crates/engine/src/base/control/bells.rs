//! The bells of a segment: who waits for news sleeps at one, whoever has news rings it (docs/SEGMENT.md, Bells).
//!
//! The low half of a bell counts its rings, and is what a sleeper looks at last; bit 63 says that somebody sleeps. A ringer
//! stores its news, makes a fence, and looks at the bit; a sleeper sets the bit, makes a fence, looks at the news, and
//! sleeps. Without either fence both can miss each other. A ring may be lost with a ringer that dies, so no sleep is without
//! an end.

use std::sync::atomic::Ordering;

use super::{At, Control, FLAG};
use crate::base::sync::{AtomicU64, fence};

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BellKind {
    /// The commit lock is given back. Bit 63 of the lock says whether somebody sleeps.
    Lock,
    /// A version was published, or could not be.
    Progress,
    /// The leader has something to do.
    Work,
    /// Something was committed. Bit 62 of the commit lock says whether somebody sleeps.
    Published,
    /// A member's sync has ended.
    Sync,
}

impl BellKind {
    fn at(self) -> At {
        At(match self {
            BellKind::Lock => 320,
            BellKind::Progress => 328,
            BellKind::Work => 336,
            BellKind::Published => 344,
            BellKind::Sync => 352,
        })
    }
}

impl Control {
    /// The word at which one sleeps, and its low half at this moment.
    pub(crate) fn bell(&self, bell: BellKind) -> (&AtomicU64, u32) {
        let word = self.word(bell.at());
        (word, word.load(Ordering::SeqCst) as u32)
    }

    /// Says that somebody will sleep, before it looks at the news. Gives what it has to sleep with.
    pub(crate) fn announce_sleep_at(&self, bell: BellKind) -> (&AtomicU64, u32) {
        let word = self.word(bell.at());
        let rings = word.fetch_or(FLAG, Ordering::SeqCst) as u32;
        fence(Ordering::SeqCst);
        (word, rings)
    }

    /// Counts a ring, after the news were stored. Gives the word if somebody has to be woken there.
    pub(crate) fn ring(&self, bell: BellKind) -> Option<&AtomicU64> {
        if !planted!(RingWithoutFence) {
            fence(Ordering::SeqCst);
        }
        let word = self.word(bell.at());
        let mut seen = word.load(Ordering::Relaxed);
        while seen & FLAG != 0 {
            let rung = u64::from((seen as u32).wrapping_add(1));
            match word.compare_exchange(seen, rung, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => return Some(word),
                Err(now) => seen = now,
            }
        }
        None
    }

    /// Counts a ring of a bell whose sleepers another word tells of. Gives the word at which they sleep.
    pub(crate) fn ring_always(&self, bell: BellKind) -> &AtomicU64 {
        let word = self.word(bell.at());
        word.fetch_add(1, Ordering::SeqCst);
        word
    }
}
