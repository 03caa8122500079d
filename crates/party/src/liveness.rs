//! Which members live, and sleeping until one of them rings.
//!
//! A member has one byte of `level-party.state` locked, at its incarnation, from before it has a slot in the segment until it
//! stores nothing there any more. The kernel frees the byte when its process dies, in whichever pid namespace.
//!
//! Promises: only who will never store anything again is called dead; an error of the question means that it lives.
//! Must not know: what members do.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use level_party_engine::{Incarnation, Peers};
use level_party_os::{ByteLock, GuardedFile, process};

use crate::segment::Memory;
use crate::state_file::MEMBERS_AT;

/// How long an idle leader may sleep: a ring can be lost with a member that dies.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// The members of one epoch, as this process knows them.
pub(crate) struct Liveness {
    /// The state file, by the description that this process's own byte is locked through.
    file: Arc<GuardedFile>,
    memory: Arc<Memory>,
}

impl Liveness {
    pub fn new(file: &Arc<GuardedFile>, memory: &Arc<Memory>) -> Liveness {
        Liveness {
            file: Arc::clone(file),
            memory: Arc::clone(memory),
        }
    }

    /// Locks the byte of this process's own incarnation. `None`: somebody has it.
    ///
    /// # Errors
    /// The system's.
    pub fn take(&self, own: Incarnation) -> std::io::Result<Option<ByteLock>> {
        ByteLock::try_lock(&self.file, MEMBERS_AT + own)
    }
}

impl Peers for Liveness {
    fn is_dead(&self, member: Incarnation) -> bool {
        matches!(
            ByteLock::is_locked(&self.file, MEMBERS_AT + member),
            Ok(false)
        )
    }

    fn sleep(&self, bell: &AtomicU64, seen: u32, at_most: Duration) {
        self.memory.sleep(bell, seen, at_most);
    }

    #[cfg(feature = "faults")]
    fn reach(&self, step: level_party_engine::Step) {
        crate::faults::point(step.name());
    }

    fn wake_one(&self, bell: &AtomicU64) {
        self.memory.wake_one(bell);
    }

    fn wake_all(&self, bell: &AtomicU64) {
        self.memory.wake_all(bell);
    }

    fn longest_rest(&self) -> Duration {
        LONGEST_REST
    }

    fn milliseconds(&self) -> u64 {
        u64::try_from(process::since_boot().as_millis()).unwrap_or(u64::MAX)
    }
}
