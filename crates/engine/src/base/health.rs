//! [`Health`]: whether the engine may still write.
//!
//! Promises: poison is for good, the first cause is kept, and the listener is told of it once. After it no byte goes
//! to a log or a manifest and no file is removed: what a later opening finds is what the failure left.
//! Must not know: what was being written, or who asks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::options::{Before, Listener};

/// Whether the engine may still write.
pub(crate) struct Health {
    cause: OnceLock<Error>,
    closing: AtomicBool,
    listener: Option<Arc<dyn Listener>>,
}

impl Health {
    pub(crate) fn new(listener: Option<Arc<dyn Listener>>) -> Health {
        Health {
            cause: OnceLock::new(),
            closing: AtomicBool::new(false),
            listener,
        }
    }

    /// Ends writing for good because of `error`, and gives the error that every write is answered with from now on.
    pub(crate) fn poison(&self, error: Error) -> Error {
        let poisoned = Error::with_source(
            ErrorKind::Poisoned,
            format!(
                "writing has ended until the database is opened again, because the engine {error}"
            ),
            error,
        );
        let first = self.cause.set(poisoned.clone()).is_ok();
        if first && let Some(listener) = &self.listener {
            listener.poisoned(&poisoned);
        }
        self.poisoned().unwrap_or(poisoned)
    }

    /// The error that writes are answered with, if writing has ended.
    pub(crate) fn poisoned(&self) -> Option<Error> {
        self.cause.get().cloned()
    }

    /// Whether writing has ended.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.cause.get().is_some()
    }

    /// Fails if writing has ended.
    pub(crate) fn check(&self) -> Result<()> {
        self.poisoned().map_or(Ok(()), Err)
    }

    /// Fails, and ends writing for good, if the directory is not this opening's any more.
    pub(crate) fn check_owner(&self, before: Before) -> Result<()> {
        match &self.listener {
            Some(listener) if !listener.still_owner(before) => {
                let message = "lost the directory: it is written to by another process now";
                Err(self.poison(Error::new(ErrorKind::Io, message)))
            }
            _ => Ok(()),
        }
    }

    /// Tells the listener that `CURRENT` is about to name the manifest `number`.
    pub(crate) fn names_manifest(&self, number: u64) -> Result<()> {
        let told = self.listener.as_ref().map(|l| l.names_manifest(number));
        told.unwrap_or(Ok(()))
            .map_err(|error| Error::io("tell the owner of", "a new manifest", error))
    }

    /// Begins the close; true for the first caller.
    pub(crate) fn begin_close(&self) -> bool {
        !self.closing.swap(true, Ordering::SeqCst)
    }

    /// Whether the engine is being closed or is closed.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Fails if the engine is being closed or is closed.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_closing() {
            return Err(closed());
        }
        Ok(())
    }
}

/// The answer to any call after the close.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the engine is closed")
}
