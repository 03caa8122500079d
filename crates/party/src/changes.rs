//! Changes of one key that depend on what it holds, for threads and for tasks.

use crate::error::Result;
use crate::limits::Wait;
use crate::space::{Change, Space};

/// Sets a key, and gives what it held.
pub(crate) async fn replace(
    space: Space<'_>,
    wait: Wait,
    key: &[u8],
    value: &[u8],
) -> Result<Option<Vec<u8>>> {
    let put = |_: Option<&[u8]>| Change::Put(value.to_vec());
    space.change_by(wait, key, put).await
}

/// Removes a key, and gives what it held.
pub(crate) async fn take(space: Space<'_>, wait: Wait, key: &[u8]) -> Result<Option<Vec<u8>>> {
    let delete = |held: Option<&[u8]>| match held {
        Some(_) => Change::Delete,
        None => Change::Keep,
    };
    space.change_by(wait, key, delete).await
}

/// Sets a key to what `change` makes of what it holds, and gives that.
pub(crate) async fn update<X: Into<Vec<u8>>>(
    space: Space<'_>,
    wait: Wait,
    key: &[u8],
    mut change: impl FnMut(Option<&[u8]>) -> Option<X>,
) -> Result<Option<Vec<u8>>> {
    let mut last = None;
    let apply = |held: Option<&[u8]>| {
        last = change(held).map(Into::into);
        match &last {
            new if new.as_deref() == held => Change::Keep,
            Some(new) => Change::Put(new.clone()),
            None => Change::Delete,
        }
    };
    space.change_by(wait, key, apply).await?;
    Ok(last)
}

/// Sets a key to `new` if it holds `expected`; else gives what it holds as the inner error.
pub(crate) async fn compare_and_swap(
    space: Space<'_>,
    wait: Wait,
    key: &[u8],
    expected: Option<&[u8]>,
    new: Option<&[u8]>,
) -> Result<std::result::Result<(), Option<Vec<u8>>>> {
    let swap = |held: Option<&[u8]>| match new {
        _ if held != expected => Change::Keep,
        Some(new) => Change::Put(new.to_vec()),
        None => Change::Delete,
    };
    let held = space.change_by(wait, key, swap).await?;
    Ok(match held.as_deref() == expected {
        true => Ok(()),
        false => Err(held),
    })
}
