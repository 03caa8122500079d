//! A write batch.

use level_party_format::MAX_SEQUENCE;
use level_party_format::batch::{BatchRef, Op, WriteBatch};

/// Reads `data` as a batch. Gives 1 if it is one.
pub fn run(data: &[u8]) -> usize {
    let parsed = BatchRef::parse(data);
    assert_eq!(
        parsed.as_ref().err(),
        WriteBatch::from_bytes(data.to_vec()).as_ref().err()
    );
    let batch = match parsed {
        Ok(batch) => batch,
        Err(error) => {
            let inside = |offset| offset < data.len() as u64;
            assert!(error.offset.is_none_or(inside), "{error}");
            return 0;
        }
    };
    let ops: Vec<Op> = batch.iter().collect();
    assert_eq!(ops.len(), batch.count() as usize);
    assert!(
        ops.len() * 2 <= data.len(),
        "an operation has two bytes or more"
    );

    let last = batch.sequence() + u64::from(batch.count().saturating_sub(1));
    assert!(last <= MAX_SEQUENCE);

    let mut again = WriteBatch::new();
    for op in &ops {
        match op {
            Op::Put { key, value } => again.put(key, value),
            Op::Delete { key } => again.delete(key),
        }
    }
    again.set_sequence(batch.sequence());
    // Lengths may come in longer varints than ours.
    assert!(again.byte_size() <= data.len());
    let read = WriteBatch::from_bytes(again.as_bytes().to_vec());
    assert_eq!(read.as_ref(), Ok(&again));
    assert!(again.iter().eq(ops.iter().copied()));
    1
}
