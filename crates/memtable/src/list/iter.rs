//! Walking over a memtable, in both directions.

use level_party_format::{Corruption, MAX_SEQUENCE, Sequence};

use crate::layout::{Direction, Link, Node, Spot, Tower};
use crate::list::reader::MemTable;
use crate::list::{Broken, height, last, search};
use crate::memory::append_bytes;
use crate::order::{EntryKey, Target};

/// An iterator over the entries of a [`MemTable`], by internal key. It holds the memtable, and may stand at an
/// entry (valid) or at none.
///
/// It sees every entry that was published before it started, and maybe later ones. A step costs one link in
/// either direction, and a copy of the key; the value is copied when it is asked for. The next entry is on its way to the
/// cache meanwhile.
pub struct MemIter {
    table: MemTable,
    at: Option<Spot>,
    /// The internal key of the entry it stands at.
    key: Vec<u8>,
    /// Its value, once it was asked for.
    value: Vec<u8>,
    /// Entries beyond are passed over.
    last: Sequence,
    broken: bool,
    /// Steps that may still be made in one direction before the list must be a circle.
    steps_left: u32,
    direction: Direction,
}

impl MemIter {
    pub(crate) fn new(table: MemTable, last: Sequence) -> MemIter {
        MemIter {
            table,
            at: None,
            key: Vec::new(),
            value: Vec::new(),
            last: last.min(MAX_SEQUENCE),
            broken: false,
            steps_left: 0,
            direction: Direction::FORWARD,
        }
    }

    /// Whether it stands at an entry.
    #[inline]
    pub fn valid(&self) -> bool {
        self.at.is_some()
    }

    /// The entry's internal key; empty if there is no entry.
    #[inline]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The length of the entry's value; 0 if there is no entry.
    #[inline]
    pub fn value_len(&self) -> usize {
        self.at.map_or(0, |spot| spot.value_len())
    }

    /// Copies the entry's value out of the region, for [`MemIter::value`]. Without an entry it does nothing.
    #[inline]
    pub fn load_value(&mut self) {
        if let Some(spot) = &self.at {
            let value = self.table.arena().value(spot);
            self.value.clear();
            append_bytes(&mut self.value, value.words, value.len);
        }
    }

    /// The entry's value, once [`MemIter::load_value`] copied it; empty before that, and if there is no entry.
    #[inline]
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// Appends the entry's value, whether it was copied before or not. Without an entry it does nothing.
    #[inline]
    pub fn append_value(&self, out: &mut Vec<u8>) {
        if let Some(spot) = &self.at {
            let value = self.table.arena().value(spot);
            append_bytes(out, value.words, value.len);
        }
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
        self.restart(Direction::FORWARD, |table| {
            resolve(table.arena().next(Tower::HEAD))
        });
    }

    /// Goes to the last entry.
    pub fn seek_to_last(&mut self) {
        self.restart(Direction::BACKWARD, |table| last(table.arena()));
    }

    /// Goes to the first entry at or after an internal key. One that is too short to be one stands for the
    /// empty user key.
    pub fn seek(&mut self, internal_key: &[u8]) {
        let target = Target::of_internal_key(internal_key);
        self.restart(Direction::FORWARD, |table| {
            let (arena, order) = (table.arena(), table.user_order());
            let levels = height(arena);
            search(arena, order, &target, Tower::HEAD, levels, |_, _| {})
        });
    }

    /// Goes to the next entry. Without an entry to go from, it does nothing.
    pub fn next(&mut self) {
        self.step(Direction::FORWARD);
    }

    /// Goes to the entry before. Without an entry to go from, it does nothing.
    pub fn prev(&mut self) {
        self.step(Direction::BACKWARD);
    }

    /// Begins anew at the place that `find` gives, or beyond it in a direction.
    fn restart(
        &mut self,
        direction: Direction,
        find: impl FnOnce(&MemTable) -> Result<Option<Node<'_>>, Broken>,
    ) {
        self.leave();
        self.broken = false;
        self.direction = direction;
        self.steps_left = self.table.arena().most_steps();
        match find(&self.table) {
            Ok(None) => {}
            Ok(Some(node)) => {
                let tag = node.tag();
                if tag >> 8 > self.last {
                    return self.pass(node.tower, direction);
                }
                take_key(&mut self.key, &node.key, tag);
                self.at = Some(node.spot());
            }
            Err(Broken) => self.broken = true,
        }
    }

    /// Inlined twice, so that each walk knows its direction.
    #[inline(always)]
    fn step(&mut self, direction: Direction) {
        let Some(spot) = self.at else { return };
        if self.direction != direction {
            self.direction = direction;
            self.steps_left = self.table.arena().most_steps();
        }
        self.value.clear();
        self.pass(spot.tower, direction);
    }

    /// Stands nowhere.
    fn leave(&mut self) {
        self.at = None;
        self.key.clear();
        self.value.clear();
    }

    /// Goes on from an entry to the next that is not passed over.
    #[inline(always)]
    fn pass(&mut self, mut tower: Tower, direction: Direction) {
        let arena = self.table.arena();
        loop {
            let index = arena.neighbour(tower, direction);
            if index == direction.end() {
                return self.leave();
            }
            let (Some(node), Some(left)) = (arena.node(index), self.steps_left.checked_sub(1))
            else {
                self.broken = true;
                return self.leave();
            };
            self.steps_left = left;
            let tag = node.tag();
            if tag >> 8 <= self.last {
                arena.prefetch_neighbour(node.tower, direction);
                take_key(&mut self.key, &node.key, tag);
                self.at = Some(node.spot());
                return;
            }
            tower = node.tower;
        }
    }
}

/// Copies an entry's internal key.
#[inline(always)]
fn take_key(to: &mut Vec<u8>, key: &EntryKey<'_>, tag: u64) {
    to.clear();
    append_bytes(to, key.words, key.len);
    to.extend_from_slice(&tag.to_le_bytes());
}

/// What a link says, as a place of the iterator.
fn resolve(link: Link<'_>) -> Result<Option<Node<'_>>, Broken> {
    match link {
        Link::End => Ok(None),
        Link::To(node) => Ok(Some(node)),
        Link::Broken => Err(Broken),
    }
}
