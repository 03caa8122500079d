//! Ctrl-C and SIGTERM: the program leaves its directory before it ends, so that a leader hands over.
//!
//! A command that runs until it is told to stop says how it is stopped ([`instead`]) and ends by itself. For every other
//! one the handles are closed and the program ends with exit code 130, whatever the command was waiting for. A second
//! signal ends the program at once: that costs nothing but the orderly handover.

use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

use level_party::Db;

use crate::failure::{Failure, Result};

/// The exit code of a command that a signal ended: 128 and the number of SIGINT, as shells say it.
const INTERRUPTED: i32 = 130;

type Work = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Plan {
    handles: Vec<Db>,
    /// What a signal has done first, the last first.
    cleanup: Vec<Work>,
    /// What makes the command end by itself.
    instead: Option<Work>,
}

static PLAN: Mutex<Option<Plan>> = Mutex::new(None);
static SIGNALS: AtomicU8 = AtomicU8::new(0);
/// Whether the thread that handles signals will end the program.
static ENDING: AtomicU8 = AtomicU8::new(0);

/// Begins to handle signals.
pub fn install() -> Result<()> {
    ctrlc::set_handler(on_signal)
        .map_err(|error| Failure::Database(format!("signals cannot be handled: {error}")))
}

/// Has `db` left before a signal ends the program.
pub fn leaving(db: &Db) {
    plan().get_or_insert_default().handles.push(db.clone());
}

/// Has `work` done before a signal ends the program; not at an end that the command itself has come to.
pub fn first(work: impl FnOnce() + Send + 'static) {
    plan().get_or_insert_default().cleanup.push(Box::new(work));
}

/// Has a signal do `work`, which makes the command end, instead of ending the program.
pub fn instead(work: impl FnOnce() + Send + 'static) {
    plan().get_or_insert_default().instead = Some(Box::new(work));
}

/// Whether a signal has come.
pub fn asked() -> bool {
    SIGNALS.load(SeqCst) > 0
}

/// Waits for the end where a signal is bringing it, so that what the command says of its closed handle is not told.
pub fn yield_to_signal() {
    while ENDING.load(SeqCst) > 0 {
        std::thread::park();
    }
}

/// Leaves all directories.
pub fn leave() {
    let plan = plan().take().unwrap_or_default();
    for db in plan.handles {
        let _ = db.close(); // Nothing is left to be told about it.
    }
}

fn on_signal() {
    if SIGNALS.fetch_add(1, SeqCst) > 0 {
        std::process::exit(INTERRUPTED);
    }
    let instead = plan().as_mut().and_then(|plan| plan.instead.take());
    if let Some(work) = instead {
        return work();
    }
    ENDING.store(1, SeqCst);
    // On a thread of its own, so that a second signal is heard while the directory is left.
    std::thread::spawn(|| {
        let cleanup = plan()
            .as_mut()
            .map(|plan| std::mem::take(&mut plan.cleanup));
        for work in cleanup.into_iter().flatten().rev() {
            work();
        }
        leave();
        std::process::exit(INTERRUPTED);
    });
}

fn plan() -> MutexGuard<'static, Option<Plan>> {
    PLAN.lock().unwrap_or_else(PoisonError::into_inner)
}
