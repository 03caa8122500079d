//! Reading the run's entries back, in key order, and counting what is wrong with them.

use super::layout::{KeyKind, Layout};

/// Faults kept word for word; the rest is only counted.
const FAULTS_KEPT: usize = 5;

/// Takes the entries of one moment in key order.
pub struct Checker<'a> {
    layout: &'a Layout,
    /// For each writer, the newest batch that was acknowledged before the moment.
    floors: Vec<u64>,
    previous: Option<String>,
    next_base: u64,
    writers: Vec<Seen>,
    found: Findings,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    /// What `last` is in the present moment.
    last: Option<u64>,
    /// The entry that comes next.
    next: u64,
    /// Whether `last` was seen in an earlier moment than the entries are.
    resumed: bool,
}

/// What came out.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Findings {
    /// Entries seen.
    pub entries: u64,
    /// Entries that must be there and are not.
    pub lost: u64,
    /// Batches that left the mark of a second application.
    pub doubled: u64,
    /// Everything that must not be, in words (the first few).
    pub faults: Vec<String>,
    /// How many there were.
    pub fault_count: u64,
    /// The newest batch of each writer.
    pub last: Vec<u64>,
}

impl Findings {
    /// Notes a fault.
    pub fn fault(&mut self, what: impl std::fmt::Display) {
        self.fault_count += 1;
        if self.faults.len() < FAULTS_KEPT {
            self.faults.push(what.to_string());
        }
    }
}

impl<'a> Checker<'a> {
    /// Expects at least what `floors` says was acknowledged.
    pub fn new(layout: &'a Layout, floors: Vec<u64>) -> Self {
        Checker {
            layout,
            floors,
            previous: None,
            next_base: 0,
            writers: vec![Seen::default(); layout.writers],
            found: Findings::default(),
        }
    }

    /// The next entry.
    pub fn entry(&mut self, key: &str, value: &str) {
        self.found.entries += 1;
        if let Some(previous) = self.previous.as_deref().filter(|previous| *previous >= key) {
            self.found
                .fault(format_args!("{key} came after {previous}"));
        }
        self.previous = Some(key.to_string());
        match self.layout.kind(key) {
            None => self.found.fault(format_args!("{key} was never written")),
            Some(KeyKind::Base(index)) => self.base(index, value),
            Some(KeyKind::Last(writer)) => self.last(writer, key, value),
            Some(KeyKind::Entry(writer, n)) => self.numbered(writer, n, value),
        }
    }

    fn base(&mut self, index: u64, value: &str) {
        self.missing("base entries", self.next_base, index);
        self.next_base = index + 1;
        if value != self.layout.base_value(index) {
            self.found
                .fault(format_args!("base entry {index} is {value:?}"));
        }
    }

    fn last(&mut self, writer: usize, key: &str, value: &str) {
        let Ok(last) = value.parse() else {
            return self.found.fault(format_args!("{key} is {value:?}"));
        };
        self.writers[writer].last = Some(last);
    }

    fn numbered(&mut self, writer: usize, n: u64, value: &str) {
        let Seen { last, next, .. } = self.writers[writer];
        self.missing(&format!("writer {}'s entries", writer + 1), next, n);
        self.writers[writer].next = n + 1;
        let Some(last) = last else { return };
        if n > last {
            self.found.fault(format_args!(
                "writer {}: entry {n} without its batch: last is {last}",
                writer + 1
            ));
        }
        let (open, done) = (self.layout.open(writer, n), self.layout.done(writer, n));
        match (value == open, value == done) {
            (true, _) if n < last => {
                self.found.doubled += 1;
                self.found.fault(format_args!(
                    "writer {}: batch {n} was applied again after a later one",
                    writer + 1
                ));
            }
            (true, _) => {}
            (_, true) if n != last => {}
            _ => self.found.fault(format_args!(
                "writer {}: entry {n} is {value:?}",
                writer + 1
            )),
        }
    }

    fn missing(&mut self, what: &str, from: u64, to: u64) {
        if to > from {
            self.found.lost += to - from;
            self.found
                .fault(format_args!("{what} {from} to {} are missing", to - 1));
        }
    }

    /// The entries from here on are of a later moment, before which `floors` was acknowledged. Nothing that was there
    /// may be gone; only whether a batch is whole can no longer be told for the writer that was being read.
    pub fn resume(&mut self, floors: Vec<u64>) {
        self.floors = floors;
        for (seen, floor) in self.writers.iter_mut().zip(&mut self.floors) {
            if let Some(last) = seen.last.take() {
                *floor = last.max(*floor);
                seen.resumed = true;
            }
        }
        // A writer that was read to its end has no more entries: what it wrote since lies behind the walk.
        for (writer, seen) in self.writers.iter().enumerate() {
            let passed = self
                .previous
                .as_deref()
                .is_some_and(|key| self.layout.last_key(writer + 1).as_str() <= key);
            if passed {
                self.floors[writer] = seen.next.saturating_sub(1);
            }
        }
    }

    /// The key after which a new process goes on.
    pub fn previous(&self) -> Option<&str> {
        self.previous.as_deref()
    }

    /// Entries seen so far.
    pub fn entries(&self) -> u64 {
        self.found.entries
    }

