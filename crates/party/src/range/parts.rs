//! Ranges of which only a part of each entry is wanted.

use super::{End, Parts, Range};
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
    pub(super) fn new(range: Range) -> Self {
        let parts = Parts {
            keys_only: true,
            ..range.parts
        };
        Keys {
            range: range.with_parts(parts),
        }
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

part!(Keys, |key: &[u8], _: &[u8]| key.to_vec());
part!(Values, |_: &[u8], value: &[u8]| value.to_vec());
