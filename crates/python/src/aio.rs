//! The classes for asyncio, over `level_party::AsyncDb`.
//!
//! A call gives an [`Operation`](operation::Operation), which is a coroutine: its first step polls the crate's future where the
//! event loop stands, and mostly has the answer then. Otherwise the loop is told when to go on (`wake.rs`).

mod batch;
mod database;
mod entries;
mod events;
mod operation;
mod readable;
mod snapshot;
mod source;
mod store;
mod sublevel;
mod transaction;
mod wake;
mod watch;

pub(crate) use batch::AsyncBatch;
pub(crate) use database::{AsyncDatabase, open_async};
pub(crate) use entries::AsyncEntries;
pub(crate) use events::AsyncEvents;
pub(crate) use operation::Operation;
pub(crate) use readable::AsyncReadable;
pub(crate) use snapshot::AsyncSnapshot;
pub(crate) use store::AsyncStore;
pub(crate) use sublevel::AsyncSublevel;
pub(crate) use transaction::{AsyncBlock, AsyncTransaction};
pub(crate) use wake::_at_exit;
pub(crate) use watch::AsyncWatch;
