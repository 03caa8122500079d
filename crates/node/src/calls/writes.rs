//! Writes.

use level_party::{AsyncRange, AsyncReadable, WriteBatch};

use crate::answer::{Answer, Format};
use crate::border::Call;
use crate::fault::Fault;
use crate::packed::Packed;
use crate::tasks::{Made, breathe};

/// Deletes of a clear that are written together; between two batches the loop does what else there is.
const CLEAR_BATCH: u64 = 1_000;

/// `put(db, keyLength, valueLength, sync)`
pub fn put(call: &Call<'_>) -> Made {
    let (key, value) = (call.number(1)?, call.number(2)?);
    let mut batch = WriteBatch::new();
    batch.put(call.packed(0, key)?, call.packed(key, value)?);
    write(call, batch, 3)
}

/// `del(db, keyLength, sync)`
pub fn delete(call: &Call<'_>) -> Made {
    let mut batch = WriteBatch::new();
    batch.delete(call.packed(0, call.number(1)?)?);
    write(call, batch, 2)
}

/// `batch(db, packedLength, sync)`
pub fn batch(call: &Call<'_>) -> Made {
    let mut batch = WriteBatch::new();
    Packed::new(call.packed(0, call.number(1)?)?).operations(&mut batch)?;
    write(call, batch, 2)
}

/// Writes `batch`; the argument `sync` is 0, 1, or 2 for what the database was opened with.
fn write(call: &Call<'_>, mut batch: WriteBatch, sync: usize) -> Made {
    let database = call.database(0)?;
    match call.number(sync)? {
        0 => batch.sync(false),
        1 => batch.sync(true),
        _ => &mut batch,
    };
    let write = async move {
        database.tasks.write(&batch).await?;
        Ok(Answer::Undefined)
    };
    call.realm.tasks.start(write)
}

/// `clear(db, packedLength, reverse, limit, snapshot)`: deletes the keys in the bounds that are there at this moment or the
/// snapshot's, no more than `limit` (text; empty: all).
pub fn clear(call: &Call<'_>) -> Made {
    let database = call.database(0)?;
    let bounds = Packed::new(call.packed(0, call.number(1)?)?).bounds()?;
    let reverse = call.number(2)? != 0;
    let limit = call.text(3)?.parse().unwrap_or(u64::MAX);
    let at = call.snapshot(4)?;
    call.realm.tasks.start(async move {
        let mut keys = match &at {
            Some(snapshot) => snapshot.range(bounds),
            None => database.tasks.range(bounds),
        }
        .keys()
        .limit(limit);
        while let Some(batch) = next_batch(&mut keys, reverse).await? {
            let is_last = (batch.len() as u64) < CLEAR_BATCH;
            database.tasks.write(&batch).await?;
            if is_last {
                break;
            }
            breathe().await;
        }
        Ok(Answer::Undefined)
    })
}

async fn next_batch(
    keys: &mut AsyncRange<Vec<u8>>,
    reverse: bool,
) -> Result<Option<WriteBatch>, Fault> {
    let mut batch = WriteBatch::new();
    while (batch.len() as u64) < CLEAR_BATCH {
        let next = match reverse {
            false => keys.next().await,
            true => keys.next_back().await,
        };
        match next.transpose()? {
            Some(key) => batch.delete(key),
            None => break,
        };
    }
    Ok((!batch.is_empty()).then_some(batch))
}

/// `compareAndSwap(db, packedLength, parts, utf8)`: packed are the key and, as the bits of `parts` say, what is expected (1)
/// and what is new (2). Gives an array: whether it was swapped, and what the key holds if not.
pub fn compare_and_swap(call: &Call<'_>) -> Made {
    let database = call.database(0)?;
    let packed = Packed::new(call.packed(0, call.number(1)?)?).keys()?;
    let parts = call.number(2)?;
    let format = Format::utf8_if(call.number(3)? != 0);
    let mut packed = packed.into_iter().map(<[u8]>::to_vec);
    let key = packed.next().ok_or(Fault::Misuse("there is no key"))?;
    let expected = if parts & 1 != 0 { packed.next() } else { None };
    let new = if parts & 2 != 0 { packed.next() } else { None };
    call.realm.tasks.start(async move {
        let swap = database
            .tasks
            .compare_and_swap(key, expected.as_deref(), new.as_deref());
        let (swapped, held) = match swap.await? {
            Ok(()) => (true, None),
            Err(held) => (false, held),
        };
        let held = Answer::Value(held, format);
        Ok(Answer::List(vec![Answer::Flag(swapped), held]))
    })
}
