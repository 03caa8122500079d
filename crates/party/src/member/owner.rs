//! The engine's owner, as the engine sees it.

use std::sync::{Arc, Weak};

use level_party_engine::{Before, Listener as EngineListener};

use super::{Ending, Lock};
use crate::error::Error;
use crate::faults;
use crate::service::ServiceWord;
use crate::state_file::StateFile;

/// The engine's owner. The lock it asks for comes once it is in its last form.
pub(super) struct Owner {
    pub state: Arc<StateFile>,
    pub ending: Arc<Ending>,
    /// Not held by the engine, which can outlive the stay in a reader's hands.
    pub lock: Arc<OwnLock>,
    /// This process makes the copy that the database is filled by.
    pub fills: bool,
}

/// The lock of a stay. It changes its form once, when the founder lets others in.
#[derive(Default)]
pub(super) struct OwnLock(level_party_locks::RwLock<Weak<Lock>>);

impl OwnLock {
    pub fn set(&self, lock: &Arc<Lock>) {
        *self.0.write() = Arc::downgrade(lock);
    }

    /// Gives the lock another form, while nobody looks at it.
    pub fn change<E>(
        &self,
        lock: Arc<Lock>,
        change: impl FnOnce(Arc<Lock>) -> Result<Option<Lock>, E>,
    ) -> Result<Option<Arc<Lock>>, E> {
        let mut kept = self.0.write();
        let changed = change(lock)?.map(Arc::new);
        if let Some(lock) = &changed {
            *kept = Arc::downgrade(lock);
        }
        Ok(changed)
    }

    fn is_intact(&self) -> bool {
        // Held until the look is over.
        let kept = self.0.read();
        kept.upgrade().is_some_and(|lock| lock.is_intact())
    }
}

impl EngineListener for Owner {
    #[inline]
    fn refuses_writes(&self) -> bool {
        // Whoever fills it writes no more once others may: it could have been stopped, and somebody else have gone on.
        match self.state.service() {
            ServiceWord::Live => self.fills,
            ServiceWord::Filling => !self.fills,
            ServiceWord::Moved | ServiceWord::Sealed => true,
        }
    }

    fn still_owner(&self, before: Before) -> bool {
        match before {
            // So that what is over appends no more than it must; nothing rests on it: the look that counts comes after
            // the append.
            Before::Append => self.state.is_ours_so_far(),
            Before::Answer => self.state.is_ours(),
            _ => self.state.is_ours() && self.lock.is_intact(),
        }
    }

    fn names_manifest(&self, number: u64) -> std::io::Result<()> {
        self.state.record_manifest(number)?;
        faults::point("manifest-noted");
        Ok(())
    }

    fn raise_drop_floor(&self, to: u64) -> std::io::Result<()> {
        self.state.raise_drop_floor(to)
    }

    fn poisoned(&self, error: &level_party_engine::Error) {
        // The first one counts.
        let _ = self.ending.cause.set(cause_of(error));
        self.ending.begin();
    }

    fn leadership_ended(&self, error: &level_party_engine::Error) {
        self.ending
            .leading
            .lock()
            .get_or_insert_with(|| cause_of(error));
        self.ending.elector.ring();
    }
}

/// The engine's own error says that writing has ended; what ended it is its source.
fn cause_of(error: &level_party_engine::Error) -> Error {
    let source = std::error::Error::source(error);
    let cause = source.and_then(|source| source.downcast_ref::<level_party_engine::Error>());
    Error::engine(cause.unwrap_or(error).clone())
}
