//! Walks over a range of keys at one moment.

use std::cell::RefCell;
use std::rc::Rc;

use level_party::{AsyncRange, AsyncReadable, Result};

use crate::answer::{Answer, Format};
use crate::border::Call;
use crate::chunk::Chunk;
use crate::fault::Fault;
use crate::objects::{Object, Objects};
use crate::packed::{Bounds, Packed};
use crate::tasks::{Made, wait_for};

const WITH_KEYS: u32 = 1;
const WITH_VALUES: u32 = 2;
const UTF8_KEYS: u32 = 4;
const UTF8_VALUES: u32 = 8;
const REVERSE: u32 = 16;

/// A walk that JavaScript has.
pub struct Walk {
    /// Not there while a step is under way.
    range: Option<Range>,
    format: Shape,
}

enum Range {
    Entries(AsyncRange),
    Keys(AsyncRange<Vec<u8>>),
}

#[derive(Clone, Copy)]
struct Shape {
    reverse: bool,
    keys: Option<Format>,
    values: Option<Format>,
}

impl Shape {
    fn new(flags: u32) -> Self {
        let part = |with, utf8| (flags & with != 0).then_some(Format::utf8_if(flags & utf8 != 0));
        Shape {
            reverse: flags & REVERSE != 0,
            keys: part(WITH_KEYS, UTF8_KEYS),
            values: part(WITH_VALUES, UTF8_VALUES),
        }
    }
}

impl Range {
    async fn next(&mut self, reverse: bool) -> Option<Result<(Vec<u8>, Vec<u8>)>> {
        match (self, reverse) {
            (Range::Entries(range), false) => range.next().await,
            (Range::Entries(range), true) => range.next_back().await,
            (Range::Keys(range), false) => range.next().await.map(without_value),
            (Range::Keys(range), true) => range.next_back().await.map(without_value),
        }
    }

    fn seek(&mut self, target: &[u8], reverse: bool) {
        match (self, reverse) {
            (Range::Entries(range), false) => range.seek(target),
            (Range::Entries(range), true) => range.seek_back(target),
            (Range::Keys(range), false) => range.seek(target),
            (Range::Keys(range), true) => range.seek_back(target),
        }
    }
}

fn without_value(key: Result<Vec<u8>>) -> Result<(Vec<u8>, Vec<u8>)> {
    key.map(|key| (key, Vec::new()))
}

/// The arguments `packedLength, flags` at `at`: the bounds, and what is wanted.
pub fn walk_arguments(call: &Call<'_>, at: usize) -> std::result::Result<(Bounds, u32), Fault> {
    let bounds = Packed::new(call.packed(0, call.number(at)?)?).bounds()?;
    Ok((bounds, call.number(at + 1)?))
}

/// A walk over `range`.
pub fn add_walk(objects: &Objects, range: AsyncRange, flags: u32) -> Made {
    let format = Shape::new(flags);
    let range = match format.values {
        Some(_) => Range::Entries(range),
        None => Range::Keys(range.keys()),
    };
    let walk = Walk {
        range: Some(range),
        format,
    };
    let id = objects.add(Object::Walk(Rc::new(RefCell::new(walk))))?;
    Ok(Answer::Object(id))
}

/// `iterator(db, packedLength, flags, snapshot)`: a walk of this moment, or the snapshot's.
pub fn iterator(call: &Call<'_>) -> Made {
    let database = call.database(0)?;
    let (bounds, flags) = walk_arguments(call, 1)?;
    let range = match call.snapshot(3)? {
        Some(snapshot) => snapshot.range(bounds),
        // A range alone is of the moment of its first step.
        None => wait_for(database.tasks.snapshot())?.range(bounds),
    };
    add_walk(&call.realm.objects, range, flags)
}

fn walk(call: &Call<'_>) -> std::result::Result<Rc<RefCell<Walk>>, Fault> {
    let found = call
        .realm
        .objects
        .get(call.number(0)?, |object| match object {
            Object::Walk(walk) => Some(Rc::clone(walk)),
            _ => None,
        });
    found.ok_or(Fault::Gone("the iterator was closed"))
}

/// `nextv(walk, size, bytes)`: up to `size` entries, of not many more than `bytes` bytes, as `chunk.rs` gives them.
pub fn next(call: &Call<'_>) -> Made {
    let walk = walk(call)?;
    let (size, most) = (call.number(1)? as usize, call.number(2)? as usize);
    let (taken, shape) = {
        let mut walk = walk.borrow_mut();
        (walk.range.take(), walk.format)
    };
    let mut range = taken.ok_or(Fault::Misuse("a step of this iterator is under way"))?;
    call.realm.tasks.start(async move {
        let collected = collect(&mut range, shape, size, most).await;
        walk.borrow_mut().range = Some(range);
        collected
    })
}

async fn collect(range: &mut Range, shape: Shape, size: usize, most: usize) -> Made {
    let mut chunk = Chunk::new(shape.keys, shape.values);
    let (mut count, mut bytes) = (0, 0);
    while count < size && bytes <= most {
        match range.next(shape.reverse).await.transpose()? {
            Some((key, value)) => {
                count += 1;
                bytes += key.len() + value.len();
                chunk.push(key, value);
            }
            None => return Ok(chunk.finish(true)),
        }
    }
    Ok(chunk.finish(false))
}

/// `seek(walk, targetLength)`
pub fn seek(call: &Call<'_>) -> Made {
    let walk = walk(call)?;
    let target = call.packed(0, call.number(1)?)?;
    let mut walk = walk.borrow_mut();
    let reverse = walk.format.reverse;
    let range = walk.range.as_mut();
    let range = range.ok_or(Fault::Misuse("a step of this iterator is under way"))?;
    range.seek(target, reverse);
    Ok(Answer::Undefined)
}
