//! The crate's errors as Python's exceptions: a class for each kind (`level_party/_errors.py`), with what a caller can do.

use level_party::Error;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// What a call of this package failed with.
pub(crate) enum Failure {
    Party(Error),
    /// The object itself was closed, not the database: a sentence.
    Closed(&'static str),
    /// A transaction that is not tried again conflicted.
    Conflict,
}

const CONFLICT: &str = "others changed what this transaction has read; nothing was written. Begin it again, or give \
     transaction() a function, which it calls again by itself";

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Party(error)
    }
}

/// The result of a call that may run without an interpreter.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

impl Failure {
    /// The exception that is raised for it.
    pub fn raise(self, py: Python<'_>) -> PyErr {
        let made = match &self {
            Failure::Party(error) => make(
                py,
                error.kind().as_str(),
                error.message(),
                error.is_retryable(),
                error.had_no_effect(),
            ),
            Failure::Closed(what) => make(py, "Closed", what, false, true),
            Failure::Conflict => make(py, "Conflict", CONFLICT, true, true),
        };
        made.unwrap_or_else(|failed| failed)
    }
}

fn make(
    py: Python<'_>,
    kind: &str,
    message: &str,
    retryable: bool,
    no_effect: bool,
) -> PyResult<PyErr> {
    let make = MAKE.import(py, "level_party._errors", "_make")?;
    let error = make.call1((kind, message, retryable, no_effect))?;
    Ok(PyErr::from_value(error))
}

/// Raises what failed.
pub(crate) trait OrRaise<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T, E: Into<Failure>> OrRaise<T> for std::result::Result<T, E> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| error.into().raise(py))
    }
}