    /// There are no more entries.
    pub fn finish(mut self) -> Findings {
        self.missing("base entries", self.next_base, self.layout.base_entries);
        for writer in 0..self.layout.writers {
            let Seen {
                last,
                next,
                resumed,
            } = self.writers[writer];
            let name = format!("writer {}'s entries", writer + 1);
            if last.is_none() && !resumed {
                self.found
                    .fault(format_args!("writer {}: no last batch", writer + 1));
            }
            let expected = last.unwrap_or(0).max(self.floors[writer]);
            self.missing(&name, next, expected + 1);
            self.found.last.push(last.unwrap_or(0));
        }
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    type Store = BTreeMap<String, String>;

    fn layout() -> Layout {
        Layout::named("r".into(), 2, 3)
    }

    /// What the database would hold after the given numbers of batches.
    fn store(layout: &Layout, batches: [u64; 2]) -> Store {
        let mut store: Store = (0..3)
            .map(|i| (layout.base_key(i), layout.base_value(i)))
            .collect();
        for (writer, last) in batches.into_iter().enumerate() {
            for n in 0..=last {
                let value = if n == last {
                    layout.open(writer, n)
                } else {
                    layout.done(writer, n)
                };
                store.insert(layout.entry_key(writer, n), value);
            }
            store.insert(layout.last_key(writer), last.to_string());
        }
        store
    }

    fn findings(layout: &Layout, store: &Store, floors: [u64; 2]) -> Findings {
        let mut checker = Checker::new(layout, floors.to_vec());
        for (key, value) in store {
            checker.entry(key, value);
        }
        checker.finish()
    }

    #[test]
    fn a_whole_store_has_no_faults() {
        let layout = layout();
        let found = findings(&layout, &store(&layout, [7, 0]), [7, 0]);
        assert_eq!(
            (found.lost, found.doubled, found.fault_count),
            (0, 0, 0),
            "{found:?}"
        );
        assert_eq!(found.last, [7, 0]);
        assert_eq!(found.entries, 3 + 9 + 2);
    }

    #[test]
    fn a_missing_entry_is_lost_wherever_it_was() {
        let layout = layout();
        for key in [
            layout.base_key(0),
            layout.base_key(2),
            layout.entry_key(0, 0),
            layout.entry_key(1, 4),
        ] {
            let mut store = store(&layout, [5, 4]);
            store.remove(&key);
            assert_eq!(findings(&layout, &store, [5, 4]).lost, 1, "{key}");
        }
    }

    #[test]
    fn acknowledged_batches_that_are_gone_are_lost() {
        let layout = layout();
        let found = findings(&layout, &store(&layout, [5, 4]), [8, 4]);
        assert_eq!(found.lost, 3, "{found:?}");
    }

    #[test]
    fn a_batch_applied_again_after_a_later_one_is_doubled() {
        let layout = layout();
        let mut store = store(&layout, [5, 4]);
        // Batch 3 once more: entry 3 open, entry 2 done, last = 3.
        store.insert(layout.entry_key(0, 3), layout.open(0, 3));
        store.insert(layout.last_key(0), "3".into());
        let found = findings(&layout, &store, [5, 4]);
        assert!(found.fault_count > 0, "{found:?}");
        // And when later batches had set `last` right again.
        store.insert(layout.last_key(0), "5".into());
        let found = findings(&layout, &store, [5, 4]);
        assert_eq!((found.lost, found.doubled), (0, 1), "{found:?}");
    }

    /// The findings of a walk that is cut after so many entries and goes on in a later store.
    fn resumed(
        layout: &Layout,
        before: &Store,
        cut: usize,
        after: &Store,
        floors: [u64; 2],
    ) -> Findings {
        let mut checker = Checker::new(layout, vec![0, 0]);
        for (key, value) in before.iter().take(cut) {
            checker.entry(key, value);
        }
        checker.resume(floors.to_vec());
        let previous = checker.previous().unwrap_or_default().to_string();
        for (key, value) in after.iter().filter(|(key, _)| **key > previous) {
            checker.entry(key, value);
        }
        checker.finish()
    }

    #[test]
    fn walk_resumed_later_finds_a_whole_store_sound() {
        let layout = layout();
        let (before, after) = (store(&layout, [5, 4]), store(&layout, [9, 7]));
        for cut in 0..=before.len() {
            let found = resumed(&layout, &before, cut, &after, [8, 6]);
            assert_eq!(found.fault_count, 0, "cut at {cut}: {found:?}");
        }
    }

    #[test]
    fn walk_resumed_later_still_finds_lost_entries() {
        let layout = layout();
        let before = store(&layout, [5, 4]);
        let mut after = store(&layout, [9, 7]);
        after.remove(&layout.entry_key(0, 7));
        for cut in 0..8 {
            let found = resumed(&layout, &before, cut, &after, [8, 6]);
            assert_eq!(found.lost, 1, "cut at {cut}: {found:?}");
        }
        let found = resumed(&layout, &before, 6, &store(&layout, [7, 7]), [8, 6]);
        assert_eq!(found.lost, 1, "{found:?}");
    }

    #[test]
    fn a_torn_batch_and_a_key_out_of_order_are_faults() {
        let layout = layout();
        let mut torn = store(&layout, [5, 4]);
        torn.insert(layout.entry_key(0, 6), layout.open(0, 6));
        assert!(findings(&layout, &torn, [5, 4]).fault_count > 0);

        let mut checker = Checker::new(&layout, vec![0, 0]);
        checker.entry(&layout.base_key(1), &layout.base_value(1));
        checker.entry(&layout.base_key(1), &layout.base_value(1));
        assert!(
            checker
                .finish()
                .faults
                .iter()
                .any(|fault| fault.contains("came after"))
        );
    }
}
