use super::*;
use crate::filter::{BloomPolicy, FilterBlock};
use crate::key::{ValueType, append_internal_key, user_key};
use crate::{Comparator, CustomComparator, MAX_SEQUENCE, crc};
use std::cmp::Ordering;
use std::sync::Arc;

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

fn ikey(user: &[u8], sequence: u64) -> Vec<u8> {
    let mut out = Vec::new();
    append_internal_key(&mut out, user, sequence, ValueType::Value);
    out
}

fn build(entries: &Entries, options: TableOptions) -> Vec<u8> {
    let mut builder = TableBuilder::new(options);
    let mut file = Vec::new();
    for (key, value) in entries {
        builder.add(key, value);
        file.append(builder.output());
        assert_eq!(builder.file_size(), file.len() as u64);
    }
    builder.finish();
    builder.finish();
    file.append(builder.output());
    assert_eq!(builder.file_size(), file.len() as u64);
    assert_eq!(builder.entries(), entries.len() as u64);
    file
}

fn read_block(file: &[u8], handle: BlockHandle) -> Result<Block, Corruption> {
    handle.check(file.len() as u64)?;
    let start = handle.offset as usize;
    let end = start + handle.len_with_trailer() as usize;
    let contents = decode_block(&file[start..end], handle.offset)?;
    let kept = decode_block_vec(file[start..end].to_vec(), handle.offset)?;
    assert_eq!(contents, kept);
    Block::new(contents.into())
}

fn read_footer(file: &[u8]) -> Result<Footer, Corruption> {
    let last = file
        .last_chunk()
        .ok_or_else(|| Corruption::new("too short"))?;
    Footer::decode(last, file.len() as u64)
}

/// The index: each data block's separator and handle.
fn read_index(file: &[u8]) -> Result<Vec<(Vec<u8>, BlockHandle)>, Corruption> {
    let index = read_block(file, read_footer(file)?.index)?;
    let mut iter = index.iter(InternalComparator::default());
    let mut out = Vec::new();
    iter.seek_to_first()?;
    while iter.valid() {
        out.push((iter.key().to_vec(), BlockHandle::decode(iter.value())?));
        iter.next()?;
    }
    Ok(out)
}

fn read_entries(file: &[u8]) -> Result<Entries, Corruption> {
    let mut out = Vec::new();
    for (_, handle) in read_index(file)? {
        let mut iter = read_block(file, handle)?.iter(InternalComparator::default());
        iter.seek_to_first()?;
        while iter.valid() {
            out.push((iter.key().to_vec(), iter.value().to_vec()));
            iter.next()?;
        }
    }
    Ok(out)
}

fn read_filter(file: &[u8]) -> Result<Option<FilterBlock>, Corruption> {
    let metaindex = read_block(file, read_footer(file)?.metaindex)?;
    let Some(handle) = find_filter(&metaindex)? else {
        return Ok(None);
    };
    handle.check(file.len() as u64)?;
    let raw = &file[handle.offset as usize..][..handle.len_with_trailer() as usize];
    let (compression, contents) = check_block(raw, handle.offset)?;
    assert_eq!(
        compression,
        Compression::None,
        "a filter is never compressed"
    );
    Ok(FilterBlock::new(bytes::Bytes::copy_from_slice(contents)))
}

fn random_entries(rng: &mut fastrand::Rng, count: usize) -> Entries {
    let mut users: Vec<Vec<u8>> = (0..count)
        .map(|_| {
            let len = rng.usize(0..12);
            std::iter::repeat_with(|| rng.u8(b'a'..=b'e'))
                .take(len)
                .collect()
        })
        .collect();
    users.sort();
    users.dedup();
    let mut entries = Entries::new();
    for user in users {
        for version in (1..=rng.u64(1..4)).rev() {
            let len = [0, 10, 200, 6000][rng.usize(0..4)];
            let value = match rng.bool() {
                true => vec![rng.u8(..); len],
                false => std::iter::repeat_with(|| rng.u8(..)).take(len).collect(),
            };
            entries.push((ikey(&user, version), value));
        }
    }
    entries
}

