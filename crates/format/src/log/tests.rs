use super::*;
use crate::crc;

fn write(records: &[&[u8]]) -> Vec<u8> {
    let mut writer = LogWriter::new();
    let mut file = Vec::new();
    for record in records {
        writer.add_record(record, &mut file);
    }
    file
}

/// A fragment with a right checksum, of any type.
fn fragment(kind: u8, data: &[u8]) -> Vec<u8> {
    let crc = crc::mask(crc::extend(crc::crc32c(&[kind]), data));
    let mut out = crc.to_le_bytes().to_vec();
    out.extend((data.len() as u16).to_le_bytes());
    out.push(kind);
    out.extend(data);
    out
}

fn items(file: &[u8]) -> Vec<LogItem<'_>> {
    LogReader::new(file).collect()
}

fn payloads(file: &[u8]) -> Vec<Vec<u8>> {
    items(file)
        .into_iter()
        .filter_map(|item| match item {
            LogItem::Record { payload, .. } => Some(payload.into_owned()),
            _ => None,
        })
        .collect()
}

fn record(payload: &[u8], offset: u64, end: u64) -> LogItem<'_> {
    LogItem::Record {
        payload: payload.into(),
        offset,
        end,
    }
}

fn bad(offset: u64, bytes: u64, what: &str) -> LogItem<'static> {
    LogItem::Bad {
        offset,
        bytes,
        what: what.into(),
    }
}

fn torn(offset: u64, bytes: u64) -> LogItem<'static> {
    LogItem::Torn { offset, bytes }
}

const NO_START: &str = "a fragment without its start";
const NO_END: &str = "a record without its end";
const CHECKSUM: &str = "checksum mismatch";
const EMPTY_HEADER: &str = "an empty header before further data";

#[test]
fn a_small_record_has_leveldbs_bytes() {
    // crc32c("\x01foo") masked, length 3, FULL.
    assert_eq!(write(&[b"foo"])[4..], *b"\x03\0\x01foo");
    assert_eq!(
        write(&[b"foo"])[..4],
        crc::mask(crc::crc32c(b"\x01foo")).to_le_bytes()
    );
    // The first record of a MANIFEST that LevelDB 1.23 wrote.
    let name = b"\x01\x1aleveldb.BytewiseComparator";
    assert_eq!(write(&[name])[..7], [0x56, 0xf9, 0xb8, 0xf8, 0x1c, 0, 1]);
}

#[test]
fn an_empty_file_has_no_items_and_an_empty_record_is_a_record() {
    assert_eq!(items(b""), []);
    assert_eq!(items(&write(&[b""])), [record(b"", 0, 7)]);
}

#[test]
fn records_longer_than_a_block_are_fragmented() {
    let long = vec![b'x'; 2 * BLOCK_LEN + 1000];
    let file = write(&[b"small", &long, b"after"]);
    let start = 12;
    let end = start + long.len() as u64 + 3 * 7;
    assert_eq!(
        items(&file),
        [
            record(b"small", 0, 12),
            record(&long, start, end),
            record(b"after", end, end + 12)
        ]
    );
    assert_eq!(file[12 + 6], FIRST);
    assert_eq!(file[BLOCK_LEN + 6], MIDDLE);
    assert_eq!(file[2 * BLOCK_LEN + 6], LAST);
}

#[test]
fn exactly_seven_bytes_left_hold_a_first_of_length_zero() {
    let filler = vec![1; BLOCK_LEN - 2 * HEADER_LEN];
    let file = write(&[&filler, b"", b"bar"]);
    assert_eq!(file[BLOCK_LEN - 1], FULL, "an empty record fits");
    let file = write(&[&filler, b"bar"]);
    assert_eq!(file[BLOCK_LEN - 3..BLOCK_LEN], [0, 0, FIRST]);
    assert_eq!(file[BLOCK_LEN + 6], LAST);
    let offset = BLOCK_LEN as u64 - 7;
    assert_eq!(
        items(&file)[1],
        record(b"bar", offset, BLOCK_LEN as u64 + 10)
    );
}

