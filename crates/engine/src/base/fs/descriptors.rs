//! [`with_descriptors`]: what to do when the process, or the system, has run out of file descriptors.
//!
//! Promises: where an open fails for want of a descriptor, open tables of every [`StdFs`](super::StdFs) of the process are
//! closed, and it is tried again for as long as there are any. (Their readers open them again for their next reads.)
//! Must not know: whose descriptors they are.
//!
//! The list of pools is read and replaced without a lock: a forked child may open a database of its own, whatever another
//! thread of its parent was doing.

use std::io;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;

use super::pool::FilePool;
use crate::base::error::is_out_of_descriptors;

/// Every pool of the process.
static POOLS: ArcSwapOption<Vec<Weak<FilePool>>> = ArcSwapOption::const_empty();

/// How often an open is tried again. Each time half of what could be closed is; other threads may be faster to take it.
const ATTEMPTS: usize = 16;

/// From now on `pool` gives descriptors up.
pub(super) fn register(pool: &Arc<FilePool>) {
    POOLS.rcu(|pools| {
        let known = pools.iter().flat_map(|pools| pools.iter());
        let alive = known.filter(|pool| pool.strong_count() > 0).cloned();
        Some(Arc::new(
            alive.chain([Arc::downgrade(pool)]).collect::<Vec<_>>(),
        ))
    });
}

/// Makes a call that needs a file descriptor. If there is none left, tables that are open but not being read are closed,
/// and the call is made again.
///
/// The engine does this for all of its own files; it is here for an owner's sockets and files.
///
/// ```
/// let null = level_party_engine::with_descriptors(|| std::fs::File::open("Cargo.toml"))?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// The call's own. That descriptors have run out, only where nothing was left to close.
pub fn with_descriptors<T>(mut open: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..ATTEMPTS {
        match open() {
            Err(error) if is_out_of_descriptors(&error) && give_up_some() => {}
            done => return done,
        }
    }
    open()
}

/// Whether anything was closed, or may have been by another thread.
fn give_up_some() -> bool {
    let pools = POOLS.load();
    let pools = pools.iter().flat_map(|pools| pools.iter());
    let mut any = false;
    for pool in pools.filter_map(Weak::upgrade) {
        any |= pool.give_up_half();
    }
    any
}