#[test]
fn random_tables_round_trip_with_all_options() {
    let mut rng = fastrand::Rng::with_seed(7);
    for compression in [
        Compression::None,
        Compression::Snappy,
        Compression::Zstd,
        Compression::Zlib,
        Compression::ZlibRaw,
    ] {
        for filter in [None, Some(BloomPolicy::new(10))] {
            for (block_size, block_restart_interval) in
                [(1, 1), (256, 4), (4096, 16), (1 << 20, 16)]
            {
                let entries = random_entries(&mut rng, 150);
                let file = build(
                    &entries,
                    TableOptions {
                        block_size,
                        block_restart_interval,
                        compression,
                        filter,
                        ..TableOptions::default()
                    },
                );
                assert_eq!(read_entries(&file).unwrap(), entries);
                let filters = read_filter(&file).unwrap();
                assert_eq!(filters.is_some(), filter.is_some());
                check_index(&file, &entries, filters.as_ref());
            }
        }
    }
}

/// Each separator is at or above its block's keys and below the next one's; each key is in its block's filter.
fn check_index(file: &[u8], entries: &Entries, filters: Option<&FilterBlock>) {
    let order = InternalComparator::default();
    let mut rest = &entries[..];
    for (separator, handle) in read_index(file).unwrap() {
        let mut iter = read_block(file, handle).unwrap().iter(order.clone());
        iter.seek_to_first().unwrap();
        while iter.valid() {
            assert!(order.compare(iter.key(), &separator).is_le());
            assert!(
                filters
                    .is_none_or(|filters| filters.may_match(handle.offset, user_key(iter.key())))
            );
            rest = &rest[1..];
            iter.next().unwrap();
        }
        assert!(
            rest.first()
                .is_none_or(|(next, _)| order.compare(&separator, next).is_lt())
        );
    }
    assert!(rest.is_empty());
}

#[test]
fn an_empty_table_has_an_empty_index_and_no_data() {
    let file = build(&Entries::new(), TableOptions::default());
    // Two empty blocks of 8 bytes with trailers, and the footer.
    assert_eq!(file.len(), 2 * 13 + FOOTER_LEN);
    assert!(read_index(&file).unwrap().is_empty());
    assert!(read_filter(&file).unwrap().is_none());
    let with_filter = TableOptions {
        filter: Some(BloomPolicy::new(10)),
        ..TableOptions::default()
    };
    let file = build(&Entries::new(), with_filter);
    assert!(read_filter(&file).unwrap().unwrap().may_match(0, b"k"));
}

#[test]
fn index_has_short_separators_and_a_last_successor() {
    let entries = vec![
        (ikey(b"the quick brown fox", 5), vec![]),
        (ikey(b"the who", 4), vec![]),
        (ikey(b"the who", 3), vec![]),
    ];
    let file = build(
        &entries,
        TableOptions {
            block_size: 1,
            ..TableOptions::default()
        },
    );
    let separators: Vec<Vec<u8>> = read_index(&file)
        .unwrap()
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(
        separators,
        [
            ikey(b"the r", MAX_SEQUENCE),
            ikey(b"the who", 4),
            ikey(b"u", MAX_SEQUENCE)
        ]
    );
}

#[test]
fn a_custom_order_rules_the_index() {
    struct Reverse;
    impl CustomComparator for Reverse {
        fn name(&self) -> &'static str {
            "test.Reverse"
        }
        fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
            b.cmp(a)
        }
    }
    let comparator = InternalComparator::new(Comparator::Custom(Arc::new(Reverse)));
    let entries = vec![(ikey(b"long key b", 1), vec![1]), (ikey(b"a", 1), vec![2])];
    let file = build(
        &entries,
        TableOptions {
            block_size: 1,
            comparator: comparator.clone(),
            ..TableOptions::default()
        },
    );
    let index = read_block(&file, read_footer(&file).unwrap().index).unwrap();
    let mut iter = index.iter(comparator);
    iter.seek(&ikey(b"b", 9)).unwrap();
    assert_eq!(iter.key(), ikey(b"a", 1), "nothing was shortened");
}

