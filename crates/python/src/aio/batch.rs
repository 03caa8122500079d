//! `AsyncBatch`: writes that take effect together, for tasks.

use std::sync::Arc;

use level_party::WriteBatch;
use level_party_locks::Mutex;
use pyo3::prelude::*;

use super::operation::{Operation, nothing, operation};
use super::source::{Place, at};
use super::store::AsyncStore;
use crate::given::Given;

/// Writes that take effect together, or not at all.
#[pyclass(module = "level_party", frozen)]
pub(crate) struct AsyncBatch {
    place: Place,
    batch: Arc<Mutex<WriteBatch>>,
}

impl AsyncBatch {
    pub fn new(place: Place, sync: Option<bool>) -> Self {
        let mut batch = WriteBatch::new();
        if let Some(sync) = sync {
            batch.sync(sync);
        }
        AsyncBatch {
            place,
            batch: Arc::new(Mutex::new(batch)),
        }
    }

    pub fn with<T>(&self, change: impl FnOnce(&mut WriteBatch) -> T) -> T {
        change(&mut self.batch.lock())
    }

    /// Writes what it holds when this is called; then it is empty.
    pub fn write_now(&self) -> Operation {
        let mut batch = self.batch.lock();
        let whole = batch.clone();
        batch.clear();
        drop(batch);
        let place = self.place.clone();
        let write = async move { at!(&place, place => place.write(&whole).await) };
        operation(write, nothing)
    }
}

#[pymethods]
impl AsyncBatch {
    fn put(&self, key: Given<'_>, value: Given<'_>) {
        self.with(|batch| {
            batch.put(key, value);
        });
    }

    fn delete(&self, key: Given<'_>) {
        self.with(|batch| {
            batch.delete(key);
        });
    }

    fn __setitem__(&self, key: Given<'_>, value: Given<'_>) {
        self.put(key, value);
    }

    fn __delitem__(&self, key: Given<'_>) {
        self.delete(key);
    }

    /// Sets a key of another sublevel, or of the whole database.
    fn put_in(
        &self,
        store: PyRef<'_, AsyncStore>,
        key: Given<'_>,
        value: Given<'_>,
    ) -> PyResult<()> {
        let place = AsyncStore::place(&store)?;
        self.with(|batch| {
            at!(place, view => batch.put_in(view, key.bytes(), value.bytes()));
        });
        Ok(())
    }

    /// Removes a key of another sublevel, or of the whole database.
    fn delete_in(&self, store: PyRef<'_, AsyncStore>, key: Given<'_>) -> PyResult<()> {
        let place = AsyncStore::place(&store)?;
        self.with(|batch| {
            at!(place, view => batch.delete_in(view, key.bytes()));
        });
        Ok(())
    }

    fn write(&self) -> Operation {
        self.write_now()
    }

    fn clear(&self) {
        self.with(WriteBatch::clear);
    }

    #[getter]
    fn byte_size(&self) -> usize {
        self.with(|batch| batch.byte_size())
    }

    fn __len__(&self) -> usize {
        self.with(|batch| batch.len())
    }

    fn __bool__(&self) -> bool {
        true
    }

    fn __aenter__(this: Py<Self>) -> Operation {
        let ready = std::future::ready(Ok::<_, level_party::Error>(()));
        operation(ready, move |_, ()| Ok(this.into_any()))
    }

    /// Writes it, unless the block ended with an exception.
    #[pyo3(signature = (kind=None, _value=None, _traceback=None))]
    fn __aexit__(
        &self,
        kind: Option<Bound<'_, PyAny>>,
        _value: Option<Bound<'_, PyAny>>,
        _traceback: Option<Bound<'_, PyAny>>,
    ) -> Operation {
        if kind.is_none() {
            return self.write_now();
        }
        self.clear();
        operation(std::future::ready(Ok::<_, level_party::Error>(())), nothing)
    }
}
