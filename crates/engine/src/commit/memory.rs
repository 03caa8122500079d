//! Memtables for the write half: how large their regions are, and how operations get in.
//!
//! Promises: a memtable prepared for a demand holds that demand; all ordinary regions have one size, so that their memory
//! can be used again.
//! Must not know: where the memory lives.

use std::sync::Arc;

use level_party_format::Sequence;
use level_party_format::batch::Op;
use level_party_format::key::ValueType;
use level_party_memtable::{MemTableWriter, REGION_OVERHEAD, Region};

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::member::Member;

/// The largest region: one fits into its place of a shared segment. It holds a batch of 512 MiB with its links.
const MAX_REGION: usize = 1 << 30;

/// The most that one write may need in a memtable, in bytes.
pub(crate) const MAX_DEMAND: usize = MAX_REGION - REGION_OVERHEAD;

/// The most bytes that these operations can take in a memtable.
pub(crate) fn bytes_for<'a>(ops: impl Iterator<Item = Op<'a>>) -> usize {
    let sizes = ops.map(|op| match op {
        Op::Put { key, value } => MemTableWriter::bytes_for(key.len(), value.len()),
        Op::Delete { key } => MemTableWriter::bytes_for(key.len(), 0),
    });
    sizes.fold(0, usize::saturating_add)
}

/// Memory for a region: for a memtable with room for `write_buffer_size` bytes, or for `needed` if that is more.
pub(crate) fn prepare(
    member: &Member,
    counter: u32,
    write_buffer_size: usize,
    needed: usize,
) -> Result<Arc<dyn Region>> {
    let len = write_buffer_size.max(needed).min(MAX_DEMAND) + REGION_OVERHEAD;
    member.segment.prepare(counter, len).map_err(|error| {
        let message = format!("no memory for a memtable of {len} bytes: {error}");
        Error::with_source(ErrorKind::Io, message, error)
    })
}

/// Inserts operations under sequences from `first` on, and gives the next free sequence.
pub(crate) fn insert_all<'a>(
    mem: &mut MemTableWriter,
    ops: impl Iterator<Item = Op<'a>>,
    first: Sequence,
) -> Result<Sequence> {
    let mut sequence = first;
    for op in ops {
        let (key, kind, value) = match op {
            Op::Put { key, value } => (key, ValueType::Value, value),
            Op::Delete { key } => (key, ValueType::Deletion, &b""[..]),
        };
        mem.insert(key, sequence, kind, value).map_err(|error| {
            let message = format!("a memtable did not hold what it was made for: {error}");
            Error::new(ErrorKind::Io, message)
        })?;
        sequence += 1;
    }
    Ok(sequence)
}
