//! `LOCK`, opened.
//!
//! **The trap.** Closing *any* descriptor of a file drops all classic `fcntl` locks that this process
//! has on it (fcntl(2)). If another library in this very process, such as C++ LevelDB, holds `LOCK`
//! that way, our merely looking at it would let a third process in. So a descriptor is not closed
//! while our own process has such a lock: it is kept and used again for the next look.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard};

use rustix::fs::{AtFlags, Mode, OFlags};

use super::{LOCK_NAME, require_regular};
use crate::data_dir::DataDir;
use crate::fork::GuardedFd;
use crate::identity::DirIdentity;
use crate::ofd::{self, Conflict};

/// Descriptors that may not be closed yet. Each is used by one `LockFile` at a time (two attempts
/// through one description would both succeed), so there are as many as there were attempts at once.
static KEPT: Mutex<Vec<Opened>> = Mutex::new(Vec::new());

#[derive(Debug)]
pub(crate) struct Opened {
    fd: GuardedFd,
    identity: DirIdentity,
}

/// An open lock file. Nothing is locked by opening it.
#[derive(Debug)]
pub(crate) struct LockFile {
    opened: Option<Opened>,
}

impl LockFile {
    pub(crate) fn open_or_create(dir: &DataDir) -> io::Result<Self> {
        let named = Self::named_now(dir)?;
        if let Some(opened) = named.and_then(take_kept) {
            return Ok(Self {
                opened: Some(opened),
            });
        }
        // Not to hang on a fifo, nor to become a terminal's process.
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let mode = Mode::from_raw_mode(0o644);
        let fd = GuardedFd::open(|| Ok(rustix::fs::openat(dir, LOCK_NAME, flags, mode)?))?;
        let stat = rustix::fs::fstat(&fd)?;
        require_regular(&stat)?;
        let identity = DirIdentity::from_stat(&stat);
        Ok(Self {
            opened: Some(Opened { fd, identity }),
        })
    }

    /// Which file the name means at this moment.
    pub(crate) fn named_now(dir: &DataDir) -> io::Result<Option<DirIdentity>> {
        match rustix::fs::statat(dir, LOCK_NAME, AtFlags::empty()) {
            Ok(stat) => Ok(Some(DirIdentity::from_stat(&stat))),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn identity(&self) -> DirIdentity {
        self.opened().identity
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.opened().fd.as_fd()
    }

    fn opened(&self) -> &Opened {
        self.opened.as_ref().expect("only drop takes it")
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        let Some(opened) = self.opened.take() else {
            return;
        };
        let ours = Conflict::Process(std::process::id());
        let conflict = ofd::conflict(opened.fd.as_fd(), ofd::WHOLE);
        let mut kept = kept();
        if matches!(conflict, Ok(Some(found)) if found == ours) {
            kept.push(opened);
        } else {
            kept.retain(|other| other.identity != opened.identity);
        }
    }
}

/// A kept descriptor that still means what it meant (in a forked child it doesn't).
fn take_kept(identity: DirIdentity) -> Option<Opened> {
    let mut kept = kept();
    let at = kept.iter().position(|opened| {
        opened.identity == identity
            && rustix::fs::fstat(&opened.fd).is_ok_and(|s| DirIdentity::from_stat(&s) == identity)
    })?;
    Some(kept.swap_remove(at))
}

/// The kept descriptors, locked. Inside the lock a guarded descriptor may be closed.
pub(crate) fn kept() -> MutexGuard<'static, Vec<Opened>> {
    KEPT.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