#[test]
fn blocks_are_compressed_only_if_that_saves_more_than_an_eighth() {
    let mut rng = fastrand::Rng::with_seed(8);
    let noise: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(2000).collect();
    for (value, expected) in [
        (vec![7; 2000], Compression::Snappy),
        (noise, Compression::None),
    ] {
        let file = build(&vec![(ikey(b"k", 1), value)], TableOptions::default());
        let (_, handle) = read_index(&file).unwrap()[0];
        let raw = &file[..handle.len_with_trailer() as usize];
        assert_eq!(check_block(raw, 0).unwrap().0, expected);
    }
}

#[test]
fn the_footer_has_leveldbs_bytes() {
    let footer = Footer {
        metaindex: BlockHandle {
            offset: 1000,
            size: 8,
        },
        index: BlockHandle {
            offset: 1013,
            size: 30,
        },
    };
    let bytes = footer.encode();
    assert_eq!(bytes[..6], [0xe8, 0x07, 8, 0xf5, 0x07, 30]);
    assert_eq!(bytes[6..40], [0; 34]);
    assert_eq!(
        bytes[40..],
        [0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb]
    );
    assert_eq!(Footer::decode(&bytes, 1096).unwrap(), footer);
}

#[test]
fn footer_handles_are_checked_against_the_files_size() {
    let footer = |offset, size| {
        let handle = BlockHandle { offset, size };
        Footer {
            metaindex: handle,
            index: handle,
        }
        .encode()
    };
    assert!(Footer::decode(&footer(0, 47), 100).is_ok());
    assert!(Footer::decode(&footer(0, 48), 100).is_err());
    assert!(Footer::decode(&footer(47, 0), 100).is_ok());
    assert!(Footer::decode(&footer(48, 0), 100).is_err());
    for wide in [1 << 40, u64::MAX - 4, u64::MAX] {
        assert!(Footer::decode(&footer(0, wide), 100).is_err());
        assert!(Footer::decode(&footer(wide, 0), 100).is_err());
        assert!(Footer::decode(&footer(wide, u64::MAX), u64::MAX).is_err());
    }
    assert!(
        Footer::decode(&footer(0, 0), 10).is_err(),
        "a file shorter than its footer"
    );
    let widest = BlockHandle {
        offset: u64::MAX,
        size: u64::MAX,
    };
    let bytes = Footer {
        metaindex: widest,
        index: widest,
    }
    .encode();
    assert_eq!(
        bytes[40..],
        footer(0, 0)[40..],
        "the longest handles fill the padding, no more"
    );
}

#[test]
fn every_changed_byte_of_a_footer_is_refused_or_decodes() {
    let footer = Footer {
        metaindex: BlockHandle {
            offset: 300,
            size: 8,
        },
        index: BlockHandle {
            offset: 313,
            size: 30,
        },
    };
    let bytes = footer.encode();
    for i in 0..FOOTER_LEN {
        for byte in 0..=255u8 {
            let mut changed = bytes;
            changed[i] = byte;
            let decoded = Footer::decode(&changed, 396);
            if i >= 40 {
                assert_eq!(decoded.is_ok(), byte == bytes[i]);
            }
        }
    }
}

#[test]
fn handles_may_have_more_behind_them_and_not_less_in_them() {
    let handle = BlockHandle {
        offset: 300,
        size: 5,
    };
    let mut bytes = Vec::new();
    handle.encode(&mut bytes);
    for cut in 0..bytes.len() {
        assert!(BlockHandle::decode(&bytes[..cut]).is_err());
    }
    bytes.push(9);
    assert_eq!(BlockHandle::decode(&bytes).unwrap(), handle);
    assert_eq!(BlockHandle::split(&bytes), Some((handle, &[9][..])));
}

