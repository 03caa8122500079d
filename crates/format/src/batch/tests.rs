use super::*;

const FIXTURE: &[u8] =
    b"\x64\0\0\0\0\0\0\0\x03\0\0\0\x01\x03foo\x03bar\x00\x03box\x01\x03baz\x03boo";

fn sample() -> WriteBatch {
    let mut batch = WriteBatch::new();
    batch.put(b"foo", b"bar");
    batch.delete(b"box");
    batch.put(b"baz", b"boo");
    batch.set_sequence(100);
    batch
}

#[test]
fn the_encoding_is_leveldbs_byte_for_byte() {
    assert_eq!(sample().as_bytes(), FIXTURE);
    assert_eq!(WriteBatch::new().as_bytes(), [0; 12]);
    let read = WriteBatch::from_bytes(FIXTURE.to_vec()).unwrap();
    assert_eq!(read, sample());
    assert_eq!(
        (read.sequence(), read.count(), read.byte_size()),
        (100, 3, FIXTURE.len())
    );
}

#[test]
fn operations_come_back_in_order() {
    let batch = sample();
    let ops: Vec<Op> = batch.iter().collect();
    let expected = [
        Op::Put {
            key: b"foo",
            value: b"bar",
        },
        Op::Delete { key: b"box" },
        Op::Put {
            key: b"baz",
            value: b"boo",
        },
    ];
    assert_eq!(ops, expected);
    assert_eq!(ops[1].key(), b"box");
    assert_eq!((&batch).into_iter().count(), 3);
}

#[test]
fn a_batch_without_operations_is_legal() {
    let batch = WriteBatch::from_bytes(vec![0; 12]).unwrap();
    assert!(batch.is_empty());
    assert_eq!(batch.iter().count(), 0);
}

#[test]
fn empty_keys_and_values_are_legal() {
    let mut batch = WriteBatch::new();
    batch.put(b"", b"");
    batch.delete(b"");
    let read = WriteBatch::from_bytes(batch.into_bytes()).unwrap();
    assert_eq!(
        read.iter().next(),
        Some(Op::Put {
            key: b"",
            value: b""
        })
    );
    assert_eq!(read.iter().nth(1), Some(Op::Delete { key: b"" }));
}

#[test]
fn append_keeps_the_first_sequence_and_adds_counts() {
    let mut first = WriteBatch::new();
    first.set_sequence(200);
    first.append(&WriteBatch::new());
    assert_eq!((first.sequence(), first.count()), (200, 0));
    first.append(&sample());
    first.append(&sample());
    assert_eq!((first.sequence(), first.count()), (200, 6));
    assert_eq!(first.iter().filter(|op| op.key() == b"box").count(), 2);
    assert!(WriteBatch::from_bytes(first.clone().into_bytes()).is_ok());
    first.clear();
    assert_eq!(first, WriteBatch::new());
}

#[test]
fn every_truncation_is_corruption() {
    for cut in 0..FIXTURE.len() {
        assert!(
            WriteBatch::from_bytes(FIXTURE[..cut].to_vec()).is_err(),
            "cut at {cut}"
        );
    }
    let mut longer = FIXTURE.to_vec();
    longer.push(0);
    assert!(WriteBatch::from_bytes(longer).is_err());
}

#[test]
fn any_changed_byte_is_refused_or_still_a_whole_batch() {
    for i in 0..FIXTURE.len() {
        for byte in 0..=255 {
            let mut bytes = FIXTURE.to_vec();
            bytes[i] = byte;
            if let Ok(batch) = WriteBatch::from_bytes(bytes) {
                assert_eq!(batch.iter().count(), batch.count() as usize);
            }
        }
    }
}

#[test]
fn bad_count_tag_or_sequence_is_corruption() {
    let mut wrong = FIXTURE.to_vec();
    wrong[8] = 2;
    assert!(WriteBatch::from_bytes(wrong.clone()).is_err());
    wrong[8] = 4;
    assert!(WriteBatch::from_bytes(wrong).is_err());
    let mut unknown = FIXTURE.to_vec();
    unknown[12] = 2;
    let error = WriteBatch::from_bytes(unknown).unwrap_err();
    assert_eq!(error.offset, Some(12));
    let mut batch = sample();
    batch.set_sequence(MAX_SEQUENCE - 2);
    assert!(WriteBatch::from_bytes(batch.as_bytes().to_vec()).is_ok());
    batch.set_sequence(MAX_SEQUENCE - 1);
    assert!(WriteBatch::from_bytes(batch.as_bytes().to_vec()).is_err());
    batch.set_sequence(u64::MAX);
    assert!(WriteBatch::from_bytes(batch.into_bytes()).is_err());
}
