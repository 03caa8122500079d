//! [`Bells`]: sleeping until another process changes a word of shared memory.
//!
//! A bell is the low half of a 64-bit word that all members map. A ringer changes it, then wakes. A sleeper says which value it
//! saw. The upper half is the caller's.
//!
//! **Promises.** A sleep begins only while the low half is what the sleeper saw, and ends by its timeout at the latest. It uses
//! no processor time. It may end early, for nothing.
//!
//! | system | a sleep rests on | a wake can be missed |
//! |---|---|---|
//! | Linux | a futex on the word (shared, not private) | never |
//! | macOS 14.4 and later | `os_sync_wait_on_address`, shared | never |
//! | Windows | two events a bell, handed to each member | after two rings between a sleeper's look and its sleep |
//! | else (old macOS, a filter of system calls) | short naps between looks at the word | the news is seen up to 100 ms late |
//!
//! A missed wake costs the rest of a timeout: that is why no sleep is without one.
//!
//! **Must not know.** What a ring means, or which members sleep.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::{BorrowedHandle, MAX_HANDLES, OwnedHandle};

#[cfg_attr(target_os = "linux", path = "unix/bells/linux.rs")]
#[cfg_attr(target_vendor = "apple", path = "unix/bells/apple.rs")]
#[cfg_attr(windows, path = "windows/bells.rs")]
mod system;

/// Most bells that one segment may have: their handles, where they have some, travel at once with the segment's own.
pub const MAX_BELLS: usize = (MAX_HANDLES - 1) / 2;

/// A longer sleep ends after this.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The bells of a segment, by number. The words are the segment's.
///
/// ```
/// use std::sync::atomic::Ordering;
/// use std::time::Duration;
/// use level_party_os::{Bells, SharedSegment};
/// let segment = SharedSegment::create(4096)?;
/// segment.reserve(0, 4096)?;
/// let (bells, word) = (Bells::create(1)?, &segment.words()[40]);
/// let seen = word.load(Ordering::Acquire) as u32;
/// assert!(!bells.wait(0, word, seen, Duration::from_millis(1)), "nobody rings");
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         word.fetch_add(1, Ordering::AcqRel);
///         bells.wake_all(0, word);
///     });
///     while word.load(Ordering::Acquire) as u32 == seen {
///         bells.wait(0, word, seen, Duration::from_secs(1));
///     }
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Bells {
    system: system::Bells,
}

impl Bells {
    /// Makes `count` bells, as the founder of a segment does.
    ///
    /// # Errors
    /// `InvalidInput` for more than [`MAX_BELLS`]; on Windows, when the system has no handle left.
    pub fn create(count: usize) -> io::Result<Self> {
        check(count)?;
        let system = system::Bells::create(count)?;
        Ok(Self { system })
    }

    /// The same bells in another process, from [`Self::handles`] in their order.
    ///
    /// # Errors
    /// `InvalidData` if they are not as many as [`Self::handles_of`] says, or no events; `InvalidInput` as
    /// [`Self::create`].
    pub fn from_handles(handles: Vec<OwnedHandle>, count: usize) -> io::Result<Self> {
        check(count)?;
        if handles.len() != Self::handles_of(count) {
            return Err(refused("another number of handles than agreed"));
        }
        let system = system::Bells::of_handles(handles)?;
        Ok(Self { system })
    }

    /// How many handles go with `count` bells: none but on Windows.
    pub const fn handles_of(count: usize) -> usize {
        system::HANDLES * count
    }

    /// The handles to pass to another process.
    pub fn handles(&self) -> Vec<BorrowedHandle<'_>> {
        self.system.handles()
    }

    /// Sleeps while the low half of `word` is `seen`, until somebody wakes this bell, or the timeout passes. False: the
    /// timeout passed, and the low half was `seen` to the end. True: it changed, or the sleep ended for another reason.
    ///
    /// `word` is the one of this bell, in every process. Its change is seen with acquire order.
    pub fn wait(&self, bell: usize, word: &AtomicU64, seen: u32, timeout: Duration) -> bool {
        if !is(word, seen) {
            return true;
        }
        if timeout.is_zero() {
            return false;
        }
        self.system.wait(bell, word, seen, timeout.min(LONGEST)) || !is(word, seen)
    }

    /// Wakes one sleeper of the bell. Change the word first. On Windows it wakes all of them.
    pub fn wake_one(&self, bell: usize, word: &AtomicU64) {
        self.system.wake(bell, word, Wake::One);
    }

    /// Wakes all sleepers of the bell. Change the word first.
    pub fn wake_all(&self, bell: usize, word: &AtomicU64) {
        self.system.wake(bell, word, Wake::All);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wake {
    One,
    All,
}

fn is(word: &AtomicU64, seen: u32) -> bool {
    word.load(Ordering::Acquire) as u32 == seen
}

/// Looks at the word again and again, where the system can't do better. Naps grow with the sleep, so that a short wait is
/// answered soon and a long one costs little.
fn nap(word: &AtomicU64, seen: u32, timeout: Duration) -> bool {
    let begun = Instant::now();
    loop {
        if !is(word, seen) {
            return true;
        }
        let passed = begun.elapsed();
        let Some(left) = timeout.checked_sub(passed).filter(|left| !left.is_zero()) else {
            return false;
        };
        let nap = (passed / 4).clamp(Duration::from_millis(1), Duration::from_millis(100));
        std::thread::sleep(nap.min(left));
    }
}

fn check(count: usize) -> io::Result<()> {
    if count <= MAX_BELLS {
        return Ok(());
    }
    let what = format!("a segment has at most {MAX_BELLS} bells");
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

fn refused(why: &str) -> io::Error {
    let why = format!("bells refused: {why}");
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests;
