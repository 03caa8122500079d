//! Walking over a memtable, in both directions.

use level_party_format::Corruption;

use crate::layout::{Link, Node, Tower};
use crate::list::reader::MemTable;
use crate::list::{Broken, height, last, search};
use crate::order::Target;

/// An iterator over the entries of a [`MemTable`], by internal key. It holds the memtable, and may stand at an
/// entry (valid) or at none.
///
/// It sees every entry that was published before it started, and maybe later ones. A step costs one link in
/// either direction.
pub struct MemIter {
    table: MemTable,
    at: Option<Node>,
    broken: bool,
    /// Steps that may still be made in one direction before the list must be a circle.
    steps_left: u32,
    forward: bool,
}

impl MemIter {
    pub(crate) fn new(table: MemTable) -> MemIter {
        MemIter {
            table,
            at: None,
            broken: false,
            steps_left: 0,
            forward: true,
        }
    }

    /// Whether it stands at an entry.
    pub fn valid(&self) -> bool {
        self.at.is_some()
    }

    /// The entry's internal key; empty if there is no entry.
    pub fn key(&self) -> &[u8] {
        self.at
            .as_ref()
            .map_or(b"", |node| self.table.arena().key(node))
    }

    /// The entry's value; empty if there is no entry.
    pub fn value(&self) -> &[u8] {
        self.at
            .as_ref()
            .map_or(b"", |node| self.table.arena().value(node))
    }

    /// Whether the walk since the last seek met a sound list. A memtable of this process always is one.
    ///
    /// # Errors
    /// [`Corruption`] if a link of the region led outside of it, or in a circle. The iterator stands at no entry then.
    pub fn status(&self) -> Result<(), Corruption> {
        if self.broken {
            return Err(Corruption::new(
                "a link of the memtable leads out of its memory region, or in a circle",
            ));
        }
        Ok(())
    }

    /// Goes to the first entry.
    pub fn seek_to_first(&mut self) {
        let first = resolve(self.table.arena().next(Tower::HEAD));
        self.restart(first);
    }

    /// Goes to the last entry.
    pub fn seek_to_last(&mut self) {
        let last = last(self.table.arena());
        self.restart(last);
    }

    /// Goes to the first entry at or after an internal key. One that is too short to be one stands for the
    /// empty user key.
    pub fn seek(&mut self, internal_key: &[u8]) {
        let target = Target::of_internal_key(internal_key);
        let arena = self.table.arena();
        let found = search(
            arena,
            self.table.user_order(),
            &target,
            Tower::HEAD,
            height(arena),
            |_, _| {},
        );
        self.restart(found);
    }

    /// Goes to the next entry. Without an entry to go from, it does nothing.
    pub fn next(&mut self) {
        self.step(true);
    }

    /// Goes to the entry before. Without an entry to go from, it does nothing.
    pub fn prev(&mut self) {
        self.step(false);
    }

    /// Begins anew at a place found by a seek.
    fn restart(&mut self, found: Result<Option<Node>, Broken>) {
        self.broken = false;
        self.steps_left = self.table.arena().most_steps();
        self.land(found);
    }

    fn step(&mut self, forward: bool) {
        let Some(node) = self.at else { return };
        let arena = self.table.arena();
        if self.forward != forward {
            self.forward = forward;
            self.steps_left = arena.most_steps();
        }
        let link = if forward {
            arena.next(node.tower())
        } else {
            arena.previous(node.tower())
        };
        let found = match self.steps_left.checked_sub(1) {
            Some(left) => {
                self.steps_left = left;
                resolve(link)
            }
            None => Err(Broken),
        };
        self.land(found);
    }

    fn land(&mut self, found: Result<Option<Node>, Broken>) {
        self.at = found.unwrap_or_else(|Broken| {
            self.broken = true;
            None
        });
    }
}

/// What a link says, as a place of the iterator.
fn resolve(link: Link) -> Result<Option<Node>, Broken> {
    match link {
        Link::End => Ok(None),
        Link::To(node) => Ok(Some(node)),
        Link::Broken => Err(Broken),
    }
}
