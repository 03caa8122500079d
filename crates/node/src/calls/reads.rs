//! Reads of a database, now or at a snapshot's moment.

use std::rc::Rc;

use level_party::{AsyncReadable, AsyncSnapshot, Readable};

use crate::answer::{Answer, Format};
use crate::border::Call;
use crate::calls::database::Database;
use crate::fault::Fault;
use crate::objects::Object;
use crate::packed::Packed;
use crate::tasks::{Made, wait_for};

/// What is read from.
enum From {
    Now(Rc<Database>),
    At(Rc<AsyncSnapshot>),
}

/// Evaluates `$read` with `$from` as the database or the snapshot.
macro_rules! of {
    ($source:expr, $from:ident => $read:expr) => {
        match $source {
            From::Now(database) => {
                let $from = &database.tasks;
                $read
            }
            From::At(snapshot) => {
                let $from = &*snapshot;
                $read
            }
        }
    };
}

/// The arguments `db` and, at `at`, `snapshot`, which may be 0.
fn source(call: &Call<'_>, at: usize) -> Result<From, Fault> {
    let database = call.database(0)?;
    Ok(match call.snapshot(at)? {
        None => From::Now(database),
        Some(snapshot) => From::At(snapshot),
    })
}

/// `get(db, keyLength, utf8, snapshot)`: the value, or undefined.
pub fn get(call: &Call<'_>) -> Made {
    let key = call.packed(0, call.number(1)?)?.to_vec();
    let format = Format::utf8_if(call.number(2)? != 0);
    let from = source(call, 3)?;
    call.realm.tasks.start(async move {
        let value = of!(from, from => from.get(key).await)?;
        Ok(Answer::Value(value, format))
    })
}

/// `getSync(db, keyLength, utf8, snapshot)`: the same, when it returns.
pub fn get_sync(call: &Call<'_>) -> Made {
    let key = call.packed(0, call.number(1)?)?;
    let format = Format::utf8_if(call.number(2)? != 0);
    let value = match source(call, 3)? {
        From::Now(database) => database.threads.get(key)?,
        From::At(snapshot) => wait_for(snapshot.get(key))?,
    };
    Ok(Answer::Value(value, format))
}

/// `getMany(db, packedLength, utf8, snapshot)`: an array of values.
pub fn get_many(call: &Call<'_>) -> Made {
    let keys = owned(Packed::new(call.packed(0, call.number(1)?)?).keys()?);
    let format = Format::utf8_if(call.number(2)? != 0);
    let from = source(call, 3)?;
    call.realm.tasks.start(async move {
        let values = of!(from, from => from.get_many(keys).await)?;
        Ok(Answer::Values(values, format))
    })
}

/// `has(db, keyLength, snapshot)`
pub fn has(call: &Call<'_>) -> Made {
    let key = call.packed(0, call.number(1)?)?.to_vec();
    let from = source(call, 2)?;
    call.realm.tasks.start(async move {
        let found = of!(from, from => from.contains(key).await)?;
        Ok(Answer::Flag(found))
    })
}

/// `hasMany(db, packedLength, snapshot)`: an array of booleans, all of one moment.
pub fn has_many(call: &Call<'_>) -> Made {
    let keys = owned(Packed::new(call.packed(0, call.number(1)?)?).keys()?);
    let database = call.database(0)?;
    let at = call.snapshot(2)?;
    call.realm.tasks.start(async move {
        let at = match at {
            Some(snapshot) => (*snapshot).clone(),
            None => database.tasks.snapshot().await?,
        };
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            found.push(at.contains(key).await?);
        }
        Ok(Answer::Flags(found))
    })
}

/// `snapshot(db)`: a snapshot of this moment.
pub fn snapshot(call: &Call<'_>) -> Made {
    let database = call.database(0)?;
    let snapshot = wait_for(database.tasks.snapshot())?;
    let id = call
        .realm
        .objects
        .add(Object::Snapshot(Rc::new(snapshot)))?;
    Ok(Answer::Object(id))
}

pub fn owned(keys: Vec<&[u8]>) -> Vec<Vec<u8>> {
    keys.into_iter().map(<[u8]>::to_vec).collect()
}
