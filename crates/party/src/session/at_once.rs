//! The short way of the most common calls: where this process leads, a thread's read of a key, and its write where
//! nobody else is writing, are made on the spot.
//!
//! It gives nothing up that the long way (`calls`) keeps; what is left out is what only a call that waits needs:
//! - No clock is read. A call's time counts from its first moment, and here there is no second one before it is taken up:
//!   a write finds nobody committing, or it comes back and goes the long way, where a deadline is set and looked at. (A
//!   handle whose timeout is zero goes the long way always.)
//! - No frame and no page entry. A write of this process is not sent again after its leadership but where the engine
//!   knows that it never assigned a sequence to it; then it comes back too.
//! - The rest is the same: it does not overtake queued calls, its bytes count while it is at the engine, and the epoch
//!   word is looked at between what was found or appended and the answer.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use level_party_engine::WriteBatch;
use serde_bytes::Bytes;

use super::Session;
use super::calls::{charge_of, outcome_unknown};
use crate::error::Result;
use crate::leader::Stop;
use crate::protocol::{Request, Write};

impl Session {
    /// Makes a write at once, and gives its sequence. Otherwise its batch comes back: it had no effect, and goes the long
    /// way.
    ///
    /// # Errors
    /// The inner ones: as [`Session::call`].
    pub fn write_at_once<'b>(
        &self,
        batch: Cow<'b, WriteBatch>,
        sync: bool,
        queue_bytes: usize,
    ) -> std::result::Result<Result<u64>, Cow<'b, WriteBatch>> {
        let local = self.leading.load();
        let Some(local) = local.as_ref() else {
            return Err(batch);
        };
        // It must not overtake what is queued.
        if self.backlog.load(Ordering::Acquire) > 0 {
            return Err(batch);
        }
        let charge = charge_of(&Request::Write(Write {
            number: 0,
            sync,
            batch: Bytes::new(batch.as_bytes()),
            conditions: Bytes::new(b""),
        }));
        if !self.begin_direct(charge, queue_bytes) {
            return Err(batch);
        }
        let made = local.leadership.write_at_once(batch, sync);
        self.end_direct(charge);
        match made {
            Ok(Ok(sequence)) => Ok(Ok(sequence)),
            Ok(Err(Stop::Failed(error))) => Ok(Err(error)),
            Ok(Err(Stop::Unknown(cause))) => {
                Ok(Err(outcome_unknown(&cause.to_string()).with_source(cause)))
            }
            Ok(Err(Stop::Over)) => unreachable!("such a write comes back"),
            Err(batch) => Err(batch),
        }
    }

    /// The value of a key, if this process leads and answers. `None`: it is to be asked for the long way.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub fn get_at_once(&self, key: &[u8]) -> Option<Result<Option<Vec<u8>>>> {
        let local = self.leading.load();
        match local.as_ref()?.leadership.get(key) {
            Ok(value) => Some(Ok(value)),
            Err(Stop::Failed(error)) => Some(Err(error)),
            Err(Stop::Over | Stop::Unknown(_)) => None,
        }
    }
}
