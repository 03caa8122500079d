use std::ops::Bound;

use serde_bytes::Bytes;

use super::*;

fn frames(bytes: &[u8], largest: usize) -> (FrameBuffer, usize) {
    let mut buffer = FrameBuffer::new(largest);
    let mut from = bytes;
    let mut read = 0;
    loop {
        match buffer.fill(&mut from).expect("a slice reads") {
            0 => return (buffer, read),
            count => read += count,
        }
    }
}

#[test]
fn a_call_arrives_as_it_was_sent_in_whatever_pieces() {
    let scan = Scan {
        at: Some(9),
        lower: Bound::Included(Bytes::new(b"")),
        upper: Bound::Excluded(Bytes::new(b"z\xff")),
        reverse: true,
        keys_only: false,
        sequences: false,
        hold: false,
        limit_bytes: 4096,
        limit_entries: 7,
    };
    let mut bytes = Vec::new();
    encode_frame(
        &ClientMessage::Call {
            id: 7,
            request: Request::Scan(scan),
        },
        &mut bytes,
    );
    encode_frame(&ClientMessage::Unpin { sequence: 3 }, &mut bytes);
    for cut in 0..bytes.len() {
        let mut buffer = FrameBuffer::new(MAX_REQUEST_FRAME);
        let mut seen = Vec::new();
        for mut piece in [&bytes[..cut], &bytes[cut..]] {
            while buffer.fill(&mut piece).unwrap() > 0 {}
            while let Some(frame) = buffer.next_frame().unwrap() {
                seen.push(format!("{:?}", decode::<ClientMessage<'_>>(frame).unwrap()));
            }
        }
        assert_eq!(seen.len(), 2, "cut at {cut}");
        assert!(
            seen[0].contains("id: 7") && seen[0].contains("at: Some(9)"),
            "{}",
            seen[0]
        );
        assert!(seen[1].contains("Unpin"), "{}", seen[1]);
    }
}

#[test]
fn a_frame_over_the_limit_is_refused_before_its_bytes_come() {
    let (mut buffer, _) = frames(&u32::MAX.to_le_bytes(), 1 << 20);
    assert_eq!(buffer.next_frame().unwrap_err().kind(), ErrorKind::Protocol);
}

#[test]
fn no_bytes_make_a_decoder_panic() {
    let mut bytes = Vec::new();
    let request = Request::Write(Write {
        number: 300,
        sync: true,
        batch: Bytes::new(b"0123456789ab"),
        conditions: Bytes::new(b""),
    });
    encode_frame(&ClientMessage::Call { id: 300, request }, &mut bytes);
    for at in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut broken = bytes.clone();
            broken[at] ^= flip;
            let (mut buffer, _) = frames(&broken, MAX_REQUEST_FRAME);
            while let Ok(Some(frame)) = buffer.next_frame() {
                let _ = decode::<ClientMessage<'_>>(frame);
                let _ = decode::<ServerMessage<'_>>(frame);
            }
        }
    }
    for length in 0..bytes.len() {
        let _ = decode::<ClientMessage<'_>>(&bytes[4..][..length.min(bytes.len() - 4)]);
    }
}

