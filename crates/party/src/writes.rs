//! Writes as they are handed over, and the limits within which they can be made.

pub use level_party_engine::{Op, WriteBatch};

use crate::conditions::Conditions;
use crate::error::{Error, ErrorKind, Result};

/// The largest key, in bytes. LevelDB has no limit below 4 GiB.
pub const MAX_KEY_BYTES: usize = 16 << 20;
/// The largest write (a batch with its keys, values and about 10 bytes an entry), in bytes.
pub const MAX_BATCH_BYTES: usize = 64 << 20;
/// The most entries of one write: each costs some 80 bytes beside its own while it is in memory.
pub const MAX_BATCH_ENTRIES: u32 = 1 << 20;

/// How a write is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteOptions {
    /// Whether the write is on stable storage before it is acknowledged (LevelDB's `WriteOptions::sync`).
    pub sync: bool,
}

impl WriteOptions {
    /// Sets [`WriteOptions::sync`].
    pub fn sync(mut self, yes: bool) -> Self {
        self.sync = yes;
        self
    }
}

/// Refuses a key over its limit, alike in both roles.
pub(crate) fn check_key(key: &[u8]) -> Result<()> {
    if key.len() <= MAX_KEY_BYTES {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        format!(
            "a key of {} bytes is over the limit of {MAX_KEY_BYTES}",
            key.len()
        ),
    ))
}

/// Refuses an entry that no batch can hold.
pub(crate) fn check_entry(key: &[u8], value: &[u8]) -> Result<()> {
    check_key(key)?;
    if value.len() <= MAX_BATCH_BYTES {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        format!(
            "a value of {} bytes is over the limit of {MAX_BATCH_BYTES}",
            value.len()
        ),
    ))
}

/// Refuses a batch that cannot travel.
pub(crate) fn check_batch(batch: &WriteBatch, conditions: &Conditions) -> Result<()> {
    let bytes = batch.byte_size() + conditions.bytes();
    if bytes > MAX_BATCH_BYTES {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("a write of {bytes} bytes is over the limit of {MAX_BATCH_BYTES}; split it"),
        ));
    }
    conditions.check_count()?;
    check_entries(batch.as_bytes())?;
    // No key is longer than the whole.
    match batch.byte_size() <= MAX_KEY_BYTES {
        true => Ok(()),
        false => batch.iter().try_for_each(|op| check_key(op.key())),
    }
}

/// Refuses a batch (in LevelDB's form: sequence u64, count u32, entries) that says it has too many entries.
pub(crate) fn check_entries(batch: &[u8]) -> Result<()> {
    let count = batch
        .get(8..12)
        .map_or(0, |n| u32::from_le_bytes(n.try_into().expect("four")));
    if count <= MAX_BATCH_ENTRIES {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        format!("a write of {count} entries is over the limit of {MAX_BATCH_ENTRIES}; split it"),
    ))
}
