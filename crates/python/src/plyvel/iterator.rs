//! `Iterator`: over a range of entries, in both directions.

use std::ops::Bound as Edge;

use level_party::Snapshot;
use pyo3::exceptions::{PyRuntimeError, PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::cursor::Cursor;
use super::{Shared, behind, raise};
use crate::given::{Span, Words, after_all};
use crate::steps::Part;

const ASKED: [&str; 10] = [
    "reverse",
    "start",
    "stop",
    "include_start",
    "include_stop",
    "prefix",
    "include_key",
    "include_value",
    "verify_checksums",
    "fill_cache",
];

/// What an iterator is asked for.
pub(crate) struct Asked<'py> {
    reverse: bool,
    start: Option<Bound<'py, PyBytes>>,
    stop: Option<Bound<'py, PyBytes>>,
    include_start: bool,
    include_stop: bool,
    prefix: Option<Bound<'py, PyBytes>>,
    include_key: bool,
    include_value: bool,
}

impl<'py> Asked<'py> {
    pub fn of(given: Option<&Bound<'py, PyDict>>) -> PyResult<Self> {
        let mut words = Words::new(given)?;
        let asked = Asked {
            reverse: words.take("reverse")?.unwrap_or(false),
            start: words.take("start")?,
            stop: words.take("stop")?,
            include_start: words.take("include_start")?.unwrap_or(true),
            include_stop: words.take("include_stop")?.unwrap_or(false),
            prefix: words.take("prefix")?,
            include_key: words.take("include_key")?.unwrap_or(true),
            include_value: words.take("include_value")?.unwrap_or(true),
        };
        // They have nothing to set here.
        words.take::<bool>("verify_checksums")?;
        words.take::<bool>("fill_cache")?;
        words.end(&ASKED)?;
        Ok(asked)
    }

    fn part(&self) -> Part {
        match (self.include_key, self.include_value) {
            (true, true) => Part::Items,
            (true, false) => Part::Keys,
            (false, true) => Part::Values,
            (false, false) => Part::Nothing,
        }
    }

    /// The range, behind the prefix of a `PrefixedDB`.
    fn span(&self, db_prefix: Option<&[u8]>) -> PyResult<Span> {
        if let Some(prefix) = &self.prefix {
            if self.start.is_some() || self.stop.is_some() {
                return Err(PyTypeError::new_err(
                    "'prefix' cannot be used together with 'start' or 'stop'",
                ));
            }
            return Ok(Span::prefix(&behind(db_prefix, prefix.as_bytes())));
        }
        let edge = |key: &Bound<'_, PyBytes>, included| {
            let key = behind(db_prefix, key.as_bytes());
            match included {
                true => Edge::Included(key),
                false => Edge::Excluded(key),
            }
        };
        let lower = match (&self.start, db_prefix) {
            (Some(start), _) => edge(start, self.include_start),
            (None, Some(prefix)) => Edge::Included(prefix.to_vec()),
            (None, None) => Edge::Unbounded,
        };
        let upper = match (&self.stop, db_prefix) {
            (Some(stop), _) => edge(stop, self.include_stop),
            (None, Some(prefix)) => after_all(prefix).map_or(Edge::Unbounded, Edge::Excluded),
            (None, None) => Edge::Unbounded,
        };
        Ok(Span { lower, upper })
    }
}

/// An iterator over a range of entries as they were when it was made.
#[pyclass(module = "level_party.plyvel", weakref)]
pub(crate) struct Iterator {
    open: Shared,
    /// None once it was closed.
    cursor: Option<Cursor>,
    db_prefix: Option<Vec<u8>>,
    reverse: bool,
    part: Part,
}

impl Iterator {
    pub fn new(
        open: Shared,
        snapshot: Snapshot,
        db_prefix: Option<&[u8]>,
        asked: &Asked<'_>,
    ) -> PyResult<Self> {
        let part = asked.part();
        let mut cursor = Cursor::new(snapshot, asked.span(db_prefix)?, part);
        if asked.reverse {
            cursor.go_to_stop();
        }
        Ok(Iterator {
            open,
            cursor: Some(cursor),
            db_prefix: db_prefix.map(<[u8]>::to_vec),
            reverse: asked.reverse,
            part,
        })
    }

    fn cursor(&mut self) -> PyResult<&mut Cursor> {
        self.open.check()?;
        self.cursor
            .as_mut()
            .ok_or_else(|| PyRuntimeError::new_err("Database or iterator is closed"))
    }

    fn step<'py>(&mut self, py: Python<'py>, forward: bool) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (part, hidden) = (self.part, self.db_prefix.as_ref().map_or(0, Vec::len));
        let made =
            |key: &[u8], value: &[u8]| part.of(py, key.get(hidden..).unwrap_or_default(), value);
        let stepped = self.cursor()?.step(py, forward, made);
        stepped.map_err(|error| raise(py, &error))?.transpose()
    }
}

#[pymethods]
impl Iterator {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let forward = !self.reverse;
        self.step(py, forward)
    }

    fn next<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let next = self.__next__(py)?;
        next.ok_or_else(|| PyStopIteration::new_err(()))
    }

    fn prev<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let forward = self.reverse;
        let previous = self.step(py, forward)?;
        previous.ok_or_else(|| PyStopIteration::new_err(()))
    }

    fn seek(&mut self, target: &Bound<'_, PyBytes>) -> PyResult<()> {
        let target = behind(self.db_prefix.as_deref(), target.as_bytes());
        self.cursor()?.go_before(target);
        Ok(())
    }

    fn seek_to_start(&mut self) -> PyResult<()> {
        self.cursor()?.go_to_start();
        Ok(())
    }

    fn seek_to_stop(&mut self) -> PyResult<()> {
        self.cursor()?.go_to_stop();
        Ok(())
    }

    fn close(&mut self) {
        self.cursor = None;
    }

    fn __enter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&mut self, _exception: &Bound<'_, PyAny>) -> bool {
        self.close();
        false
    }
}