#[test]
fn any_changed_byte_of_a_table_is_noticed_or_harmless() {
    let entries = vec![
        (ikey(b"a", 2), vec![7; 60]),
        (ikey(b"b", 1), b"two".to_vec()),
        (ikey(b"c", 1), vec![]),
    ];
    for compression in [
        Compression::None,
        Compression::Snappy,
        Compression::Zlib,
        Compression::ZlibRaw,
    ] {
        let file = build(
            &entries,
            TableOptions {
                block_size: 40,
                compression,
                filter: Some(BloomPolicy::new(10)),
                ..TableOptions::default()
            },
        );
        for i in 0..file.len() {
            for flip in [1, 0x80, 0xff] {
                let mut changed = file.clone();
                changed[i] ^= flip;
                if let Ok(found) = read_entries(&changed) {
                    assert_eq!(found, entries, "byte {i}: no wrong data");
                }
                let _ = read_filter(&changed);
            }
            assert!(read_entries(&file[..i]).is_err());
            let _ = read_filter(&file[..i]);
        }
    }
}

/// A block with a right trailer.
fn seal(contents: &[u8], kind: u8) -> Vec<u8> {
    let mut raw = contents.to_vec();
    raw.push(kind);
    let crc = crc::mask(crc::crc32c(&raw));
    raw.extend(crc.to_le_bytes());
    raw
}

/// `zstd` of eight times "hello " less the last space: with its length, and without.
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd\x24\x2f\x65\0\0\x30hello \x01\0\x02\x95\x22\x5a\xb1\x76\x1b";
const ZSTD_NO_LENGTH: &[u8] =
    b"\x28\xb5\x2f\xfd\x04\0\x65\0\0\x30hello \x01\0\x02\x95\x22\x5a\xb1\x76\x1b";

#[test]
fn zstd_blocks_are_read() {
    let text = ["hello"; 8].join(" ");
    assert_eq!(decode_block(&seal(ZSTD, 2), 0).unwrap(), text.as_bytes());
    assert_eq!(decode_block_vec(seal(ZSTD, 2), 0).unwrap(), text.as_bytes());
}

#[test]
fn zstd_blocks_must_state_their_length_and_keep_to_it() {
    assert!(decode_block(&seal(ZSTD_NO_LENGTH, 2), 0).is_err());
    for stated in [0, 0x2e, 0x30, 0xff] {
        let mut wrong = ZSTD.to_vec();
        wrong[5] = stated;
        assert!(decode_block(&seal(&wrong, 2), 0).is_err(), "{stated}");
    }
    // A frame of 8-byte length that claims 2^60 bytes.
    let huge = b"\x28\xb5\x2f\xfd\xe0\0\0\0\0\0\0\0\x10\x65\0\0";
    let error = decode_block(&seal(huge, 2), 0).unwrap_err();
    assert!(error.what.contains("claim"), "{error}");
}

/// Text-like contents: half of the bytes are random letters, half repeat what was before.
fn letters(rng: &mut fastrand::Rng, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len);
    while out.len() < len {
        if out.len() > 8 && rng.bool() {
            let from = rng.usize(0..out.len() - 8);
            out.extend_from_within(from..from + 8);
        } else {
            out.extend(std::iter::repeat_with(|| rng.u8(b'a'..=b'p')).take(8));
        }
    }
    out.truncate(len);
    out
}

#[test]
fn zstd_frames_state_their_length_in_each_width_and_read_back() {
    use super::compression::compress_zstd;
    let mut rng = fastrand::Rng::with_seed(3);
    // Around the widths of the length field, and around the encoder's blocks of 128 KiB.
    for (len, width) in [
        (100, 1),
        (255, 1),
        (256, 2),
        (4096, 2),
        (65_791, 2),
        (65_792, 4),
        (131_071, 4),
        (131_072, 4),
        (131_073, 4),
        (300_000, 4),
    ] {
        for contents in [vec![7; len], letters(&mut rng, len)] {
            let Some(frame) = compress_zstd(&contents) else {
                assert!(len < 256, "{len} bytes were not compressed");
                continue;
            };
            assert_eq!(frame[..4], [0x28, 0xb5, 0x2f, 0xfd]);
            assert_eq!(frame[4] & 0x3b, 0x20, "a single segment, no dictionary");
            let mut field = [0; 4];
            field[..width].copy_from_slice(&frame[5..5 + width]);
            let bias = if width == 2 { 256 } else { 0 };
            assert_eq!(1 << (frame[4] >> 6), width);
            assert_eq!(u32::from_le_bytes(field) + bias, len as u32);
            assert_eq!(decode_block(&seal(&frame, 2), 0).unwrap(), contents);
        }
        let noise: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(len).collect();
        assert_eq!(
            compress_zstd(&noise),
            None,
            "{len} bytes of noise stay plain"
        );
    }
    assert_eq!(compress_zstd(b""), None);
}

