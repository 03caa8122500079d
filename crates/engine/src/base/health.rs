//! [`Health`]: whether the engine may still write, and whether it may still lead.
//!
//! Promises: poison is for good, the first cause is kept, and the listener is told of it once. After it no byte goes
//! to a log or a manifest and no file is removed: what a later opening finds is what the failure left. A leadership has a
//! health of its own: what ends it ends no commits, as long as another member may lead.
//! Must not know: what was being written, or who asks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::base::control::{CondemnReason, Control};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::options::{Before, Listener};

/// Whether the engine may still write; or one leadership of it.
pub(crate) struct Health {
    cause: OnceLock<Error>,
    closing: AtomicBool,
    listener: Option<Arc<dyn Listener>>,
    /// Says whether the segment may still be used, where there are other members.
    control: Option<Control>,
    /// Of a leadership: the engine's.
    engine: Option<Arc<Health>>,
    /// There are no other members, and nobody else may lead: a leadership that fails ends writing.
    is_alone: bool,
}

impl Health {
    pub(crate) fn new(listener: Option<Arc<dyn Listener>>) -> Health {
        Health {
            cause: OnceLock::new(),
            closing: AtomicBool::new(false),
            listener,
            control: None,
            engine: None,
            is_alone: true,
        }
    }

    /// That of an engine in this segment. `alone`: it has no other members.
    pub(crate) fn in_segment(
        control: &Control,
        alone: bool,
        listener: Option<Arc<dyn Listener>>,
    ) -> Health {
        Health {
            // Without other members it is its readers alone that are to look elsewhere.
            control: (!alone).then(|| control.clone()),
            is_alone: alone,
            ..Health::new(listener)
        }
    }

    /// That of a leadership of an engine.
    pub(crate) fn of_leadership(engine: &Arc<Health>) -> Health {
        Health {
            control: engine.control.clone(),
            engine: Some(Arc::clone(engine)),
            is_alone: engine.is_alone,
            ..Health::new(engine.listener.clone())
        }
    }

    /// Ends writing for good because of `error`, or this leadership. Gives the error that every write is answered with from
    /// now on.
    pub(crate) fn poison(&self, error: Error) -> Error {
        match &self.engine {
            Some(engine) if self.is_alone => return engine.poison(error),
            Some(_) => return self.end_leadership(error),
            None => {}
        }
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

    fn end_leadership(&self, error: Error) -> Error {
        let message = format!("this process leads no longer, because the engine {error}");
        let ended = Error::with_source(ErrorKind::NotLeading, message, error);
        self.cause.get_or_init(|| ended).clone()
    }

    /// Tells the listener why this leadership ended, if it failed and others may lead. Its thread's last act.
    pub(crate) fn tell_end(&self) {
        if let (false, Some(error), Some(listener)) =
            (self.is_alone, self.poisoned(), &self.listener)
        {
            listener.leadership_ended(&error);
        }
    }

    /// The error that writes are answered with if writing has ended, or what needs a leader if this leadership has.
    pub(crate) fn poisoned(&self) -> Option<Error> {
        let above = || self.engine.as_ref()?.poisoned();
        self.cause.get().cloned().or_else(above)
    }

    /// Whether writing has ended, or this leadership.
    pub(crate) fn is_poisoned(&self) -> bool {
        let above = || self.engine.as_ref().is_some_and(|e| e.is_poisoned());
        self.cause.get().is_some() || above()
    }

    /// Fails if writing has ended, or this leadership.
    pub(crate) fn check(&self) -> Result<()> {
        self.poisoned().map_or(Ok(()), Err)
    }

    /// Fails for good if the directory is not this opening's any more: nobody uses its segment from then on, or where it has
    /// no other members, writing ends.
    pub(crate) fn check_owner(&self, before: Before) -> Result<()> {
        let is_owner = |listener: &Arc<dyn Listener>| listener.still_owner(before);
        if self.listener.as_ref().is_none_or(is_owner) {
            return Ok(());
        }
        if let Some(control) = &self.control {
            control.condemn(CondemnReason::Superseded);
            return Err(condemned(CondemnReason::Superseded));
        }
        let message = "lost the directory: it is written to by another process now";
        Err(self.poison(Error::new(ErrorKind::Io, message)))
    }

    /// Fails while the listener refuses writes.
    pub(crate) fn check_accepts_writes(&self) -> Result<()> {
        match &self.listener {
            Some(listener) if listener.refuses_writes() => {
                Err(Error::new(ErrorKind::Refused, "writes are refused"))
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

    /// Begins the close, or the end of this leadership; true for the first caller.
    pub(crate) fn begin_close(&self) -> bool {
        !self.closing.swap(true, Ordering::SeqCst)
    }

    /// Whether the engine is being closed or is closed, or this leadership, or the segment is to be used no more.
    #[inline]
    pub(crate) fn is_closing(&self) -> bool {
        let above = || self.engine.as_ref().is_some_and(|e| e.is_closing());
        self.closing.load(Ordering::SeqCst) || self.condemned().is_some() || above()
    }

    #[inline]
    fn condemned(&self) -> Option<CondemnReason> {
        self.control.as_ref()?.condemned()
    }

    /// Fails if the segment is to be used no more.
    pub(crate) fn check_not_condemned(&self) -> Result<()> {
        self.condemned()
            .map_or(Ok(()), |reason| Err(condemned(reason)))
    }

    /// Fails if the engine is being closed or is closed, or this leadership, or the segment is to be used no more.
    #[inline]
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_closing() {
            return Err(self.why_closed());
        }
        Ok(())
    }

    /// Why nothing more is done.
    pub(crate) fn why_ended(&self) -> Error {
        self.poisoned().unwrap_or_else(|| self.why_closed())
    }

    #[cold]
    fn why_closed(&self) -> Error {
        match (&self.engine, self.condemned()) {
            (Some(engine), _) if engine.is_closing() => engine.why_closed(),
            (Some(_), _) => not_leading(),
            (None, Some(reason)) if !self.closing.load(Ordering::SeqCst) => condemned(reason),
            (None, _) => closed(),
        }
    }
}

/// The answer to any call after the close.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the engine is closed")
}

/// The answer to any call once the segment is to be used no more.
pub(crate) fn condemned(reason: CondemnReason) -> Error {
    let why = match reason {
        CondemnReason::Superseded => "another process answers for the directory",
        CondemnReason::Damaged => "it is damaged",
        CondemnReason::Asked => "a process that has it asked for that",
    };
    let message =
        format!("the shared memory is to be used no more, because {why}: open the database again");
    Error::new(ErrorKind::Condemned, message)
}

/// The answer to what only the leader does.
pub(crate) fn not_leading() -> Error {
    let message =
        "another process leads, or none: only the leader compacts and copies the database";
    Error::new(ErrorKind::NotLeading, message)
}
