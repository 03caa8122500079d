//! `DB`: a directory, and the functions on directories that nobody has open.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use level_party::{Compression, Db, ErrorKind, Options, Readable};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};

use super::iterator::Asked;
use super::prefixed::PrefixedDB;
use super::snapshot::moment;
use super::{Iterator, Open, RawIterator, Shared, Snapshot, WriteBatch, behind, raise, raise_as};
use crate::given::{Given, Words};
use crate::source::wait;

/// A LevelDB database, which other processes and other `DB` objects may have open too.
#[pyclass(module = "level_party.plyvel", frozen, weakref)]
pub(crate) struct DB {
    open: Shared,
    name: Py<PyAny>,
}

impl DB {
    pub fn shared(&self) -> &Shared {
        &self.open
    }
}

/// A directory's name: text or bytes, or a path.
fn path(name: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    let Ok(bytes) = name.cast::<PyBytes>() else {
        return name.extract();
    };
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        Ok(std::ffi::OsStr::from_bytes(bytes.as_bytes()).into())
    }
    #[cfg(not(unix))]
    {
        let text = std::str::from_utf8(bytes.as_bytes());
        text.map(PathBuf::from)
            .map_err(|error| PyValueError::new_err(format!("the name is not UTF-8: {error}")))
    }
}

/// The settings that plyvel takes. Those that are not used here are told in the module's documentation.
const SETTINGS: [&str; 13] = [
    "create_if_missing",
    "error_if_exists",
    "paranoid_checks",
    "write_buffer_size",
    "max_open_files",
    "lru_cache_size",
    "block_size",
    "block_restart_interval",
    "max_file_size",
    "compression",
    "bloom_filter_bits",
    "comparator",
    "comparator_name",
];

/// None where it was not given, which means snappy; `None` means none.
fn compression(given: Option<&Bound<'_, PyDict>>) -> PyResult<Compression> {
    let Some(value) = given.map_or(Ok(None), |given| given.get_item("compression"))? else {
        return Ok(Compression::Snappy);
    };
    if value.is_none() {
        return Ok(Compression::None);
    }
    let is_snappy = match (value.cast::<PyBytes>(), value.cast::<PyString>()) {
        (Ok(bytes), _) => bytes.as_bytes() == b"snappy",
        (_, Ok(text)) => text.to_cow()? == "snappy",
        _ => {
            return Err(PyTypeError::new_err(
                "'compression' must be None or a string",
            ));
        }
    };
    match is_snappy {
        true => Ok(Compression::Snappy),
        false => Err(PyValueError::new_err(
            "'compression' must be None or 'snappy'",
        )),
    }
}

fn check_comparator(py: Python<'_>, words: &mut Words<'_>) -> PyResult<()> {
    let comparator = words.take::<Bound<'_, PyAny>>("comparator")?;
    let name = words.take::<Bound<'_, PyBytes>>("comparator_name")?;
    let (comparator, _name) = match (comparator, name) {
        (None, None) => return Ok(()),
        (Some(comparator), Some(name)) => (comparator, name),
        _ => {
            return Err(PyValueError::new_err(
                "'comparator' and 'comparator_name' must be specified together",
            ));
        }
    };
    if !comparator.is_callable() {
        return Err(PyTypeError::new_err(
            "custom comparator object must be callable",
        ));
    }
    let class = py.import("level_party.plyvel")?.getattr("Error")?;
    Err(PyErr::from_value(class.call1((
        "keys are ordered bytewise; a database of another comparator can't be opened",
    ))?))
}

/// The settings as the crate's options.
fn options(py: Python<'_>, given: Option<&Bound<'_, PyDict>>) -> PyResult<Options> {
    let mut words = Words::new(given)?;
    check_comparator(py, &mut words)?;
    let mut options = Options::default()
        .create_if_missing(words.take("create_if_missing")?.unwrap_or(false))
        .error_if_exists(words.take("error_if_exists")?.unwrap_or(false))
        .compression(compression(given)?);
    words.take::<Bound<'_, PyAny>>("compression")?;
    if let Some(bytes) = words.take("write_buffer_size")? {
        options = options.write_buffer_size(bytes);
    }
    if let Some(bytes) = words.take("lru_cache_size")? {
        options = options.block_cache_bytes(bytes);
    }
    if let Some(bytes) = words.take("block_size")? {
        options = options.block_size(bytes);
    }
    if let Some(bytes) = words.take("max_file_size")? {
        options = options.max_file_size(bytes);
    }
    if let Some(bits) = words.take::<i32>("bloom_filter_bits")?
        && let Ok(bits @ 1..) = u32::try_from(bits)
    {
        options = options.bloom_bits_per_key(bits);
    }
    // LevelDB's settings that have nothing to set here: their types are looked at.
    words.take::<bool>("paranoid_checks")?;
    words.take::<i32>("max_open_files")?;
    words.take::<i32>("block_restart_interval")?;
    words.end(&SETTINGS)?;
    Ok(options)
}

