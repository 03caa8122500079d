//! What callers give: keys and values, ranges of keys, options.

use std::ops::Bound as Edge;
use std::time::Duration;

use level_party::{Compression, Lead, Options, WhenFull};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyMemoryView, PyString};

/// A key or a value: a `bytes` as it is, a copy of anything else that has a buffer.
pub(crate) struct Given<'py>(Bound<'py, PyBytes>);

impl Given<'_> {
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl AsRef<[u8]> for Given<'_> {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl<'py> FromPyObject<'_, 'py> for Given<'py> {
    type Error = PyErr;

    #[inline]
    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match object.cast::<PyBytes>() {
            Ok(bytes) => Ok(Given(bytes.to_owned())),
            Err(_) => copied(&object),
        }
    }
}

fn copied<'py>(object: &Bound<'py, PyAny>) -> PyResult<Given<'py>> {
    let Ok(view) = PyMemoryView::from(object) else {
        let found = object.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "keys and values are bytes-like, not {found}"
        )));
    };
    let bytes = view.call_method0("tobytes")?;
    Ok(Given(bytes.cast_into::<PyBytes>()?))
}

/// A range of keys.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub lower: Edge<Vec<u8>>,
    pub upper: Edge<Vec<u8>>,
}

impl Span {
    pub const ALL: Span = Span {
        lower: Edge::Unbounded,
        upper: Edge::Unbounded,
    };

    /// The keys that begin with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        Span {
            lower: Edge::Included(prefix.to_vec()),
            upper: after_all(prefix).map_or(Edge::Unbounded, Edge::Excluded),
        }
    }

    /// As the crate takes it.
    pub fn bounds(self) -> (Edge<Vec<u8>>, Edge<Vec<u8>>) {
        (self.lower, self.upper)
    }
}

/// The shortest key after all that begin with `prefix`.
pub(crate) fn after_all(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while end.last() == Some(&0xff) {
        end.pop();
    }
    *end.last_mut()? += 1;
    Some(end)
}

/// Which entries a call walks over, and in which order.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    pub span: Span,
    pub reverse: bool,
    pub limit: Option<u64>,
}

/// The words of a call by name: each may be taken once, and none may be left.
pub(crate) struct Words<'py> {
    /// Those that nobody has taken: few, so that each is looked at.
    left: Vec<(Bound<'py, PyString>, Bound<'py, PyAny>)>,
}

