//! The functions that JavaScript calls, by name. Each file has those of one kind of object.

pub mod care;
pub mod database;
pub mod events;
pub mod iterator;
pub mod reads;
pub mod transaction;
pub mod watch;
pub mod writes;

use std::rc::Rc;

use level_party::AsyncSnapshot;

use crate::answer::Answer;
use crate::border::{Call, Native};
use crate::fault::Fault;
use crate::objects::Object;
use crate::tasks::Made;

use database::Database;

/// All of them. What each argument is stands at the function; `db` and the like are numbers of objects.
pub const EXPORTS: &[(&str, Native)] = &[
    ("drain", drain),
    ("give", give),
    ("count", count),
    ("open", database::open),
    ("close", database::close),
    ("closeNow", database::close_now),
    ("role", database::role),
    ("status", database::status),
    ("property", database::property),
    ("verify", database::verify),
    ("losses", database::losses),
    ("acknowledgeLosses", database::acknowledge_losses),
    ("checkpoint", database::checkpoint),
    ("yieldLeadership", database::yield_leadership),
    ("approximateSize", database::approximate_size),
    ("compactRange", database::compact_range),
    ("get", reads::get),
    ("getSync", reads::get_sync),
    ("getMany", reads::get_many),
    ("has", reads::has),
    ("hasMany", reads::has_many),
    ("snapshot", reads::snapshot),
    ("put", writes::put),
    ("del", writes::delete),
    ("batch", writes::batch),
    ("clear", writes::clear),
    ("compareAndSwap", writes::compare_and_swap),
    ("iterator", iterator::iterator),
    ("nextv", iterator::next),
    ("seek", iterator::seek),
    ("transaction", transaction::transaction),
    ("attempt", transaction::attempt),
    ("abandon", transaction::abandon),
    ("txGet", transaction::get),
    ("txGetMany", transaction::get_many),
    ("txHas", transaction::has),
    ("txBatch", transaction::batch),
    ("txIterator", transaction::iterator),
    ("watch", watch::watch),
    ("watched", watch::next),
    ("watchPosition", watch::position),
    ("endWatch", watch::end),
    ("events", events::events),
    ("event", events::next),
    ("destroy", care::destroy),
    ("repair", care::repair),
];

/// `drain()`: what has become of the calls that were woken.
fn drain(call: &Call<'_>) -> Made {
    Ok(call.realm.tasks.drain())
}

/// `give(object)`: the object is not needed any more.
fn give(call: &Call<'_>) -> Made {
    drop(call.realm.objects.remove(call.number(0)?));
    Ok(Answer::Undefined)
}

/// `count()`: how many objects there are, as text; for tests.
fn count(call: &Call<'_>) -> Made {
    Ok(Answer::Text(call.realm.objects.len().to_string()))
}

impl Call<'_> {
    /// # Errors
    /// It was closed.
    fn database(&self, at: usize) -> Result<Rc<Database>, Fault> {
        let found = self
            .realm
            .objects
            .get(self.number(at)?, |object| match object {
                Object::Database(database) => Some(Rc::clone(database)),
                _ => None,
            });
        found.ok_or(Fault::Gone(
            "this handle was closed; open the database again",
        ))
    }

    /// The snapshot of an argument, if that is not 0.
    ///
    /// # Errors
    /// It was closed.
    fn snapshot(&self, at: usize) -> Result<Option<Rc<AsyncSnapshot>>, Fault> {
        match self.number(at)? {
            0 => Ok(None),
            id => {
                let found = self.realm.objects.get(id, |object| match object {
                    Object::Snapshot(snapshot) => Some(Rc::clone(snapshot)),
                    _ => None,
                });
                found
                    .map(Some)
                    .ok_or(Fault::Gone("the snapshot was closed"))
            }
        }
    }
}
