//! What happens to this process's part in the party.

use std::cell::RefCell;
use std::rc::Rc;

use level_party::AsyncEvents;

use crate::answer::Answer;
use crate::border::Call;
use crate::calls::database::json;
use crate::fault::Fault;
use crate::objects::Object;
use crate::tasks::Made;

/// `events(db)`: the events from now on.
pub fn events(call: &Call<'_>) -> Made {
    let events = call.database(0)?.tasks.events()?;
    let id = call
        .realm
        .objects
        .add(Object::Events(Rc::new(RefCell::new(events))))?;
    Ok(Answer::Object(id))
}

/// `event(events)`: the next one, as JSON, or undefined once the database is closed. It does not keep the process alive.
pub fn next(call: &Call<'_>) -> Made {
    let found = call
        .realm
        .objects
        .get(call.number(0)?, |object| match object {
            Object::Events(events) => Some(Rc::clone(events)),
            _ => None,
        });
    let events: Rc<RefCell<AsyncEvents>> = found.ok_or(Fault::Gone("the database was closed"))?;
    call.realm.tasks.start_idle(async move {
        let event = std::future::poll_fn(|context| {
            let mut events = events.borrow_mut();
            std::pin::pin!(events.next()).poll(context)
        });
        match event.await {
            Some(event) => json(&event),
            None => Ok(Answer::Undefined),
        }
    })
}