impl<'py> Words<'py> {
    pub fn new(given: Option<&Bound<'py, PyDict>>) -> PyResult<Self> {
        let named = |(name, value): (Bound<'py, PyAny>, _)| Ok((name.cast_into()?, value));
        let given = given.into_iter().flatten();
        Ok(Words {
            left: given.map(named).collect::<PyResult<_>>()?,
        })
    }

    /// `None` is as good as not given.
    pub fn take<T>(&mut self, name: &str) -> PyResult<Option<T>>
    where
        T: for<'v> FromPyObject<'v, 'py>,
    {
        let named =
            |(left, _): &(Bound<'_, PyString>, _)| left.to_str().is_ok_and(|left| left == name);
        let Some(at) = self.left.iter().position(named) else {
            return Ok(None);
        };
        let (_, value) = self.left.remove(at);
        value.extract::<Option<T>>().map_err(|error| {
            let error: PyErr = error.into();
            PyTypeError::new_err(format!("argument '{name}': {}", error.value(value.py())))
        })
    }

    /// # Errors
    /// There is one that nobody has taken.
    pub fn end(self, known: &[&str]) -> PyResult<()> {
        let Some((name, _)) = self.left.first() else {
            return Ok(());
        };
        Err(PyTypeError::new_err(format!(
            "unexpected keyword argument '{name}' (there are {})",
            known.join(", ")
        )))
    }
}

const SPAN: [&str; 5] = ["gt", "gte", "lt", "lte", "prefix"];
const WALK: [&str; 7] = ["gt", "gte", "lt", "lte", "prefix", "reverse", "limit"];

fn edge(words: &mut Words<'_>, excluded: &str, included: &str) -> PyResult<Edge<Vec<u8>>> {
    let excluded_key = words.take::<Given<'_>>(excluded)?;
    let included_key = words.take::<Given<'_>>(included)?;
    match (excluded_key, included_key) {
        (None, None) => Ok(Edge::Unbounded),
        (Some(key), None) => Ok(Edge::Excluded(key.bytes().to_vec())),
        (None, Some(key)) => Ok(Edge::Included(key.bytes().to_vec())),
        (Some(_), Some(_)) => Err(PyTypeError::new_err(format!(
            "give {excluded} or {included}, not both"
        ))),
    }
}

fn span_of(words: &mut Words<'_>) -> PyResult<Span> {
    let lower = edge(words, "gt", "gte")?;
    let upper = edge(words, "lt", "lte")?;
    let Some(prefix) = words.take::<Given<'_>>("prefix")? else {
        return Ok(Span { lower, upper });
    };
    match (&lower, &upper) {
        (Edge::Unbounded, Edge::Unbounded) => Ok(Span::prefix(prefix.bytes())),
        _ => Err(PyTypeError::new_err(
            "give prefix, or gt, gte, lt and lte, not both",
        )),
    }
}

/// `gt`, `gte`, `lt`, `lte`, `prefix`.
pub(crate) fn span(given: Option<&Bound<'_, PyDict>>) -> PyResult<Span> {
    let mut words = Words::new(given)?;
    let span = span_of(&mut words)?;
    words.end(&SPAN)?;
    Ok(span)
}

/// The same, `reverse` and `limit`.
pub(crate) fn walk(given: Option<&Bound<'_, PyDict>>) -> PyResult<Walk> {
    let mut words = Words::new(given)?;
    let walk = Walk {
        span: span_of(&mut words)?,
        reverse: words.take("reverse")?.unwrap_or(false),
        limit: words.take("limit")?,
    };
    words.end(&WALK)?;
    Ok(walk)
}

/// Seconds.
pub(crate) fn seconds(seconds: f64) -> PyResult<Duration> {
    // `inf` waits as long as can be told.
    if seconds == f64::INFINITY {
        return Ok(Duration::MAX);
    }
    Duration::try_from_secs_f64(seconds)
        .map_err(|error| PyValueError::new_err(format!("{seconds} seconds: {error}")))
}

const OPTIONS: [&str; 19] = [
    "create_if_missing",
    "error_if_exists",
    "reject_writes",
    "sync",
    "lead",
    "open_timeout",
    "timeout",
    "retry",
    "queue_bytes",
    "when_full",
    "write_buffer_size",
    "block_size",
    "max_file_size",
    "compression",
    "bloom_bits_per_key",
    "watch_history_bytes",
    "block_cache_bytes",
    "map_tables",
    "raise_descriptor_limit",
];

/// One of some words, as what it means.
fn one_of<T: Copy>(name: &str, word: &str, known: &[(&str, T)]) -> PyResult<T> {
    let found = known.iter().find(|(known, _)| *known == word);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<_> = known
            .iter()
            .map(|(known, _)| format!("'{known}'"))
            .collect();
        PyValueError::new_err(format!(
            "argument '{name}': '{word}' is none of {}",
            known.join(", ")
        ))
    })
}

/// How a database is opened.
pub(crate) fn options(given: Option<&Bound<'_, PyDict>>) -> PyResult<Options> {
    let mut words = Words::new(given)?;
    let mut options = Options::default();
    macro_rules! set {
        ($($name:ident),*) => { $(
            if let Some(value) = words.take(stringify!($name))? {
                options = options.$name(value);
            }
        )* };
    }
    set!(
        create_if_missing,
        error_if_exists,
        reject_writes,
        sync,
        retry
    );
    set!(
        queue_bytes,
        write_buffer_size,
        block_size,
        max_file_size,
        bloom_bits_per_key
    );
    set!(
        watch_history_bytes,
        block_cache_bytes,
        map_tables,
        raise_descriptor_limit
    );
    if let Some(limit) = words.take("open_timeout")? {
        options = options.open_timeout(seconds(limit)?);
    }
    if let Some(limit) = words.take("timeout")? {
        options = options.timeout(seconds(limit)?);
    }
    if let Some(word) = words.take::<String>("lead")? {
        let known = [
            ("auto", Lead::Auto),
            ("never", Lead::Never),
            ("join", Lead::Join),
        ];
        options = options.lead(one_of("lead", &word, &known)?);
    }
    if let Some(word) = words.take::<String>("when_full")? {
        let known = [("wait", WhenFull::Wait), ("busy", WhenFull::Busy)];
        options = options.when_full(one_of("when_full", &word, &known)?);
    }
    if let Some(word) = words.take::<String>("compression")? {
        let known = [
            ("none", Compression::None),
            ("snappy", Compression::Snappy),
            ("zlib-raw", Compression::ZlibRaw),
        ];
        options = options.compression(one_of("compression", &word, &known)?);
    }
    words.end(&OPTIONS)?;
    Ok(options)
}