#[test]
fn less_than_seven_bytes_left_are_a_zero_trailer() {
    for left in 0..HEADER_LEN {
        let filler = vec![1; BLOCK_LEN - HEADER_LEN - left];
        let file = write(&[&filler, b"", b"bar"]);
        assert_eq!(file[BLOCK_LEN - left..BLOCK_LEN], vec![0; left]);
        let at = BLOCK_LEN as u64;
        assert_eq!(
            items(&file),
            [
                record(&filler, 0, (BLOCK_LEN - left) as u64),
                record(b"", at, at + 7),
                record(b"bar", at + 7, at + 17)
            ]
        );
        // A file that ends in its trailer ends cleanly.
        for len in BLOCK_LEN - left..=BLOCK_LEN {
            assert_eq!(items(&file[..len]).len(), 1);
        }
    }
}

#[test]
fn a_writer_can_go_on_at_any_length() {
    let mut one = LogWriter::new();
    let mut whole = Vec::new();
    for i in 0..200usize {
        let payload = vec![i as u8; i * 37];
        let mut split = whole.clone();
        LogWriter::new_at(whole.len() as u64).add_record(&payload, &mut split);
        one.add_record(&payload, &mut whole);
        assert_eq!(whole, split);
    }
    assert_eq!(payloads(&whole).len(), 200);
}

#[test]
fn reader_at_a_record_end_gives_what_follows() {
    let mut rng = fastrand::Rng::with_seed(3);
    for round in 0..200 {
        let records: Vec<Vec<u8>> = (0..rng.usize(1..20))
            .map(|i| vec![i as u8; rng.usize(0..[10, 1000, BLOCK_LEN, 3 * BLOCK_LEN][round % 4])])
            .collect();
        let mut file = write(&records.iter().map(Vec::as_slice).collect::<Vec<_>>());
        match round % 5 {
            0 => file.truncate(rng.usize(0..file.len())),
            1 => file.resize(file.len() + rng.usize(0..2 * BLOCK_LEN), 0),
            2 => {
                file.resize(file.len() + rng.usize(0..2 * BLOCK_LEN), 0);
                file.extend(write(&[b"behind zeroes"]));
            }
            3 => {
                let at = rng.usize(0..file.len());
                file[at] ^= 1 << rng.u8(0..8);
            }
            _ => {}
        }
        let whole = items(&file);
        for (at, item) in whole.iter().enumerate() {
            if let LogItem::Record { end, .. } = item {
                let mut reader = LogReader::new_at(*end, &file[*end as usize..]);
                assert_eq!(reader.position(), *end);
                assert_eq!(reader.by_ref().collect::<Vec<_>>(), whole[at + 1..]);
                assert_eq!(reader.position(), file.len() as u64);
            }
        }
    }
}

#[test]
fn random_records_round_trip() {
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..20 {
        let records: Vec<Vec<u8>> = (0..rng.usize(1..60))
            .map(|_| {
                let max = [10, 1000, BLOCK_LEN, 3 * BLOCK_LEN][rng.usize(0..4)];
                let len = rng.usize(0..max);
                std::iter::repeat_with(|| rng.u8(..)).take(len).collect()
            })
            .collect();
        let refs: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let file = write(&refs);
        let mut next = 0;
        for (item, expected) in items(&file).into_iter().zip(&records) {
            let LogItem::Record {
                payload,
                offset,
                end,
            } = item
            else {
                panic!("not a record: {item:?}");
            };
            assert_eq!(payload, &expected[..]);
            assert!(offset >= next && offset - next < 7);
            next = end;
        }
        assert_eq!(next, file.len() as u64);
        assert_eq!(payloads(&file).len(), records.len());
    }
}

