//! Ranges of which only a part of each entry is wanted.

use super::{End, Range};
use crate::error::Result;

/// The keys of a [`Range`]; made by [`Range::keys`].
#[derive(Debug)]
pub struct Keys {
    range: Range,
}

/// The values of a [`Range`]; made by [`Range::values`].
#[derive(Debug)]
pub struct Values {
    range: Range,
}

impl Keys {
    pub(super) fn new(mut range: Range) -> Self {
        range.only_keys();
        Keys { range }
    }
}

impl Values {
    pub(super) fn new(range: Range) -> Self {
        Values { range }
    }
}

macro_rules! part {
    ($name:ident, $take:expr) => {
        impl $name {
            /// As [`Range::limit`].
            pub fn limit(mut self, count: u64) -> Self {
                self.range = self.range.limit(count);
                self
            }

            /// As [`Range::seek`].
            pub fn seek(&mut self, target: impl AsRef<[u8]>) {
                self.range.seek(target);
            }

            /// As [`Range::seek_back`].
            pub fn seek_back(&mut self, target: impl AsRef<[u8]>) {
                self.range.seek_back(target);
            }
        }

        impl Iterator for $name {
            type Item = Result<Vec<u8>>;

            fn next(&mut self) -> Option<Self::Item> {
                self.range.step(End::Front, $take)
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                self.range.most()
            }
        }

        impl DoubleEndedIterator for $name {
            fn next_back(&mut self) -> Option<Self::Item> {
                self.range.step(End::Back, $take)
            }
        }

        impl std::iter::FusedIterator for $name {}
    };
}

part!(Keys, owned_key);
part!(Values, owned_value);

/// A key, as [`Range::step`] takes it.
pub(crate) fn owned_key(key: &[u8], _: &[u8]) -> Vec<u8> {
    key.to_vec()
}

/// A value, as [`Range::step`] takes it.
pub(crate) fn owned_value(_: &[u8], value: &[u8]) -> Vec<u8> {
    value.to_vec()
}
