//! What a repair could not keep: [`KeyRanges`] by keys, [`Lost`] in sentences.
//!
//! Promises: the sentences are few for each file, with a count of the others.
//! Must not know: why it was lost.

use std::collections::BTreeMap;

use level_party_format::Comparator;

/// Ranges of user keys, both ends included.
pub(super) struct KeyRanges {
    order: Comparator,
    ranges: Vec<(Vec<u8>, Vec<u8>)>,
}

impl KeyRanges {
    pub(super) fn new(order: Comparator) -> KeyRanges {
        KeyRanges {
            order,
            ranges: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, first: &[u8], last: &[u8]) {
        self.ranges.push((first.to_vec(), last.to_vec()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub(super) fn contain(&self, key: &[u8]) -> bool {
        let reaches = |(first, last): &(Vec<u8>, Vec<u8>)| {
            self.order.compare(key, first).is_ge() && self.order.compare(key, last).is_le()
        };
        self.ranges.iter().any(reaches)
    }
}

/// Sentences that are kept of one file.
pub(super) const KEPT_OF_A_FILE: usize = 4;

/// What was lost, file by file.
#[derive(Default)]
pub(super) struct Lost {
    files: BTreeMap<String, (Vec<String>, u64)>,
}

impl Lost {
    pub(super) fn add(&mut self, file: &str, sentence: impl FnOnce() -> String) {
        let (told, more) = match self.files.get_mut(file) {
            Some(known) => known,
            None => self.files.entry(file.to_owned()).or_default(),
        };
        match told.len() < KEPT_OF_A_FILE {
            true => told.push(sentence()),
            false => *more += 1,
        }
    }

    /// Adds losses that are only counted.
    pub(super) fn count(&mut self, file: &str, more: u64) {
        if more > 0 {
            self.files.entry(file.to_owned()).or_default().1 += more;
        }
    }

    pub(super) fn into_sentences(self) -> Vec<String> {
        let mut sentences = Vec::new();
        for (file, (told, more)) in self.files {
            sentences.extend(told);
            if more > 0 {
                sentences.push(format!("{more} more losses of {file} like these"));
            }
        }
        sentences
    }
}