#[test]
fn truncated_log_keeps_whole_records() {
    let long = vec![b'x'; BLOCK_LEN + 50];
    let file = write(&[b"one", &long, b"", b"three"]);
    let ends: Vec<u64> = items(&file)
        .iter()
        .map(|item| match item {
            LogItem::Record { end, .. } => *end,
            other => panic!("{other:?}"),
        })
        .collect();
    let edges = (0..200)
        .chain(BLOCK_LEN - 20..BLOCK_LEN + 20)
        .chain(file.len() - 100..file.len());
    for cut in edges {
        let found = items(&file[..cut]);
        let whole = ends.iter().filter(|&&end| end <= cut as u64).count();
        let start = if whole == 0 { 0 } else { ends[whole - 1] };
        let mut expected = items(&file);
        expected.truncate(whole);
        if start != cut as u64 {
            expected.push(torn(start, cut as u64 - start));
        }
        assert_eq!(found, expected, "cut at {cut}");
    }
}

#[test]
fn unfinished_chain_is_torn_from_its_first_fragment() {
    let mut file = write(&[b"foo"]);
    let start = file.len() as u64;
    file.extend(fragment(FIRST, b"ab"));
    file.extend(fragment(MIDDLE, b"cd"));
    assert_eq!(items(&file), [record(b"foo", 0, 10), torn(start, 18)]);
    let start_of_empty = write(&[&[1; BLOCK_LEN - 14]]);
    let mut file = start_of_empty.clone();
    file.extend(fragment(FIRST, b""));
    assert_eq!(items(&file)[1], torn(start_of_empty.len() as u64, 7));
}

#[test]
fn zeroes_written_ahead_end_a_log() {
    for blocks in 1..4 {
        let mut file = write(&[b"foo"]);
        file.resize(blocks * BLOCK_LEN, 0);
        assert_eq!(items(&file), [record(b"foo", 0, 10)]);
    }
    let mut file = vec![0; 2 * BLOCK_LEN];
    let all = file.len() as u64;
    assert_eq!(items(&file), [torn(0, all)], "nothing was before them");
    file[BLOCK_LEN + 1] = 1;
    assert_eq!(items(&file)[0], bad(0, BLOCK_LEN as u64, EMPTY_HEADER));
}

#[test]
fn record_cut_off_in_zeroes_written_ahead_is_torn() {
    let first = write(&[b"foo"]);
    let whole = write(&[b"foo", &[b'x'; 40_000]]);
    let at_headers = (11..30).chain(BLOCK_LEN - 3..BLOCK_LEN + 10);
    for cut in at_headers.chain((30..whole.len()).step_by(997)) {
        let mut file = whole[..cut].to_vec();
        // Zeroes that came in part do not reach a block's end.
        for len in [3 * BLOCK_LEN - 100, 3 * BLOCK_LEN] {
            file.resize(len, 0);
            let left = (len - first.len()) as u64;
            let found = items(&file);
            assert_eq!(
                found,
                [record(b"foo", 0, 10), torn(10, left)],
                "cut at {cut}"
            );
        }
    }
    // A record that is whole was not cut off.
    let mut file = whole;
    file.resize(2 * BLOCK_LEN, 0);
    file[20] ^= 1;
    assert!(matches!(items(&file)[1], LogItem::Bad { .. }));
}

#[test]
fn zeroes_up_to_the_end_are_torn() {
    for zeroes in [1, 6, 7, 8, 100, BLOCK_LEN, 3 * BLOCK_LEN] {
        let mut file = write(&[b"foo"]);
        file.resize(10 + zeroes, 0);
        assert_eq!(
            items(&file),
            [record(b"foo", 0, 10), torn(10, zeroes as u64)]
        );
    }
    let mut file = fragment(FIRST, b"foo");
    file.resize(1000, 0);
    assert_eq!(items(&file), [torn(0, 1000)]);
}

