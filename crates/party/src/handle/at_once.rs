//! Calls made at once, by the calling thread: of the member that this process is now, and with no clock read.
//!
//! Promises: a call that can't be made so had no effect, and is made as any other ([`Handle::get_by`] and its kin).
//! Must not know: who waits for a call.

use std::borrow::Cow;
use std::sync::Arc;
use std::task::Poll;

use level_party_engine::{Write, WriteBatch, blocking, nonblocking};

use super::{Handle, Pinned, Scanned, scan_chunk};
use crate::conditions::Conditions;
use crate::error::Result;
use crate::limits::{Limits, Stay, Wait, now};
use crate::member::Member;
use crate::reads::Scan;
use crate::stop::{Stop, outcome_unknown_by};
use crate::writes::{check_batch, check_key};

impl Handle {
    /// A call of the member that this process is. Pending: there is none now, its stay is over, or (inside [`nonblocking`])
    /// the call would have to wait.
    #[inline]
    fn at_once<T>(
        &self,
        call: impl FnOnce(&Member) -> std::result::Result<T, Stop>,
    ) -> Poll<Result<T>> {
        let Some(member) = &*self.place().member() else {
            return Poll::Pending;
        };
        match call(member) {
            Ok(made) => Poll::Ready(Ok(made)),
            Err(stop) if stop.would_block() => Poll::Pending,
            Err(Stop::Failed(error)) => Poll::Ready(Err(error)),
            Err(Stop::Over | Stop::Unknown(_)) => Poll::Pending,
        }
    }

    /// A read of a key.
    #[inline]
    fn read_at_once<T>(
        &self,
        key: &[u8],
        at: Option<&Pinned>,
        read: impl FnOnce(&Member, Option<u64>) -> std::result::Result<T, Stop>,
    ) -> Poll<Result<T>> {
        if let Err(error) = check_key(key).and_then(|()| self.check_open()) {
            return Poll::Ready(Err(error));
        }
        self.at_once(|member| read(member, checked(at)?))
    }

    /// As [`Handle::get_by`], by this thread.
    #[inline]
    pub fn get(&self, key: &[u8], at: Option<&Pinned>) -> Result<Option<Vec<u8>>> {
        match self.read_at_once(key, at, |member, at| member.get(key, at)) {
            Poll::Ready(found) => Ok(found?.map(|entry| entry.value)),
            Poll::Pending => now(self.get_by(Wait::Thread, key, at)),
        }
    }

    /// As [`Handle::get`] with what `read` makes of the value, which it is lent.
    #[inline]
    pub fn get_with<T>(
        &self,
        key: &[u8],
        at: Option<&Pinned>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>> {
        let mut read = Some(read);
        let lend = |value: &[u8]| read.take().map(|read| read(value));
        let found = match self.read_at_once(key, at, |member, at| member.get_with(key, at, lend)) {
            Poll::Ready(found) => found?,
            Poll::Pending => {
                let value = now(self.get_by(Wait::Thread, key, at))?;
                value.map(|value| read.take().map(|read| read(&value)))
            }
        };
        Ok(found.flatten())
    }

    /// As [`Handle::get_with`] where that waits for nothing. Pending: it would have to, and `read` was not called.
    #[inline]
    pub fn try_get_with<T>(
        &self,
        key: &[u8],
        at: Option<&Pinned>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Poll<Result<Option<T>>> {
        // `read` is a caller's, and may wait.
        let lend = |value: &[u8]| blocking(|| read(value));
        nonblocking(|| self.read_at_once(key, at, |member, at| member.get_with(key, at, lend)))
    }

    /// The present moment.
    pub fn pin(self: &Arc<Self>) -> Result<Pinned> {
        self.check_open()?;
        match self.at_once(|member| self.pin_in(member)) {
            Poll::Ready(pinned) => pinned,
            Poll::Pending => now(self.pin_by(self.limits()?)),
        }
    }

    /// As [`Handle::scan_by`], by this thread.
    pub fn scan_at_once(
        self: &Arc<Self>,
        scan: &Scan<'_>,
        pin: Option<&Pinned>,
        begun: Option<Stay>,
    ) -> Poll<Result<Scanned>> {
        if let Err(error) = self.check_open() {
            return Poll::Ready(Err(error));
        }
        let only = begun.filter(|_| !self.retry);
        self.at_once(|member| {
            if only.is_some_and(|only| only != member.stay()) {
                return Err(Stop::Over);
            }
            let (entries, kept, stay) = scan_chunk(member, scan, checked(pin)?)?;
            let pinned = match kept {
                Some(new) => Some(self.hold(new, stay).ok_or(Stop::Over)?),
                None => None,
            };
            Ok((entries, pinned, stay))
        })
    }

    /// As [`Handle::write_by`], at once where that can be: no clock is read then.
    pub fn write(&self, mut batch: Cow<'_, WriteBatch>, sync: bool) -> Result<u64> {
        // A zero timeout must return `Timeout`, so skip the fast path.
        if !self.timeout.is_zero() {
            self.check_open()?;
            self.check_writable()?;
            check_batch(&batch, &Conditions::default())?;
            match self.write_at_once(batch, sync) {
                Ok(written) => return written,
                Err(unwritten) => batch = unwritten,
            }
        }
        now(self.write_by(Wait::Thread, &batch, sync))
    }

    /// Makes a write at once, if nobody is writing. Otherwise its batch comes back: it had no effect.
    fn write_at_once<'b>(
        &self,
        batch: Cow<'b, WriteBatch>,
        sync: bool,
    ) -> std::result::Result<Result<u64>, Cow<'b, WriteBatch>> {
        let place = self.place();
        let member = place.member();
        let Some(member) = member.as_ref().filter(|_| place.lane.is_empty()) else {
            return Err(batch);
        };
        let Some(_room) = place.room.take_at_once(batch.byte_size(), self.queue_bytes) else {
            return Err(batch);
        };
        if matches!(batch, Cow::Borrowed(_)) && member.engine().is_committing() {
            return Err(batch);
        }
        let mut write = Write::new(batch.into_owned()).sync(sync);
        if sync {
            // The commit waits for nobody, and the sync may wait for others.
            write = write.deadline(Limits::new(self.timeout, self.retry).deadline);
        }
        match member.write_at_once(write) {
            Ok(made) => Ok(answered(made)),
            Err(write) => Err(Cow::Owned(write.batch)),
        }
    }
}

/// The moment to read at, if it can still be read. It is asked of a member alone: between two stays it may have to be waited for.
fn checked(at: Option<&Pinned>) -> std::result::Result<Option<u64>, Stop> {
    at.map(Pinned::checked).transpose().map_err(Stop::Failed)
}

/// The answer to a write that was made at once.
pub(super) fn answered(made: std::result::Result<u64, Stop>) -> Result<u64> {
    made.map_err(|stop| match stop {
        Stop::Failed(error) => error,
        Stop::Unknown(cause) => outcome_unknown_by(cause),
        Stop::Over => unreachable!("such a write comes back"),
    })
}

#[cfg(test)]
mod tests;