#[test]
fn damaged_zstd_block_is_corruption() {
    let mut rng = fastrand::Rng::with_seed(4);
    let entries: Entries = (0..200)
        .map(|i| {
            (
                ikey(format!("key{i:05}").as_bytes(), 1),
                letters(&mut rng, 300),
            )
        })
        .collect();
    let options = TableOptions {
        compression: Compression::Zstd,
        ..TableOptions::default()
    };
    let file = build(&entries, options);
    assert_eq!(read_entries(&file).unwrap(), entries);
    for (_, handle) in read_index(&file).unwrap() {
        let start = handle.offset as usize;
        let raw = &file[start..start + handle.len_with_trailer() as usize];
        let (kind, frame) = check_block(raw, handle.offset).unwrap();
        assert_eq!(kind, Compression::Zstd);
        let contents = decode_block(raw, handle.offset).unwrap();
        for _ in 0..20 {
            let mut wrong = frame.to_vec();
            wrong[rng.usize(0..frame.len())] ^= 1 << rng.u8(0..8);
            match decode_block(&seal(&wrong, 2), handle.offset) {
                Ok(read) => assert!(read == contents, "the frame's checksum holds the contents"),
                Err(error) => assert_eq!(error.offset, Some(handle.offset)),
            }
        }
        let mut wrong = raw.to_vec();
        wrong[frame.len() / 2] ^= 1;
        let error = decode_block(&wrong, handle.offset).unwrap_err();
        assert!(error.what.contains("checksum"), "{error}");
    }
}

/// Python's `zlib.compress(text, 9)` of the text that `ZSTD` holds, and the same without header and checksum.
const ZLIB: &[u8] = b"\x78\xda\xcb\x48\xcd\xc9\xc9\x57\xc8\x20\x96\x04\x00\xa3\x96\x11\x81";
const RAW_DEFLATE: &[u8] = ZLIB.split_at(2).1.split_at(ZLIB.len() - 6).0;

#[test]
fn zlib_and_raw_deflate_blocks_are_read() {
    let text = ["hello"; 8].join(" ");
    let mut scratch = Vec::new();
    for (stored, number, compression) in [
        (ZLIB, 2, Compression::Zlib),
        (RAW_DEFLATE, 4, Compression::ZlibRaw),
    ] {
        let raw = seal(stored, number);
        assert_eq!(check_block(&raw, 0).unwrap(), (compression, stored));
        assert_eq!(decode_block(&raw, 0).unwrap(), text.as_bytes());
        assert_eq!(decode_block_vec(raw.clone(), 0).unwrap(), text.as_bytes());
        let lent = decode_block_in(&raw, 0, &mut scratch).unwrap();
        assert_eq!(lent, text.as_bytes());
    }
}

#[test]
fn block_number_two_is_told_apart_by_its_first_bytes() {
    let of = |stored: &[u8]| Compression::of(2, stored);
    assert_eq!(of(ZSTD), Ok(Compression::Zstd));
    // zlib's header at its levels 0, 6 and 9.
    for header in [b"\x78\x01", b"\x78\x9c", b"\x78\xda"] {
        assert_eq!(of(header), Ok(Compression::Zlib));
    }
    // A wrong check, another method, a preset dictionary, nothing.
    for other in [&b"\x78\x9d"[..], b"\x79\x9b", b"\x78\xbb", b"\x78", b""] {
        let error = of(other).unwrap_err();
        assert_eq!(error.unknown_compression, Some(2), "{other:?}");
    }
}