/// What plyvel raises where there is no database: it depends on whether LevelDB could have locked the directory.
fn missing(py: Python<'_>, message: &str, path: &Path) -> PyErr {
    let module = py.import("level_party.plyvel");
    let made = module.and_then(|module| module.call_method1("_missing", (message, path)));
    made.map_or_else(|failed| failed, PyErr::from_value)
}

/// The value of a key behind a prefix: with the interpreter, if that waits for nothing.
pub(super) fn find<'py>(
    py: Python<'py>,
    from: &(impl Readable + Sync),
    prefix: Option<&[u8]>,
    key: &[u8],
    default: Option<Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let key = match prefix {
        None => Cow::Borrowed(key),
        Some(_) => Cow::Owned(behind(prefix, key)),
    };
    let made = |value: &[u8]| PyBytes::new(py, value).into_any();
    let found = match from.try_get_with(&key, made) {
        Poll::Ready(found) => found,
        Poll::Pending => wait(py, || from.get(&key)).map(|value| value.map(|value| made(&value))),
    };
    Ok(found.map_err(|error| raise(py, &error))?.or(default))
}

/// Writes an entry, or removes it.
pub(super) fn set(
    py: Python<'_>,
    open: &Shared,
    key: &[u8],
    value: Option<&[u8]>,
    sync: Option<bool>,
) -> PyResult<()> {
    let db = open.check()?;
    let written = wait(py, || match (value, sync) {
        (Some(value), Some(true)) => db.put_sync(key, value),
        (Some(value), _) => db.put(key, value),
        (None, Some(true)) => db.write(level_party::WriteBatch::new().delete(key).sync(true)),
        (None, _) => db.delete(key),
    });
    written.map_err(|error| raise(py, &error))
}

#[pymethods]
impl DB {
    #[new]
    #[pyo3(signature = (name, **settings), text_signature = "(name, *, create_if_missing=False, error_if_exists=False, paranoid_checks=None, write_buffer_size=None, max_open_files=None, lru_cache_size=None, block_size=None, block_restart_interval=None, max_file_size=None, compression='snappy', bloom_filter_bits=0, comparator=None, comparator_name=None)")]
    fn new(
        py: Python<'_>,
        name: Bound<'_, PyAny>,
        settings: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let path = path(&name)?;
        let options = options(py, settings)?;
        let opened = wait(py, || options.open(&path));
        let db = opened.map_err(|error| match error.kind() {
            ErrorKind::NotFound => missing(py, error.message(), &path),
            _ => raise(py, &error),
        })?;
        let open = Open {
            db,
            closed: AtomicBool::new(false),
        };
        Ok(DB {
            open: Arc::new(open),
            name: name.unbind(),
        })
    }

    #[getter]
    fn name(&self, py: Python<'_>) -> Py<PyAny> {
        self.name.clone_ref(py)
    }

    #[getter]
    fn closed(&self) -> bool {
        self.open.closed.load(Ordering::Acquire)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.open.close(py)
    }