#[test]
fn zeroes_in_a_log_skip_the_rest_of_their_block() {
    let mut file = write(&[b"foo"]);
    file.resize(100, 0);
    file.extend(write(&[b"lost"]));
    file.resize(BLOCK_LEN, 0);
    file.extend(write(&[b"found"]));
    let at = BLOCK_LEN as u64;
    let gap = bad(10, at - 10, EMPTY_HEADER);
    assert_eq!(
        items(&file),
        [record(b"foo", 0, 10), gap, record(b"found", at, at + 12)]
    );

    let mut file = write(&[b"foo"]);
    file.resize(5 * BLOCK_LEN, 0);
    file.extend(write(&[b"found"]));
    let gap = bad(10, 5 * at - 10, EMPTY_HEADER);
    assert_eq!(
        items(&file),
        [
            record(b"foo", 0, 10),
            gap,
            record(b"found", 5 * at, 5 * at + 12)
        ]
    );
}

#[test]
fn bad_checksum_costs_one_record_where_the_next_is_sound() {
    let filler = vec![7; BLOCK_LEN];
    let mut file = write(&[b"foo", b"bar", b"baz", &filler, b"last"]);
    file[10 + 7] ^= 1;
    file[20 + 8] ^= 1;
    let found = items(&file);
    assert_eq!(found[0], record(b"foo", 0, 10));
    assert_eq!(found[1], bad(10, 20, CHECKSUM), "two in a row");
    assert!(
        matches!(&found[2], LogItem::Record { offset: 30, payload, .. } if **payload == *filler)
    );
    assert!(matches!(&found[3], LogItem::Record { payload, .. } if **payload == *b"last"));
    assert_eq!(found.len(), 4);
}

#[test]
fn bad_length_drops_the_rest_of_its_block() {
    let filler = vec![7; BLOCK_LEN];
    let mut file = write(&[b"foo", b"bar", &filler, b"last"]);
    file[10 + 4] ^= 1; // the length: it leads into the next record
    let at = BLOCK_LEN as u64;
    let found = items(&file);
    assert_eq!(found[0], record(b"foo", 0, 10));
    assert_eq!(found[1], bad(10, at - 10, CHECKSUM));
    // The rest of the long record has no start any more.
    assert_eq!(found[2], bad(at, 34, NO_START));
    assert_eq!(found[3], record(b"last", at + 34, at + 45));
    assert_eq!(found.len(), 4);
}

#[test]
fn a_bad_checksum_inside_a_record_drops_the_whole_record() {
    let long = vec![7; 2 * BLOCK_LEN];
    let mut file = write(&[b"foo", &long, b"last"]);
    file[BLOCK_LEN + 100] ^= 1;
    let at = 2 * BLOCK_LEN as u64;
    let found = items(&file);
    assert_eq!(found[1], bad(10, at - 10, CHECKSUM));
    assert!(matches!(&found[2], LogItem::Bad { what, .. } if what == NO_START));
    assert!(matches!(&found[3], LogItem::Record { payload, .. } if **payload == *b"last"));
}

#[test]
fn a_bad_checksum_never_joins_two_records() {
    // FIRST LAST | FIRST LAST with the middle two gone must not give a record of the outer two.
    let foo = vec![b'f'; BLOCK_LEN];
    let bar = vec![b'b'; BLOCK_LEN];
    let mut file = write(&[&foo, &bar]);
    LogWriter::new_at(file.len() as u64).add_record(b"correct", &mut file);
    file[BLOCK_LEN..2 * BLOCK_LEN].fill(b'x');
    assert_eq!(payloads(&file), [b"correct"]);
}

#[test]
fn an_unknown_type_drops_its_fragment_alone() {
    for kind in [5, 0, 255] {
        let mut file = write(&[b"foo"]);
        file.extend(fragment(kind, b"??"));
        file.extend(write(&[b"bar"]));
        let what = format!("unknown record type {kind}");
        assert_eq!(
            items(&file),
            [
                record(b"foo", 0, 10),
                bad(10, 9, &what),
                record(b"bar", 19, 29)
            ]
        );
        let mut file = fragment(FIRST, b"foo");
        file.extend(fragment(kind, b"??"));
        file.extend(fragment(LAST, b"bar"));
        assert_eq!(items(&file), [bad(0, 19, &what), bad(19, 10, NO_START)]);
    }
}

