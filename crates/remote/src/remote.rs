//! The trait.

use std::sync::Arc;
use std::time::Instant;

use crate::answer::{Chunk, Entry, History, Limits, Moment, ServiceState, Status, Told};
use crate::call::{Answer, Call};
use crate::error::Result;
use crate::request::{KeyRange, Scan, Start, Write};

/// A database on a server, as one process has it open.
///
/// Every implementation holds:
/// - **Linearizable**: a write that was answered is seen by every read that begins later, in any process.
/// - **Exactly once**: a write that was sent and whose connection is lost is looked up before it is sent again. Where nobody can
///   tell by the deadline, it ends with `OutcomeUnknown`; with any other error it had no effect and never will.
/// - **In order**: writes take effect in the order of their first polls.
/// - **Always an answer**: each call ends by its deadline, and some hundred milliseconds at most.
/// - A moment that can no longer be read is `SnapshotLost`, never another moment.
/// - Keys and batches over [`limits`](Remote::limits) were refused by the caller.
pub trait Remote: Send + Sync {
    /// Where the database lies, without a password.
    fn address(&self) -> &str;

    /// What can be stored at most.
    fn limits(&self) -> Limits;

    /// The newest history that this process knows of; nobody is asked. What is read after this is of this history or a later one.
    fn history(&self) -> History;

    /// What somebody who opens it should know, a sentence each.
    fn warnings(&self) -> Vec<String>;

    /// What `key` holds, now or at a moment.
    fn get<'a>(
        &'a self,
        call: &Call,
        key: &'a [u8],
        at: Option<Moment>,
    ) -> Answer<'a, Option<Entry>>;

    /// Whether `key` holds anything.
    fn contains<'a>(&'a self, call: &Call, key: &'a [u8], at: Option<Moment>) -> Answer<'a, bool>;

    /// What `keys` hold, all at one moment, in their order.
    fn get_many(
        &self,
        call: &Call,
        keys: Vec<Vec<u8>>,
        at: Option<Moment>,
    ) -> Answer<'_, Vec<Option<Entry>>>;

    /// One chunk of a range.
    fn scan(&self, call: &Call, scan: Scan, at: Option<Moment>) -> Answer<'_, Chunk>;

    /// Makes a write; gives the sequence of its last operation (of the newest change, where it has none). `None`: its conditions
    /// do not hold, and nothing was written.
    fn write(&self, call: &Call, write: Write) -> Answer<'_, Option<u64>>;

    /// Holds the newest moment, until it is given back.
    fn pin(&self, call: &Call) -> Answer<'_, Moment>;

    /// Gives a moment back that was pinned (as often as it was pinned). Never waits.
    fn unpin(&self, moment: Moment);

    /// The newest moment, held for nobody.
    fn newest(&self, call: &Call) -> Answer<'_, Moment>;

    /// Follows the changes of a range.
    fn feed(&self, call: &Call, from: Start, range: KeyRange) -> Answer<'_, Box<dyn Feed>>;

    /// Has each feed of a range without an upper bound tell soon that it has come beyond the newest moment, where it does not do so by
    /// itself.
    fn tick(&self, _: &Call) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    /// About how many bytes the server stores of a range.
    fn approximate_size(&self, call: &Call, range: KeyRange) -> Answer<'_, u64>;

    /// How the server is.
    fn status(&self, call: &Call) -> Answer<'_, Status>;

    /// Whether the database is in use.
    fn service_state(&self, call: &Call) -> Answer<'_, ServiceState>;

    /// Changes that, if it is the expected one; false: it was another one, and nothing changed. When this has returned, no write that
    /// was judged by the former state commits.
    fn set_service_state(
        &self,
        call: &Call,
        expected: ServiceState,
        new: ServiceState,
    ) -> Answer<'_, bool>;

    /// Leaves: later calls end with `Closed`, and so do writes that were not sent. Blocks no longer than about a second.
    fn close(&self);
}

/// What ends the wait of a [`Feed`], from any thread.
pub type FeedWaker = Arc<dyn Fn() + Send + Sync>;

/// The changes of one range from a moment on: each once, in order, or in a gap that is told.
///
/// It has one reader, whose calls block; it takes care of lost connections by itself.
pub trait Feed: Send {
    /// Up to where everything was told.
    fn through(&self) -> Moment;

    /// What is told next. `None`: nothing by `until`, or woken.
    ///
    /// # Errors
    /// What no waiting mends; the feed has ended. (A server that can't be reached is waited for.)
    fn next(&mut self, until: Instant) -> Result<Option<Told>>;

    /// When the server was last known to have nothing more to tell, or told something.
    fn heard(&self) -> Instant;

    /// What ends a wait of `next`; it may be called before.
    fn waker(&self) -> FeedWaker;
}
