//! Why a call has no answer from the member it was made of.

use level_party_engine::ErrorKind as EngineErrorKind;

use crate::error::Error;

/// Why a call has no answer.
#[derive(Debug)]
pub(crate) enum Stop {
    /// This process's stay in the segment is over, and the call had no effect: make it again in the next one.
    Over,
    /// The call failed for good.
    Failed(Error),
    /// A write was under way when this process's writing ended.
    Unknown(Error),
}

impl Stop {
    /// Why a write has no answer. `assigned`: it had its sequence, so that its record may be in a log, where whoever recovers
    /// finds it.
    pub fn of_write(error: level_party_engine::Error, assigned: bool) -> Stop {
        match (Stop::from(error.clone()), assigned) {
            (Stop::Over, true) => Stop::Unknown(Error::engine(error)),
            (Stop::Unknown(_), false) => Stop::Over,
            (stop, _) => stop,
        }
    }
}

impl Stop {
    /// Whether a read that must not wait for the disk would have to.
    pub fn would_block(&self) -> bool {
        let Stop::Failed(error) = self else {
            return false;
        };
        let source = std::error::Error::source(error);
        let cause = source.and_then(|cause| cause.downcast_ref::<level_party_engine::Error>());
        cause.is_some_and(|cause| cause.kind() == EngineErrorKind::WouldBlock)
    }
}

impl From<level_party_engine::Error> for Stop {
    fn from(error: level_party_engine::Error) -> Self {
        match error.kind() {
            EngineErrorKind::Closed | EngineErrorKind::Condemned => Stop::Over,
            EngineErrorKind::Poisoned => Stop::Unknown(Error::engine(error)),
            // These two are of this write alone: the stay goes on.
            EngineErrorKind::OutcomeUnknown => Stop::Failed(outcome_unknown_by(error)),
            EngineErrorKind::NotDurable => Stop::Failed(not_durable(error)),
            _ => Stop::Failed(Error::engine(error)),
        }
    }
}

/// A write is visible, and not known to survive a loss of power.
fn not_durable(cause: level_party_engine::Error) -> Error {
    let message = format!("{cause}; a later write with sync that succeeds makes it durable too");
    Error::new(crate::error::ErrorKind::OutcomeUnknown, message).with_source(cause)
}

/// Nobody can tell whether a write took effect.
pub(crate) fn outcome_unknown(why: &str) -> Error {
    Error::new(
        crate::error::ErrorKind::OutcomeUnknown,
        format!(
            "nobody can tell yet whether the write took effect: {why}; make it again in a transaction that first reads \
             whether it is there"
        ),
    )
}

/// The same, with what ended the write under way.
pub(crate) fn outcome_unknown_by(cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    outcome_unknown(&cause.to_string()).with_source(cause)
}
