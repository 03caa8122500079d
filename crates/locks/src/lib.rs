//! Mutexes, conditions and read-write locks that do not poison, and that leave nothing behind in a forked child.
//!
//! The API is a part of parking_lot's, and the other crates have this one under its name (`Cargo.toml`). parking_lot itself keeps
//! all waiting threads of the process in one table. A child that forks while some wait inherits their entries, which point into
//! stacks of threads that it does not have; its own threads take these stacks, and the first that waits, or makes the table grow,
//! walks over what is no entry any more: it crashes or hangs. Here each lock knows its own waiters alone (std's locks, by futex
//! where there is one), so that what a child makes for itself has nothing to do with its parent's threads.
//!
//! **Promises.** A lock taken over from a panic is as any other. A wait of a [`Condvar`] may end without a cause, as std's may.
//! **Must not know** what the locks guard.
#![warn(missing_docs)]

mod condvar;
mod mutex;
mod rwlock;

pub use condvar::{Condvar, WaitTimeoutResult};
pub use mutex::{Mutex, MutexGuard, RawMutex};
pub use rwlock::RwLock;

#[cfg(test)]
mod tests;
