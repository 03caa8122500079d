//! The skiplist over an arena: searching (here), one [writer], [readers](reader), [iterators](iter), and the entries in the
//! order of their [insertion](insertions).
//!
//! Invariant: on each level the entries are in order, and each entry on a level is on all levels below. Links
//! only ever change by putting a new entry between two neighbours, lower levels first, so that a search that
//! runs beside an insert sees a list with or without the new entry on each level, and both are in order.

pub(crate) mod insertions;
pub(crate) mod iter;
pub(crate) mod reader;
pub(crate) mod writer;

use level_party_format::Comparator;

use crate::layout::{Arena, HEIGHT, Level, Link, MAX_HEIGHT, Node, Tower};
use crate::order::Target;

/// The region does not hold a list: a link leads out of it, or in a circle.
#[derive(Debug)]
pub(crate) struct Broken;

/// Levels in use, as the header says; within 1 to MAX_HEIGHT whatever it says.
fn height(arena: &Arena) -> usize {
    (arena.load(HEIGHT) as usize).clamp(1, MAX_HEIGHT)
}

/// The first entry not before `target`, searched from `start` (the head, or an entry before the target that is on
/// `levels` levels or more). `passed` is told on each level, from the highest down, the last entry before the target.
#[inline]
fn search<'a>(
    arena: &'a Arena,
    order: &Comparator,
    target: &Target<'_>,
    start: Tower,
    levels: usize,
    mut passed: impl FnMut(usize, Tower),
) -> Result<Option<Node<'a>>, Broken> {
    let mut steps = arena.most_steps();
    let mut at = start;
    // 0 is none. Levels often lead to the same entry, which needs no second comparison.
    let mut found_index = 0;
    for level in (0..levels).rev() {
        let place = Level::new(level);
        loop {
            let index = arena.next_index(at, place);
            if index == found_index {
                break;
            }
            // An end where a higher level went on is as wrong as a link that leads outside.
            let (tower, key) = arena.key(index).ok_or(Broken)?;
            if !target.is_after(order, key) {
                found_index = index;
                break;
            }
            at = tower;
            steps = steps.checked_sub(1).ok_or(Broken)?;
        }
        passed(level, at);
    }
    match arena.resolve(found_index) {
        Link::End => Ok(None),
        Link::To(node) => Ok(Some(node)),
        Link::Broken => Err(Broken),
    }
}

/// The last entry.
fn last(arena: &Arena) -> Result<Option<Node<'_>>, Broken> {
    let mut steps = arena.most_steps();
    let mut at = Tower::HEAD;
    let mut found = None;
    for level in (0..height(arena)).rev() {
        loop {
            match arena.resolve(arena.next_index(at, Level::new(level))) {
                Link::End => break,
                Link::Broken => return Err(Broken),
                Link::To(node) => {
                    at = node.tower;
                    found = Some(node);
                    steps = steps.checked_sub(1).ok_or(Broken)?;
                }
            }
        }
    }
    Ok(found)
}
