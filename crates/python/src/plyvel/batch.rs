//! `WriteBatch`: writes that take effect together.

use std::sync::Arc;

use level_party::WriteBatch as Writes;
use level_party_locks::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::{Shared, raise};
use crate::given::Given;
use crate::source::wait;

/// What LevelDB's batch has before its first operation.
const HEADER: usize = 12;

/// Operations behind each other, so that batches can be appended.
#[derive(Clone, Default)]
struct Operations {
    packed: Vec<u8>,
    /// Where each key ends, and where its value does, if there is one.
    ends: Vec<(usize, Option<usize>)>,
}

impl Operations {
    fn add(&mut self, prefix: &[u8], key: &[u8], value: Option<&[u8]>) {
        self.packed.extend_from_slice(prefix);
        self.packed.extend_from_slice(key);
        let end = self.packed.len();
        let value = value.map(|value| {
            self.packed.extend_from_slice(value);
            self.packed.len()
        });
        self.ends.push((end, value));
    }

    fn append(&mut self, other: &Operations) {
        let base = self.packed.len();
        self.packed.extend_from_slice(&other.packed);
        let moved = other
            .ends
            .iter()
            .map(|(key, value)| (key + base, value.map(|value| value + base)));
        self.ends.extend(moved);
    }

    fn clear(&mut self) {
        self.packed.clear();
        self.ends.clear();
    }

    /// As the crate takes it.
    fn writes(&self) -> Writes {
        let mut writes = Writes::new();
        let mut begin = 0;
        for (key, value) in &self.ends {
            match value {
                Some(value) => writes.put(&self.packed[begin..*key], &self.packed[*key..*value]),
                None => writes.delete(&self.packed[begin..*key]),
            };
            begin = value.unwrap_or(*key);
        }
        writes
    }
}

/// Writes that take effect together.
#[pyclass(module = "level_party.plyvel", frozen)]
pub(crate) struct WriteBatch {
    open: Shared,
    prefix: Vec<u8>,
    transaction: bool,
    sync: bool,
    operations: Mutex<Arc<Operations>>,
}

impl WriteBatch {
    pub fn new(open: Shared, prefix: &[u8], transaction: bool, sync: bool) -> Self {
        WriteBatch {
            open,
            prefix: prefix.to_vec(),
            transaction,
            sync,
            operations: Mutex::default(),
        }
    }

    fn add(&self, key: &[u8], value: Option<&[u8]>) -> PyResult<()> {
        self.open.check()?;
        Arc::make_mut(&mut *self.operations.lock()).add(&self.prefix, key, value);
        Ok(())
    }
}

#[pymethods]
impl WriteBatch {
    fn put(&self, key: &Bound<'_, PyBytes>, value: Given<'_>) -> PyResult<()> {
        self.add(key.as_bytes(), Some(value.bytes()))
    }

    fn delete(&self, key: &Bound<'_, PyBytes>) -> PyResult<()> {
        self.add(key.as_bytes(), None)
    }

    fn clear(&self) -> PyResult<()> {
        self.open.check()?;
        Arc::make_mut(&mut *self.operations.lock()).clear();
        Ok(())
    }

    fn write(&self, py: Python<'_>) -> PyResult<()> {
        let db = self.open.check()?;
        let operations = self.operations.lock().clone();
        let written = wait(py, || {
            let mut writes = operations.writes();
            db.write(writes.sync(self.sync))
        });
        written.map_err(|error| raise(py, &error))
    }

    fn approximate_size(&self) -> PyResult<usize> {
        self.open.check()?;
        let operations = self.operations.lock();
        Ok(HEADER + operations.packed.len() + 3 * operations.ends.len())
    }

    fn append(&self, source: PyRef<'_, WriteBatch>) -> PyResult<()> {
        self.open.check()?;
        let theirs = source.operations.lock().clone();
        Arc::make_mut(&mut *self.operations.lock()).append(&theirs);
        Ok(())
    }

    fn __enter__(this: PyRef<'_, Self>) -> PyResult<PyRef<'_, Self>> {
        this.open.check()?;
        Ok(this)
    }

    /// Writes it, also where the block ended with an exception, unless it is a "transaction".
    #[pyo3(signature = (kind=None, _value=None, _traceback=None))]
    fn __exit__(
        &self,
        py: Python<'_>,
        kind: Option<Bound<'_, PyAny>>,
        _value: Option<Bound<'_, PyAny>>,
        _traceback: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        if !(self.transaction && kind.is_some()) {
            self.write(py)?;
        }
        self.clear()
    }
}
