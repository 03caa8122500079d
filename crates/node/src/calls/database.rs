//! A database as a whole: opened, closed, asked how it is, and cared for.

use std::rc::Rc;

use level_party::{AsyncDb, Db};
use serde::Serialize;

use crate::answer::Answer;
use crate::border::Call;
use crate::fault::Fault;
use crate::objects::Object;
use crate::options::options;
use crate::packed::Packed;
use crate::tasks::Made;

/// An open database, by both of its handles.
pub struct Database {
    pub tasks: AsyncDb,
    pub threads: Db,
}

/// `open(path, options)`: options as JSON; gives the database.
pub fn open(call: &Call<'_>) -> Made {
    let (path, options) = (call.text(0)?, options(&call.text(1)?)?);
    let objects = Rc::clone(&call.realm.objects);
    call.realm.tasks.start(async move {
        let tasks = options.open_async(path).await?;
        let threads = tasks.to_blocking();
        let database = Rc::new(Database { tasks, threads });
        Ok(Answer::List(vec![Answer::Object(
            objects.add(Object::Database(database))?,
        )]))
    })
}

/// `close(db)`
pub fn close(call: &Call<'_>) -> Made {
    let database = call.database(0)?;
    call.realm.objects.remove(call.number(0)?);
    call.realm.tasks.start(async move {
        database.tasks.close().await?;
        Ok(Answer::Undefined)
    })
}

/// `closeNow(db)`: the same, when it returns: for a process that exits. Of one that was closed already this does nothing.
pub fn close_now(call: &Call<'_>) -> Made {
    if let Some(Object::Database(database)) = call.realm.objects.remove(call.number(0)?) {
        database.threads.close()?;
    }
    Ok(Answer::Undefined)
}

/// `role(db)`: what this process is at the moment.
pub fn role(call: &Call<'_>) -> Made {
    let role = call.database(0)?.threads.role();
    Ok(Answer::Text(role.as_str().to_owned()))
}

/// `status(db)`: as JSON.
pub fn status(call: &Call<'_>) -> Made {
    let database = call.database(0)?;
    call.realm
        .tasks
        .start(async move { json(&database.tasks.status().await?) })
}

/// `property(db, name)`: a property, when it returns, or undefined.
pub fn property(call: &Call<'_>) -> Made {
    let property = call.database(0)?.threads.property(&call.text(1)?)?;
    Ok(property.map_or(Answer::Undefined, Answer::Text))
}

/// `verify(db)`: the report, as JSON.
pub fn verify(call: &Call<'_>) -> Made {
    let database = call.database(0)?;
    call.realm
        .tasks
        .start(async move { json(&database.tasks.verify().await?) })
}

/// `losses(db)`: an array of sentences, as JSON.
pub fn losses(call: &Call<'_>) -> Made {
    let database = call.database(0)?;
    call.realm
        .tasks
        .start(async move { json(&database.tasks.losses().await?) })
}

/// `acknowledgeLosses(db)`: what they were, as JSON.
pub fn acknowledge_losses(call: &Call<'_>) -> Made {
    let database = call.database(0)?;
    call.realm
        .tasks
        .start(async move { json(&database.tasks.acknowledge_losses().await?) })
}

/// `checkpoint(db, path)`: the sequence number of the last write in it, as text.
pub fn checkpoint(call: &Call<'_>) -> Made {
    let (database, path) = (call.database(0)?, call.text(1)?);
    call.realm.tasks.start(async move {
        let sequence = database.tasks.checkpoint(path).await?;
        Ok(Answer::Text(sequence.to_string()))
    })
}

/// What [`yield_leadership`] says.
#[derive(Serialize)]
struct Yielded {
    leader_pid: u32,
    epoch: u64,
    handed_over: bool,
}

/// `yieldLeadership(db)`: who leads then, as JSON.
pub fn yield_leadership(call: &Call<'_>) -> Made {
    let database = call.database(0)?;
    call.realm.tasks.start(async move {
        let yielded = database.tasks.yield_leadership().await?;
        json(&Yielded {
            leader_pid: yielded.leader_pid,
            epoch: yielded.epoch,
            handed_over: yielded.handed_over,
        })
    })
}

/// `approximateSize(db, packedLength)`: bytes, as text.
pub fn approximate_size(call: &Call<'_>) -> Made {
    let database = call.database(0)?;
    let bounds = Packed::new(call.packed(0, call.number(1)?)?).bounds()?;
    call.realm.tasks.start(async move {
        let size = database.tasks.approximate_size(bounds).await?;
        Ok(Answer::Text(size.to_string()))
    })
}

/// `compactRange(db, packedLength)`
pub fn compact_range(call: &Call<'_>) -> Made {
    let database = call.database(0)?;
    let bounds = Packed::new(call.packed(0, call.number(1)?)?).bounds()?;
    call.realm.tasks.start(async move {
        database.tasks.compact_range(bounds).await?;
        Ok(Answer::Undefined)
    })
}

/// A report as JSON text.
pub fn json(of: &impl Serialize) -> Made {
    let text = serde_json::to_string(of);
    text.map(Answer::Text)
        .map_err(|_| Fault::Misuse("a report can't be written as JSON"))
}
