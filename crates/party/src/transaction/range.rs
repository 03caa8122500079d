//! A range inside a transaction: the stored entries of its moment merged with what it wrote.
//!
//! Each of the two sides is sorted and may be looked ahead at by one entry from each end. What is looked at is no read;
//! what is handed out is, unless the transaction wrote it itself, and that there is nothing else up to it ([`Walked`]).

use std::cmp::Ordering;
use std::collections::btree_map;
use std::sync::Arc;

use super::{Read, Walked, Written};
use crate::error::{Error, Result};
use crate::handle::Pinned;
use crate::limits::{Wait, now};
use crate::range::{End, Parts, Range};

/// The entries of a range in a transaction; made by [`Transaction::range`](super::Transaction::range).
///
/// It borrows the transaction: collect first what is to be written to while walking. After an error it ends,
/// also where a [`Range`] goes on behind one entry: a transaction counts on all that it walked over.
pub struct TransactionRange<'a> {
    stored: Ahead<Range>,
    own: Ahead<Own<'a>>,
    /// Bytes that each key begins with and the caller does not see.
    hidden: usize,
    read: &'a mut Read,
    walked: &'a mut Walked,
    failed: bool,
}

/// What the transaction wrote in the range; nothing where no key can lie in it.
type Own<'a> = std::iter::Flatten<std::option::IntoIter<btree_map::Range<'a, Vec<u8>, Value>>>;
/// A value, or that there is to be none.
type Value = Option<Vec<u8>>;

/// A double-ended iterator that can be looked ahead in from each end.
struct Ahead<I: Iterator> {
    iter: I,
    front: Option<I::Item>,
    back: Option<I::Item>,
}

impl<I: DoubleEndedIterator> Ahead<I> {
    fn new(iter: I) -> Self {
        Ahead {
            iter,
            front: None,
            back: None,
        }
    }

    fn take(&mut self, end: End) -> Option<I::Item> {
        match end {
            End::Front => {
                let front = self.front.take().or_else(|| self.iter.next());
                front.or_else(|| self.back.take())
            }
            End::Back => {
                let back = self.back.take().or_else(|| self.iter.next_back());
                back.or_else(|| self.front.take())
            }
        }
    }

    fn put_back(&mut self, end: End, item: I::Item) {
        match end {
            End::Front => self.front = Some(item),
            End::Back => self.back = Some(item),
        }
    }
}

impl Ahead<Range> {
    /// Has what the next entry at `end` needs.
    async fn ready(&mut self, wait: Wait, end: End) -> Result<()> {
        let buffered = match end {
            End::Front => self.front.is_some(),
            End::Back => self.back.is_some(),
        };
        match buffered {
            true => Ok(()),
            false => self.iter.ready(wait, end).await,
        }
    }
}

impl<'a> TransactionRange<'a> {
    /// `bounds` are those of whole keys.
    pub(super) fn new(
        moment: Arc<Pinned>,
        hidden: usize,
        read: &'a mut Read,
        written: &'a Written,
        walked: &'a mut Walked,
    ) -> Self {
        let bounds = walked.bounds.clone();
        // A map refuses bounds that are the wrong way round.
        let own = (!bounds.is_empty())
            .then(|| written.range::<Vec<u8>, _>((bounds.lower.as_ref(), bounds.upper.as_ref())));
        let handle = moment.handle().clone();
        let no_prefix = handle.no_prefix.clone();
        let parts = Parts {
            sequences: true,
            ..Parts::default()
        };
        TransactionRange {
            stored: Ahead::new(
                Range::new(handle, no_prefix, Some(moment), bounds).with_parts(parts),
            ),
            own: Ahead::new(own.into_iter().flatten()),
            hidden,
            read,
            walked,
            failed: false,
        }
    }

    /// The next entry from `end`. Dropped before its end it loses none.
    pub(crate) async fn step(
        &mut self,
        wait: Wait,
        end: End,
    ) -> Option<Result<(Vec<u8>, Vec<u8>)>> {
        if self.failed {
            return None;
        }
        loop {
            if let Err(error) = self.stored.ready(wait, end).await {
                return Some(Err(self.fail(error)));
            }
            let (stored, own) = match (self.stored.take(end).transpose(), self.own.take(end)) {
                (Err(error), _) => return Some(Err(self.fail(error))),
                (Ok(stored), own) => (stored, own),
            };
            let order = match (&stored, &own) {
                (None, None) => {
                    self.walked.all = true;
                    return None;
                }
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((stored, _)), Some((own, _))) => match end {
                    End::Front => stored.cmp(own),
                    End::Back => own.cmp(&stored),
                },
            };
            if let (Ordering::Less, Some(own)) = (order, own) {
                self.own.put_back(end, own);
            }
            if order == Ordering::Less {
                let (key, stamped) = stored?;
                self.come_to(end, &key);
                return Some(self.hand_out(key, &stamped));
            }
            if let (Ordering::Greater, Some(stored)) = (order, stored) {
                self.stored.put_back(end, Ok(stored));
            }
            // Its own write, also where it hides a stored entry, which then is not read.
            if let Some((key, Some(value))) = own {
                self.come_to(end, key);
                return Some(Ok((self.shown(key), value.clone())));
            }
        }
    }

    /// `key` is handed out from `end`: whoever is given it knows that there is nothing before it.
    fn come_to(&mut self, end: End, key: &[u8]) {
        let last = match end {
            End::Front => &mut self.walked.front,
            End::Back => &mut self.walked.back,
        };
        let last = last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(key);
    }

    fn hand_out(&mut self, key: Vec<u8>, stamped: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
        let Some((sequence, value)) = stamped.split_first_chunk() else {
            return Err(self.fail(Error::protocol(
                "the leader sent an entry without its sequence",
            )));
        };
        let shown = self.shown(&key);
        let entry = (u64::from_le_bytes(*sequence), value.to_vec());
        self.read.insert(key, Some(entry));
        Ok((shown, value.to_vec()))
    }

    fn shown(&self, key: &[u8]) -> Vec<u8> {
        key.get(self.hidden..).unwrap_or_default().to_vec()
    }

    fn fail(&mut self, error: Error) -> Error {
        self.failed = true;
        error
    }
}

impl Iterator for TransactionRange<'_> {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        now(self.step(Wait::Thread, End::Front))
    }
}

impl DoubleEndedIterator for TransactionRange<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        now(self.step(Wait::Thread, End::Back))
    }
}

impl std::iter::FusedIterator for TransactionRange<'_> {}

impl std::fmt::Debug for TransactionRange<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TransactionRange").finish_non_exhaustive()
    }
}
