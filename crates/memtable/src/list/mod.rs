//! The skiplist over an arena: searching (here), one [writer], [readers](reader) and [iterators](iter).
//!
//! Invariant: on each level the entries are in order, and each entry on a level is on all levels below. Links
//! only ever change by putting a new entry between two neighbours, lower levels first, so that a search that
//! runs beside an insert sees a list with or without the new entry on each level, and both are in order.

pub(crate) mod iter;
pub(crate) mod reader;
pub(crate) mod writer;

use std::cmp::Ordering;

use level_party_format::Comparator;

use crate::layout::{Arena, HEIGHT, Link, MAX_HEIGHT, Node, Tower, load_acquire};
use crate::order::Target;

/// The region does not hold a list: a link leads out of it, or in a circle.
#[derive(Debug)]
pub(crate) struct Broken;

/// Levels in use, as the header says; within 1 to MAX_HEIGHT whatever it says.
fn height(arena: &Arena) -> usize {
    (load_acquire(arena.field32(HEIGHT)) as usize).clamp(1, MAX_HEIGHT)
}

/// The first entry not before `target`, searched from `start` (the head, or an entry before the target that is on
/// `levels` levels or more). `passed` is told on each level, from the highest down, the last entry before the target.
#[inline]
fn search(
    arena: &Arena,
    order: &Comparator,
    target: &Target<'_>,
    start: Tower,
    levels: usize,
    mut passed: impl FnMut(usize, Tower),
) -> Result<Option<Node>, Broken> {
    let mut steps = arena.most_steps();
    let mut at = start;
    let mut found = None;
    // The offset of `found`: levels often lead to the same entry, which needs no second comparison.
    let mut found_offset = 0;
    for level in (0..levels).rev() {
        loop {
            let offset = arena.next_offset(at, level);
            if offset == found_offset {
                break;
            }
            // An end where a higher level went on is as wrong as a link that leads outside.
            let Link::To(node) = arena.resolve(offset) else {
                return Err(Broken);
            };
            if target.compare(order, arena.key(&node)) != Ordering::Greater {
                (found, found_offset) = (Some(node), offset);
                break;
            }
            at = node.tower();
            steps = steps.checked_sub(1).ok_or(Broken)?;
        }
        passed(level, at);
    }
    Ok(found)
}

/// The last entry.
fn last(arena: &Arena) -> Result<Option<Node>, Broken> {
    let mut steps = arena.most_steps();
    let mut at = Tower::HEAD;
    let mut found = None;
    for level in (0..height(arena)).rev() {
        loop {
            match arena.resolve(arena.next_offset(at, level)) {
                Link::End => break,
                Link::Broken => return Err(Broken),
                Link::To(node) => {
                    at = node.tower();
                    found = Some(node);
                    steps = steps.checked_sub(1).ok_or(Broken)?;
                }
            }
        }
    }
    Ok(found)
}