#[test]
fn deflate_that_ends_early_or_differs_is_corruption() {
    for (stored, number) in [(ZLIB, 2), (RAW_DEFLATE, 4)] {
        for len in 2..stored.len() {
            let error = decode_block(&seal(&stored[..len], number), 9).unwrap_err();
            assert_eq!(error.offset, Some(9));
            assert_eq!(error.unknown_compression, None);
        }
    }
    let mut wrong = ZLIB.to_vec();
    *wrong.last_mut().unwrap() ^= 1;
    let error = decode_block(&seal(&wrong, 2), 0).unwrap_err();
    assert!(error.what.contains("deflate"), "{error}");
    // The reserved kind of block.
    assert!(decode_block(&seal(b"\x07\0\0\0", 4), 0).is_err());
}

#[test]
fn deflate_of_any_density_reads_back() {
    let mut rng = fastrand::Rng::with_seed(9);
    for len in [1, 7, 300, 4096, 5 << 20] {
        for contents in [vec![7; len], letters(&mut rng, len)] {
            for zlib_header in [false, true] {
                let mut deflater = deflate::Deflater::new(zlib_header);
                // Twice, because an encoder is used again.
                for _ in 0..2 {
                    let Some(stream) = deflater.compress(&contents) else {
                        assert!(len < 300, "{len} bytes were not compressed");
                        continue;
                    };
                    let raw = seal(stream, if zlib_header { 2 } else { 4 });
                    assert!(decode_block(&raw, 0).unwrap() == contents, "{len} bytes");
                }
            }
        }
    }
}

#[test]
fn deflate_beyond_the_longest_contents_is_refused() {
    let mut deflater = deflate::Deflater::new(false);
    let longest = vec![0; 100 << 20];
    let raw = seal(deflater.compress(&longest).unwrap(), 4);
    assert_eq!(decode_block(&raw, 0).unwrap().len(), longest.len());
    let more = [&longest[..], b"x"].concat();
    assert!(deflater.compress(&more).is_none(), "nor is it written");
    let mut encoder = flate2::Compress::new(flate2::Compression::default(), false);
    let mut bomb = Vec::with_capacity(1 << 20);
    encoder
        .compress_vec(&more, &mut bomb, flate2::FlushCompress::Finish)
        .unwrap();
    let error = decode_block(&seal(&bomb, 4), 0).unwrap_err();
    assert!(error.what.contains("too long"), "{error}");
}

#[test]
fn absurd_snappy_length_is_refused_before_allocating() {
    // States 4 GiB - 1 and holds one literal.
    let error = decode_block(&seal(b"\xff\xff\xff\xff\x0f\x00a", 1), 77).unwrap_err();
    assert!(error.what.contains("claim"), "{error}");
    assert_eq!(error.offset, Some(77));
    let long = vec![0; 1 << 20];
    let compressed = snap::raw::Encoder::new().compress_vec(&long).unwrap();
    assert_eq!(
        decode_block(&seal(&compressed, 1), 0).unwrap(),
        long,
        "the densest input passes"
    );
}

#[test]
fn wrong_compressed_bytes_behind_a_right_checksum_never_panic() {
    let snappy = snap::raw::Encoder::new()
        .compress_vec(&[b"abcabc", &[7; 90][..]].concat())
        .unwrap();
    for (good, kind) in [(ZSTD, 2), (&snappy[..], 1), (ZLIB, 2), (RAW_DEFLATE, 4)] {
        for i in 0..good.len() {
            let _ = decode_block(&seal(&good[..i], kind), 0);
            for byte in 0..=255 {
                let mut wrong = good.to_vec();
                wrong[i] = byte;
                let _ = decode_block(&seal(&wrong, kind), 0);
            }
        }
    }
}

#[test]
fn bad_blocks_are_told_with_their_offset() {
    for len in 0..BLOCK_TRAILER_LEN {
        assert_eq!(decode_block(&vec![0; len], 5).unwrap_err().offset, Some(5));
    }
    assert_eq!(decode_block(&seal(b"", 0), 0).unwrap(), b"");
    for kind in [2, 3, 5, 255] {
        let error = decode_block(&seal(b"x", kind), 5).unwrap_err();
        assert_eq!(error, Corruption::unknown_compression(kind).at(5));
    }
    let raw = seal(b"some contents", 0);
    for i in 0..raw.len() {
        let mut wrong = raw.clone();
        wrong[i] ^= 0x10;
        assert!(decode_block(&wrong, 0).is_err());
    }
}