#[test]
fn bytes_after_a_message_are_an_error() {
    let mut bytes = Vec::new();
    encode_frame(&ClientMessage::Unpin { sequence: 3 }, &mut bytes);
    bytes.push(0);
    assert!(decode::<ClientMessage<'_>>(&bytes[4..]).is_err());
}

#[test]
fn a_chunk_is_taken_from_both_ends_and_each_entry_once() {
    let mut builder = EntriesBuilder::new(1 << 20, u32::MAX);
    for i in 0..5u8 {
        builder.push(&[i], &[i; 3]);
    }
    let sent = builder.finish(true, None);
    let mut chunk = Entries::from_packed(sent.packed().to_vec(), true, None).unwrap();
    assert_eq!(chunk.last(), Some(ChunkEntry::Whole(&[4], &[4; 3])));
    let first = chunk.pop().unwrap();
    assert_eq!(chunk.entry(first), ChunkEntry::Whole(&[0], &[0; 3]));
    let last = chunk.pop_last().unwrap();
    assert_eq!(chunk.entry(last), ChunkEntry::Whole(&[4], &[4; 3]));
    let middle: Vec<_> = std::iter::from_fn(|| chunk.pop()).collect();
    assert_eq!(middle, [1, 2, 3]);
    assert!(chunk.pop_last().is_none());
}

#[test]
fn a_chunk_ends_with_its_number_of_entries() {
    let mut builder = EntriesBuilder::new(1 << 20, 2);
    builder.push(b"a", b"");
    assert!(!builder.is_full());
    builder.push(b"b", b"");
    assert!(builder.is_full());
}

#[test]
fn a_chunk_is_sought_in_either_order_and_from_either_end() {
    for descending in [false, true] {
        let mut builder = EntriesBuilder::new(1 << 20, u32::MAX);
        let keys: [u8; 4] = if descending {
            [6, 4, 2, 0]
        } else {
            [0, 2, 4, 6]
        };
        for key in keys {
            builder.push(&[key], b"");
        }
        let mut chunk = builder.finish(false, None);
        assert!(chunk.covers(&[0]) && chunk.covers(&[3]) && chunk.covers(&[6]));
        assert!(!chunk.covers(&[7]));
        chunk.seek_low(&[3], descending);
        chunk.seek_high(&[3], descending);
        assert_eq!(chunk.pop(), None, "nothing is between 3 and 3");
        chunk.seek_low(&[1], descending);
        chunk.seek_high(&[4], descending);
        let mut left: Vec<u8> = std::iter::from_fn(|| chunk.pop())
            .map(|at| keys[at])
            .collect();
        left.sort_unstable();
        assert_eq!(left, [2, 4]);
        chunk.seek_low(&[5], descending);
        assert_eq!((chunk.pop(), chunk.pop_last()), (None, None));
        chunk.seek_high(&[9], descending);
        let last = chunk.pop().map(|at| keys[at]);
        assert_eq!(
            last,
            Some(6),
            "an end that was passed stays where it was put"
        );
    }
}

#[test]
fn a_chunk_whose_lengths_lie_is_refused() {
    let mut builder = EntriesBuilder::new(1 << 20, u32::MAX);
    builder.push(b"key", b"value");
    let good = builder.finish(false, None).packed().to_vec();
    for at in 0..8 {
        let mut bad = good.clone();
        bad[at] ^= 0x41;
        let refused = Entries::from_packed(bad.clone(), false, None).is_err();
        assert!(refused, "byte {at}: {bad:?}");
    }
    assert!(Entries::from_packed(good[..good.len() - 1].to_vec(), false, None).is_err());
}

#[test]
fn versions_that_do_not_overlap_are_told_apart() {
    let theirs = Preamble {
        oldest: VERSION + 1,
        newest: VERSION + 4,
    };
    let heard = Preamble::decode(&theirs.encode()).unwrap();
    assert_eq!(heard, theirs);
    assert_eq!(
        heard.check().unwrap_err().kind(),
        ErrorKind::IncompatibleVersion
    );
    assert!(Preamble::ours().check().is_ok());
    assert!(Preamble::decode(b"GET / HTTP/1.1\r\n").is_err());
}

#[test]
fn a_read_that_a_signal_interrupts_is_made_again() {
    struct Interrupted(bool);
    impl std::io::Read for Interrupted {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            if !std::mem::replace(&mut self.0, true) {
                return Err(std::io::ErrorKind::Interrupted.into());
            }
            buf[..4].copy_from_slice(&[0; 4]);
            Ok(4)
        }
    }
    let mut buffer = FrameBuffer::new(10);
    assert_eq!(buffer.fill(Interrupted(false)).unwrap(), 4);
    assert_eq!(buffer.next_frame().unwrap(), Some(&[][..]));
}

/// A leader keeps one for each follower.
#[test]
fn a_buffer_stays_small_while_what_comes_is() {
    let mut frame = Vec::new();
    encode_frame(&ClientMessage::Unpin { sequence: 3 }, &mut frame);
    let mut buffer = FrameBuffer::new(MAX_REQUEST_FRAME);
    for _ in 0..1000 {
        buffer.fill(&frame[..]).unwrap();
        assert!(buffer.next_frame().unwrap().is_some());
    }
    assert!(buffer.capacity() <= 4 << 10);
    let many = frame.repeat(10_000);
    let mut bytes = &many[..];
    while buffer.fill(&mut bytes).unwrap() > 0 {
        while buffer.next_frame().unwrap().is_some() {}
    }
    assert!(buffer.capacity() >= 64 << 10);
}

#[test]
fn chunk_names_too_large_key_by_its_beginning() {
    let beginning = vec![b'k'; MAX_KEY_BYTES];
    let key = [&beginning[..], b"end"].concat();
    let mut builder = EntriesBuilder::new(1 << 20, u32::MAX);
    assert!(builder.push(b"a", b"1") && builder.push(&key, b"22"));
    assert!(builder.is_full(), "nothing else of that beginning follows");
    let sent = builder.finish(true, None);
    let mut chunk = Entries::from_packed(sent.packed().to_vec(), true, None).unwrap();
    let entry = TooLarge {
        key: &beginning,
        key_bytes: MAX_KEY_BYTES as u64 + 3,
        value_bytes: 2,
    };
    assert_eq!(chunk.last(), Some(ChunkEntry::TooLarge(entry)));
    assert!(entry.is_cut());
    let error = entry.error(1);
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.is_of_one_entry());
    let said = format!(
        "the key of {} bytes that begins with \"kkk",
        MAX_KEY_BYTES + 2
    );
    assert!(error.message().starts_with(&said), "{error}");
    assert!(chunk.covers(b"k") && chunk.covers(&beginning) && !chunk.covers(b"l"));
    // The key itself is above its beginning.
    chunk.seek_high(&beginning, false);
    assert_eq!((chunk.pop(), chunk.pop()), (Some(0), None));
    for cut in 0..24 {
        let packed = sent.packed()[..sent.packed().len() - 1 - cut].to_vec();
        assert!(Entries::from_packed(packed, true, None).is_err(), "{cut}");
    }
}
