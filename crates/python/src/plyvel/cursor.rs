//! A place between two entries, from which one steps to either side.

use std::ops::Bound as Edge;

use level_party::{Error, Readable, Snapshot};
use pyo3::prelude::*;

use crate::given::Span;
use crate::steps::{Part, Steps};

/// Where a cursor stands.
enum Gap {
    Start,
    Stop,
    Before(Vec<u8>),
    After(Vec<u8>),
}

/// Steps over the entries of a range of a snapshot, in both directions.
pub(super) struct Cursor {
    snapshot: Snapshot,
    span: Span,
    part: Part,
    /// Where it stands, but for what the scan has given since.
    gap: Gap,
    /// The scan under way.
    scan: Option<Scan>,
}

/// A scan in one direction.
struct Scan {
    steps: Steps,
    forward: bool,
    /// It has given an entry,
    given: bool,
    /// whose key this is.
    last: Vec<u8>,
}

impl Cursor {
    pub fn new(snapshot: Snapshot, span: Span, part: Part) -> Self {
        Cursor {
            snapshot,
            span,
            part,
            gap: Gap::Start,
            scan: None,
        }
    }

    fn place(&mut self, gap: Gap) {
        self.gap = gap;
        self.scan = None;
    }

    pub fn go_to_start(&mut self) {
        self.place(Gap::Start);
    }

    pub fn go_to_stop(&mut self) {
        self.place(Gap::Stop);
    }

    /// Before the first entry whose key is `target` or after it. A target outside of the range means its nearer end.
    pub fn go_before(&mut self, target: Vec<u8>) {
        self.place(Gap::Before(target));
    }

    pub fn go_behind(&mut self, key: Vec<u8>) {
        self.place(Gap::After(key));
    }

    /// What `make` makes of the entry on one side, which the cursor steps over.
    pub fn step<T>(
        &mut self,
        py: Python<'_>,
        forward: bool,
        make: impl FnOnce(&[u8], &[u8]) -> T,
    ) -> Result<Option<T>, Error> {
        if self
            .scan
            .as_ref()
            .is_none_or(|scan| scan.forward != forward)
        {
            self.turn(forward);
        }
        let Some(Scan {
            steps, given, last, ..
        }) = &mut self.scan
        else {
            return Ok(None);
        };
        steps.next(py, |key, value| {
            *given = true;
            last.clear();
            last.extend_from_slice(key);
            make(key, value)
        })
    }

    /// Begins a scan from where the cursor stands.
    fn turn(&mut self, forward: bool) {
        if let Some(scan) = self.scan.take().filter(|scan| scan.given) {
            self.gap = match scan.forward {
                true => Gap::After(scan.last),
                false => Gap::Before(scan.last),
            };
        }
        let range = self.snapshot.range(self.left(forward).bounds());
        self.scan = Some(Scan {
            steps: Steps::new(range, !forward, self.part),
            forward,
            given: false,
            last: Vec::new(),
        });
    }

    /// The part of the range on one side of the cursor.
    fn left(&self, forward: bool) -> Span {
        let Span { lower, upper } = self.span.clone();
        let nothing = Span {
            lower: Edge::Unbounded,
            upper: Edge::Excluded(Vec::new()),
        };
        match (&self.gap, forward) {
            (Gap::Start, true) | (Gap::Stop, false) => Span { lower, upper },
            (Gap::Start, false) | (Gap::Stop, true) => nothing,
            (Gap::Before(key), true) => Span {
                lower: higher(lower, Edge::Included(key.clone())),
                upper,
            },
            (Gap::After(key), true) => Span {
                lower: higher(lower, Edge::Excluded(key.clone())),
                upper,
            },
            (Gap::Before(key), false) => Span {
                lower,
                upper: lower_of(upper, Edge::Excluded(key.clone())),
            },
            (Gap::After(key), false) => Span {
                lower,
                upper: lower_of(upper, Edge::Included(key.clone())),
            },
        }
    }
}

fn key(edge: &Edge<Vec<u8>>) -> Option<(&[u8], bool)> {
    match edge {
        Edge::Included(key) => Some((key, false)),
        Edge::Excluded(key) => Some((key, true)),
        Edge::Unbounded => None,
    }
}

/// Of two lower bounds the one that leaves less.
fn higher(a: Edge<Vec<u8>>, b: Edge<Vec<u8>>) -> Edge<Vec<u8>> {
    match key(&a) > key(&b) {
        true => a,
        false => b,
    }
}

/// Of two upper bounds the one that leaves less.
fn lower_of(a: Edge<Vec<u8>>, b: Edge<Vec<u8>>) -> Edge<Vec<u8>> {
    let is_a = match (key(&a), key(&b)) {
        (None, _) => false,
        (Some(_), None) => true,
        // Of the same key the excluded one leaves less.
        (Some((a, a_excluded)), Some((b, b_excluded))) => (a, !a_excluded) < (b, !b_excluded),
    };
    match is_a {
        true => a,
        false => b,
    }
}