#[test]
fn fragments_without_their_start_are_dropped_one_by_one() {
    let mut file = fragment(MIDDLE, b"foo");
    file.extend(fragment(LAST, b"foo"));
    file.extend(fragment(FULL, b"bar"));
    assert_eq!(
        items(&file),
        [
            bad(0, 10, NO_START),
            bad(10, 10, NO_START),
            record(b"bar", 20, 30)
        ]
    );
}

#[test]
fn a_new_start_ends_an_unfinished_record_and_is_itself_read() {
    let mut file = fragment(FIRST, b"foo");
    file.extend(fragment(FULL, b"bar"));
    assert_eq!(items(&file), [bad(0, 10, NO_END), record(b"bar", 10, 20)]);
    let mut file = fragment(FIRST, b"foo");
    file.extend(fragment(FIRST, b"bar"));
    file.extend(fragment(LAST, b"baz"));
    assert_eq!(
        items(&file),
        [bad(0, 10, NO_END), record(b"barbaz", 10, 30)]
    );
}

#[test]
fn a_new_start_after_an_empty_first_is_legal() {
    for kind in [FULL, FIRST] {
        let mut file = fragment(FIRST, b"");
        file.extend(fragment(kind, b"bar"));
        if kind == FIRST {
            file.extend(fragment(LAST, b""));
        }
        let end = file.len() as u64;
        assert_eq!(items(&file), [record(b"bar", 7, end)]);
    }
}

#[test]
fn length_beyond_block_is_bad_and_beyond_file_torn() {
    let impossible = "a length that no block can hold";
    let filler = vec![7; BLOCK_LEN];
    let mut file = write(&[&filler, b"foo"]);
    file[5] = 0xff;
    let at = BLOCK_LEN as u64;
    assert_eq!(items(&file)[0], bad(0, at, impossible));
    assert_eq!(payloads(&file), [b"foo"]);

    let mut file = write(&[b"foo"]);
    file[5] = 0xff;
    assert_eq!(items(&file), [bad(0, 10, impossible)]);
    let mut file = write(&[b"foo"]);
    file[4] += 1;
    assert_eq!(items(&file), [torn(0, 10)]);
}

#[test]
fn changed_byte_is_noticed_and_items_lie_in_order() {
    let file = write(&[b"one", &[7; 300], b"", b"four"]);
    let whole = items(&file);
    for i in 0..file.len() {
        for flip in [1u8, 0x80, 0xff] {
            let mut changed = file.clone();
            changed[i] ^= flip;
            let found = items(&changed);
            assert_ne!(found, whole, "byte {i}");
            check_order(&found, changed.len() as u64);
        }
    }
}

#[test]
fn random_bytes_and_random_fragments_never_panic() {
    let mut rng = fastrand::Rng::with_seed(2);
    for _ in 0..300 {
        let mut file = Vec::new();
        while file.len() < 3 * BLOCK_LEN {
            let len = [0, 3, 500, 20_000][rng.usize(0..4)];
            match rng.u8(0..8) {
                0 => file.extend(std::iter::repeat_with(|| rng.u8(..)).take(len)),
                1 => file.resize(file.len() + len, 0),
                kind => file.extend(fragment(kind % 6, &vec![kind; len])),
            }
        }
        file.truncate(rng.usize(0..file.len()));
        check_order(&items(&file), file.len() as u64);
    }
}

fn check_order(items: &[LogItem<'_>], len: u64) {
    let mut position = 0;
    for (i, item) in items.iter().enumerate() {
        let (start, end) = match item {
            LogItem::Record { offset, end, .. } => (*offset, *end),
            LogItem::Torn { offset, bytes } => {
                assert_eq!((i + 1, offset + bytes), (items.len(), len), "torn is last");
                (*offset, len)
            }
            LogItem::Bad { offset, bytes, .. } => (*offset, offset + bytes),
        };
        assert!(start >= position && start < end && end <= len, "{item:?}");
        position = end;
    }
}
