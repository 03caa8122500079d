//! The lock and the words of what is run in models ([`snapshots`](crate::read::snapshots), [`control`](crate::base::control)): the usual ones, or built with `--cfg loom` those of
//! [loom](https://docs.rs/loom), which tries every order in which threads can come to them.

#[cfg(loom)]
pub(crate) use modelled::{AtomicU64, Mutex, fence, yield_now};
#[cfg(not(loom))]
pub(crate) use {
    level_party_locks::Mutex,
    std::sync::atomic::{AtomicU64, fence},
    std::thread::yield_now,
};

#[cfg(loom)]
mod modelled {
    pub(crate) use loom::sync::MutexGuard;
    pub(crate) use loom::sync::atomic::{AtomicU64, fence};
    pub(crate) use loom::thread::yield_now;

    /// A lock that does not poison, as the usual one.
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Mutex<T> {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
        }
    }
}
