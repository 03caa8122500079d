//! What a database must hold: an ordered map, and the writes of which nobody knows whether they were applied.

use std::collections::{BTreeMap, BTreeSet};

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);
/// Keys and values in an order.
pub type Entries = Vec<Entry>;

/// One operation of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Sets a key to a value.
    Put(Vec<u8>, Vec<u8>),
    /// Removes a key.
    Delete(Vec<u8>),
}

/// What a database must hold.
#[derive(Debug, Clone, Default)]
pub struct Model {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Keys that were removed once: an older value of theirs must not come up again.
    removed: BTreeSet<Vec<u8>>,
    /// Batches that were sent and not acknowledged when their process was killed.
    unresolved: Vec<Vec<Op>>,
}

impl Model {
    /// A model that holds these entries.
    pub fn of(entries: impl IntoIterator<Item = Entry>) -> Self {
        Model {
            entries: entries.into_iter().collect(),
            ..Model::default()
        }
    }

    /// What it holds.
    pub fn entries(&self) -> &BTreeMap<Vec<u8>, Vec<u8>> {
        &self.entries
    }

    /// Keys that were removed once. Those put again since are in [`Model::entries`] too.
    pub fn removed(&self) -> &BTreeSet<Vec<u8>> {
        &self.removed
    }

    /// Applies an acknowledged batch.
    pub fn apply(&mut self, batch: &[Op]) {
        assert!(self.unresolved.is_empty(), "the last kill is not resolved");
        self.apply_settled(batch);
    }

    fn apply_settled(&mut self, batch: &[Op]) {
        for op in batch {
            match op {
                Op::Put(key, value) => {
                    self.entries.insert(key.clone(), value.clone());
                }
                Op::Delete(key) => {
                    self.entries.remove(key);
                    self.removed.insert(key.clone());
                }
            }
        }
    }

    /// Notes batches, in their order, of which nobody knows whether they were applied.
    pub fn leave_unsettled(&mut self, batches: Vec<Vec<Op>>) {
        assert!(self.unresolved.is_empty(), "the last kill is not resolved");
        self.unresolved = batches;
    }

    /// Decides by what was found how many of the unresolved batches were applied, which it returns: whole batches, the
    /// first ones.
    ///
    /// # Panics
    /// If what was found is nothing that can be, with `who` and the first difference.
    pub fn resolve(&mut self, who: &str, found: &Entries) -> usize {
        let is_found = |entries: &BTreeMap<Vec<u8>, Vec<u8>>| {
            entries.len() == found.len() && entries.iter().eq(found.iter().map(|(k, v)| (k, v)))
        };
        let unresolved = std::mem::take(&mut self.unresolved);
        let acknowledged = self.entries.clone();
        for applied in 0..=unresolved.len() {
            if is_found(&self.entries) {
                return applied;
            }
            if let Some(batch) = unresolved.get(applied) {
                self.apply_settled(batch);
            }
        }
        panic!(
            "{who} finds something else, with {} batches unresolved; beside what was acknowledged: {}; beside all: {}",
            unresolved.len(),
            difference(&acknowledged, found),
            difference(&self.entries, found)
        );
    }
}

/// Says where entries differ from what was expected, in few words.
pub fn difference(expected: &BTreeMap<Vec<u8>, Vec<u8>>, found: &Entries) -> String {
    let wrong = expected
        .iter()
        .zip(found)
        .find(|(e, f)| (e.0, e.1) != (&f.0, &f.1));
    let place = match wrong {
        Some(((key, value), (other, found))) => format!(
            "at {:?} ({} bytes) stands {:?} ({} bytes)",
            key.escape_ascii().to_string(),
            value.len(),
            other.escape_ascii().to_string(),
            found.len()
        ),
        None => "one ends before the other".to_owned(),
    };
    format!(
        "{} entries expected, {} found, {place}",
        expected.len(),
        found.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str) -> Vec<Op> {
        vec![Op::Put(key.into(), b"value".to_vec())]
    }

    #[test]
    fn unsettled_batches_are_applied_up_to_the_one_that_was_found() {
        let mut model = Model::default();
        model.apply(&put("a"));
        model.leave_unsettled(vec![put("b"), put("c")]);
        let found = vec![
            (b"a".to_vec(), b"value".to_vec()),
            (b"b".to_vec(), b"value".to_vec()),
        ];
        assert_eq!(model.resolve("the test", &found), 1);
        assert!(model.entries().keys().eq([b"a", b"b"]));
    }

    #[test]
    #[should_panic(expected = "1 entries expected, 0 found")]
    fn a_lost_write_is_found() {
        let mut model = Model::default();
        model.apply(&put("a"));
        model.resolve("the test", &Entries::new());
    }

    #[test]
    #[should_panic(expected = "the test finds something else")]
    fn a_later_batch_without_an_earlier_one_is_found() {
        let mut model = Model::default();
        model.leave_unsettled(vec![put("b"), put("c")]);
        model.resolve("the test", &vec![(b"c".to_vec(), b"value".to_vec())]);
    }
}
