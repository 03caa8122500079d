//! The native part of the Python package `level_party`.
//!
//! It makes calls of the crate `level_party` through its public API alone, and knows nothing of how they are done. What Python
//! can do as well (exceptions, reports) is in `python/level_party`; types and what each call means are in `_native.pyi` there.
#![forbid(unsafe_code)]

mod aio;
mod attempts;
mod batch;
mod database;
mod entries;
mod errors;
mod events;
mod given;
mod plyvel;
mod readable;
mod reports;
mod snapshot;
mod source;
mod steps;
mod store;
mod sublevel;
mod transaction;
mod waiting;
mod watch;

/// The native part of `level_party`.
#[pyo3::pymodule(gil_used = false)]
mod _native {
    use pyo3::pymodule;

    #[pymodule_export]
    use crate::aio::{
        _at_exit, AsyncBatch, AsyncBlock, AsyncDatabase, AsyncEntries, AsyncEvents, AsyncReadable,
        AsyncSnapshot, AsyncStore, AsyncSublevel, AsyncTransaction, AsyncWatch, Operation,
        open_async,
    };
    #[pymodule_export]
    use crate::batch::Batch;
    #[pymodule_export]
    use crate::database::{Database, destroy, open, repair};
    #[pymodule_export]
    use crate::entries::Entries;
    #[pymodule_export]
    use crate::events::Events;
    #[pymodule_export]
    use crate::readable::Readable;
    #[pymodule_export]
    use crate::snapshot::Snapshot;
    #[pymodule_export]
    use crate::store::Store;
    #[pymodule_export]
    use crate::sublevel::Sublevel;
    #[pymodule_export]
    use crate::transaction::{Block, Transaction, TransactionEntries};
    #[pymodule_export]
    use crate::watch::Watch;

    /// The classes of `level_party.plyvel`.
    #[pymodule]
    mod _plyvel {
        #[pymodule_export]
        use crate::plyvel::{
            DB, Iterator, PrefixedDB, RawIterator, Snapshot, WriteBatch, destroy_db, repair_db,
        };
    }
}
