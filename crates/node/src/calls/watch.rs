//! Watches: the committed changes of all processes, in order.

use std::cell::RefCell;
use std::rc::Rc;

use level_party::{AsyncWatch, Change, Position, WatchFrom, WatchItem};

use crate::answer::{Answer, Format};
use crate::border::Call;
use crate::fault::Fault;
use crate::objects::Object;
use crate::packed::Packed;
use crate::tasks::Made;

/// `watch(db, packedLength, from)`: `from` is `now`, `beginning`, or a position as it was given. Gives the watch.
pub fn watch(call: &Call<'_>) -> Made {
    let database = call.database(0)?;
    let bounds = Packed::new(call.packed(0, call.number(1)?)?).bounds()?;
    let from = match call.text(2)?.as_str() {
        "now" => WatchFrom::Now,
        "beginning" => WatchFrom::Beginning,
        position => WatchFrom::After(position.parse::<Position>()?),
    };
    let objects = Rc::clone(&call.realm.objects);
    call.realm.tasks.start(async move {
        let watch = database.tasks.watch(bounds, from).await?;
        let id = objects.add(Object::Watch(Rc::new(RefCell::new(watch))))?;
        Ok(Answer::List(vec![Answer::Object(id)]))
    })
}

fn of(call: &Call<'_>) -> Result<Rc<RefCell<AsyncWatch>>, Fault> {
    let found = call
        .realm
        .objects
        .get(call.number(0)?, |object| match object {
            Object::Watch(watch) => Some(Rc::clone(watch)),
            _ => None,
        });
    found.ok_or(Fault::Gone("the watch was closed"))
}

/// `watched(watch, utf8Keys, utf8Values)`: the next item as an array, or undefined at the end. Of a change: position, sequence
/// (text), key, value (undefined: it was deleted). Of a gap: position, and as texts the first and the last sequence that
/// can't be told.
pub fn next(call: &Call<'_>) -> Made {
    let watch = of(call)?;
    let keys = Format::utf8_if(call.number(1)? != 0);
    let values = Format::utf8_if(call.number(2)? != 0);
    call.realm.tasks.start(async move {
        let item = std::future::poll_fn(|context| {
            // Borrowed for the poll alone: the position can be asked for while this waits.
            let mut watch = watch.borrow_mut();
            std::pin::pin!(watch.next()).poll(context)
        });
        let Some(item) = item.await.transpose()? else {
            return Ok(Answer::Undefined);
        };
        let position = Answer::Text(watch.borrow().position().to_string());
        Ok(Answer::List(match item {
            WatchItem::Change(Change {
                sequence,
                key,
                value,
                ..
            }) => vec![
                position,
                Answer::Text(sequence.to_string()),
                Answer::Value(Some(key), keys),
                Answer::Value(value, values),
            ],
            WatchItem::Gap { from, resume, .. } => vec![
                position,
                Answer::Text(from.to_string()),
                Answer::Text(resume.to_string()),
            ],
            _ => return Err(Fault::Misuse("a watch gave an item of a new kind")),
        }))
    })
}

/// `watchPosition(watch)`: up to where everything was given.
pub fn position(call: &Call<'_>) -> Made {
    let position = of(call)?.borrow().position();
    Ok(Answer::Text(position.to_string()))
}

/// `endWatch(watch)`: a step under way ends.
pub fn end(call: &Call<'_>) -> Made {
    let watch = of(call)?;
    watch.borrow().closer().close();
    call.realm.objects.remove(call.number(0)?);
    Ok(Answer::Undefined)
}