    #[pyo3(signature = (key, default=None, *, verify_checksums=None, fill_cache=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyBytes>,
        default: Option<Bound<'py, PyAny>>,
        verify_checksums: Option<bool>,
        fill_cache: Option<bool>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let _ = (verify_checksums, fill_cache);
        find(py, self.open.check()?, None, key.as_bytes(), default)
    }

    #[pyo3(signature = (key, value, *, sync=None))]
    fn put(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyBytes>,
        value: Given<'_>,
        sync: Option<bool>,
    ) -> PyResult<()> {
        set(py, &self.open, key.as_bytes(), Some(value.bytes()), sync)
    }

    #[pyo3(signature = (key, *, sync=None))]
    fn delete(&self, py: Python<'_>, key: &Bound<'_, PyBytes>, sync: Option<bool>) -> PyResult<()> {
        set(py, &self.open, key.as_bytes(), None, sync)
    }

    #[pyo3(signature = (*, transaction=None, sync=None))]
    fn write_batch(&self, transaction: Option<bool>, sync: Option<bool>) -> PyResult<WriteBatch> {
        self.open.check()?;
        let (transaction, sync) = (transaction.unwrap_or(false), sync.unwrap_or(false));
        Ok(WriteBatch::new(self.open.clone(), b"", transaction, sync))
    }

    fn __iter__(&self, py: Python<'_>) -> PyResult<Iterator> {
        self.iterator(py, None)
    }

    #[pyo3(signature = (**asked), text_signature = "(self, *, reverse=False, start=None, stop=None, include_start=True, include_stop=False, prefix=None, include_key=True, include_value=True, verify_checksums=False, fill_cache=True)")]
    fn iterator(&self, py: Python<'_>, asked: Option<&Bound<'_, PyDict>>) -> PyResult<Iterator> {
        let asked = Asked::of(asked)?;
        Iterator::new(self.open.clone(), moment(py, &self.open)?, None, &asked)
    }

    #[pyo3(signature = (*, verify_checksums=None, fill_cache=None))]
    fn raw_iterator(
        &self,
        py: Python<'_>,
        verify_checksums: Option<bool>,
        fill_cache: Option<bool>,
    ) -> PyResult<RawIterator> {
        let _ = (verify_checksums, fill_cache);
        Ok(RawIterator::new(self.open.clone(), moment(py, &self.open)?))
    }

    fn snapshot(&self, py: Python<'_>) -> PyResult<Snapshot> {
        Snapshot::take(py, self.open.clone(), None)
    }

    fn get_property<'py>(
        &self,
        py: Python<'py>,
        name: &Bound<'py, PyBytes>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let db = self.open.check()?;
        let name = String::from_utf8_lossy(name.as_bytes()).into_owned();
        let property = wait(py, || db.property(&name)).map_err(|error| raise(py, &error))?;
        Ok(property.map(|text| PyBytes::new(py, text.as_bytes())))
    }

    #[pyo3(signature = (*, start=None, stop=None))]
    fn compact_range(
        &self,
        py: Python<'_>,
        start: Option<&Bound<'_, PyBytes>>,
        stop: Option<&Bound<'_, PyBytes>>,
    ) -> PyResult<()> {
        use std::ops::Bound::{Included, Unbounded};
        let db = self.open.check()?;
        let edge = |key: Option<&Bound<'_, PyBytes>>| {
            key.map_or(Unbounded, |key| Included(key.as_bytes().to_vec()))
        };
        let bounds = (edge(start), edge(stop));
        wait(py, || db.compact_range(bounds)).map_err(|error| raise(py, &error))
    }

    fn approximate_size(
        &self,
        py: Python<'_>,
        start: &Bound<'_, PyBytes>,
        stop: &Bound<'_, PyBytes>,
    ) -> PyResult<u64> {
        let db = self.open.check()?;
        let (start, stop) = (start.as_bytes(), stop.as_bytes());
        wait(py, || db.approximate_size(start..stop)).map_err(|error| raise(py, &error))
    }

    #[pyo3(signature = (*ranges))]
    fn approximate_sizes(&self, py: Python<'_>, ranges: &Bound<'_, PyTuple>) -> PyResult<Vec<u64>> {
        self.open.check()?;
        let mut sizes = Vec::with_capacity(ranges.len());
        for range in ranges {
            let (start, stop): (Bound<'_, PyAny>, Bound<'_, PyAny>) = range.extract()?;
            let (Ok(start), Ok(stop)) = (start.cast::<PyBytes>(), stop.cast::<PyBytes>()) else {
                return Err(PyTypeError::new_err(
                    "Start and stop of range must be byte strings",
                ));
            };
            sizes.push(self.approximate_size(py, start, stop)?);
        }
        Ok(sizes)
    }

    fn prefixed_db(this: Bound<'_, Self>, prefix: &Bound<'_, PyBytes>) -> PrefixedDB {
        PrefixedDB::behind(this.unbind(), prefix.as_bytes().to_vec())
    }

    fn __enter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.close(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let name = self.name.bind(py).repr()?;
        let closed = if self.closed() { " (closed)" } else { "" };
        Ok(format!("<plyvel.DB with name {name}{closed}>"))
    }
}

/// Repairs the database in the directory `name`.
#[pyfunction]
#[pyo3(signature = (name, **settings))]
pub(crate) fn repair_db(
    py: Python<'_>,
    name: &Bound<'_, PyAny>,
    settings: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    let path = path(name)?;
    // A repair takes no options: what plyvel takes is looked at, so that a mistake is told.
    options(py, settings)?;
    let repaired = wait(py, || Db::repair(path));
    repaired.map(drop).map_err(|error| match error.kind() {
        ErrorKind::NotFound => raise_as(py, ErrorKind::Io, error.message()),
        _ => raise(py, &error),
    })
}

/// Removes the database in the directory `name`. It is no error when there is none.
#[pyfunction]
pub(crate) fn destroy_db(py: Python<'_>, name: &Bound<'_, PyAny>) -> PyResult<()> {
    let path = path(name)?;
    match wait(py, || Db::destroy(path)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(raise(py, &error)),
        _ => Ok(()),
    }
}
