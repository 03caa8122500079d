//! Reading a database in every way there is, beside what it must hold.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::model::{Entries, Entry, Model, difference};

/// Whatever a database can be read through.
pub trait Readable {
    /// What it is called in a failure's words.
    fn name(&self) -> &str;
    /// All entries from the first on.
    fn forward(&mut self) -> Entries;
    /// All entries from the last back.
    fn backward(&mut self) -> Entries;
    /// The value of a key.
    fn get(&mut self, key: &[u8]) -> Option<Vec<u8>>;
    /// The first entry whose key is not below `key`.
    fn seek(&mut self, key: &[u8]) -> Option<Entry>;
}

/// Reads all entries in both directions, and about `probes` keys by gets and seeks, of those that are there and those
/// that were removed, each with its neighbours.
///
/// # Panics
/// At the first difference from `model`.
pub fn read_everything(database: &mut dyn Readable, model: &Model, probes: usize) {
    let name = database.name().to_owned();
    let expected = model.entries();
    let same = |found: &Entries| {
        expected
            .iter()
            .eq(found.iter().map(|(key, value)| (key, value)))
    };
    let found = database.forward();
    assert!(
        same(&found),
        "{name}, forward: {}",
        difference(expected, &found)
    );
    let mut found = database.backward();
    found.reverse();
    assert!(
        same(&found),
        "{name}, backward: {}",
        difference(expected, &found)
    );

    let count = expected.len() + model.removed().len();
    let step = (count / probes.max(1)).max(1);
    for key in expected.keys().chain(model.removed()).step_by(step) {
        probe(database, expected, key);
        probe(database, expected, &[key, &[0][..]].concat());
        if let Some((_, shorter)) = key.split_last() {
            probe(database, expected, shorter);
        }
    }
    probe(database, expected, b"");
    probe(database, expected, &[0xff; 40]);
}

fn probe(database: &mut dyn Readable, expected: &BTreeMap<Vec<u8>, Vec<u8>>, key: &[u8]) {
    let name = database.name().to_owned();
    let shown = key.escape_ascii().to_string();
    let found = database.get(key);
    assert!(
        found.as_ref() == expected.get(key),
        "{name}, get {shown:?}: {:?}",
        found.map(|value| value.len())
    );
    let next = expected
        .range::<[u8], _>((Bound::Included(key), Bound::Unbounded))
        .next();
    let found = database.seek(key);
    let same = found.as_ref().map(|(key, value)| (key, value)) == next;
    assert!(
        same,
        "{name}, seek {shown:?}: {:?}",
        found.map(|(key, _)| key.escape_ascii().to_string())
    );
}
