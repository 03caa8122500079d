//! Variable-length integers and length-prefixed strings (LevelDB's `util/coding.h`).
//!
//! Seven bits a byte, low bits first, the high bit says that more follow. A non-minimal encoding (`80 00`) is legal, as
//! in LevelDB. One that overflows its type is refused, where LevelDB drops the excess bits: no writer makes one.

/// The longest encoding of a `u32`, in bytes.
pub const MAX_LEN_U32: usize = 5;
/// The longest encoding of a `u64`, in bytes.
pub const MAX_LEN_U64: usize = 10;

/// Appends `value` to `out`.
#[inline]
pub fn put_u32(out: &mut Vec<u8>, value: u32) {
    put_u64(out, u64::from(value));
}

/// Appends `value` to `out`.
#[inline]
pub fn put_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// How many bytes the encoding of `value` takes.
#[inline]
pub const fn len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// The integer at the start of `input` and what follows it; `None` if it is cut short or overflows.
#[inline]
pub fn get_u32(input: &[u8]) -> Option<(u32, &[u8])> {
    if let Some((&byte, rest)) = input.split_first()
        && byte < 0x80
    {
        return Some((u32::from(byte), rest));
    }
    let (value, rest) = get_long(input, MAX_LEN_U32)?;
    Some((u32::try_from(value).ok()?, rest))
}

/// The integer at the start of `input` and what follows it; `None` if it is cut short or overflows.
///
/// ```
/// use level_party_format::varint;
///
/// let mut out = Vec::new();
/// varint::put_u64(&mut out, 300);
/// assert_eq!(out, [0xac, 0x02]);
/// assert_eq!(varint::get_u64(&out), Some((300, &[][..])));
/// assert_eq!(varint::get_u64(&out[..1]), None);
/// ```
#[inline]
pub fn get_u64(input: &[u8]) -> Option<(u64, &[u8])> {
    if let Some((&byte, rest)) = input.split_first()
        && byte < 0x80
    {
        return Some((u64::from(byte), rest));
    }
    get_long(input, MAX_LEN_U64)
}

fn get_long(input: &[u8], max_len: usize) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (i, &byte) in input.iter().take(max_len).enumerate() {
        let bits = u64::from(byte & 0x7f);
        let shift = 7 * i as u32;
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte < 0x80 {
            return Some((value, &input[i + 1..]));
        }
    }
    None
}

/// Appends the length of `bytes` as a varint, then `bytes`.
///
/// # Panics
/// If `bytes` is longer than `u32::MAX`: the format has no way to say so.
#[inline]
pub fn put_length_prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("a length-prefixed string is at most 4 GiB - 1");
    put_u32(out, length);
    out.extend_from_slice(bytes);
}

/// The string at the start of `input` and what follows it; `None` if it is cut short.
#[inline]
pub fn get_length_prefixed(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = get_u32(input)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_edge_round_trips_and_has_the_stated_length() {
        let mut values = vec![0, u64::MAX, u64::from(u32::MAX), u64::from(u32::MAX) + 1];
        for bit in 0..64 {
            values.extend([(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        }
        for value in values {
            let mut out = Vec::new();
            put_u64(&mut out, value);
            assert_eq!(out.len(), len(value), "{value}");
            assert_eq!(get_u64(&out), Some((value, &[][..])));
            let as_u32 = u32::try_from(value).ok();
            assert_eq!(get_u32(&out).map(|(v, _)| v), as_u32);
            for cut in 0..out.len() {
                assert_eq!(get_u64(&out[..cut]), None);
                assert_eq!(get_u32(&out[..cut]), None);
            }
        }
    }

    #[test]
    fn known_bytes() {
        let mut out = Vec::new();
        put_u32(&mut out, 1);
        put_u32(&mut out, 127);
        put_u32(&mut out, 128);
        put_u32(&mut out, u32::MAX);
        assert_eq!(out, [1, 0x7f, 0x80, 1, 0xff, 0xff, 0xff, 0xff, 0x0f]);
    }

    #[test]
    fn a_non_minimal_encoding_is_legal_and_an_overflow_is_not() {
        assert_eq!(get_u32(&[0x80, 0x00, 9]), Some((0, &[9][..])));
        assert_eq!(get_u32(&[0xff, 0xff, 0xff, 0xff, 0x1f]), None);
        assert_eq!(get_u32(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]), None);
        let mut max = [0xff; 10];
        max[9] = 1;
        assert_eq!(get_u64(&max), Some((u64::MAX, &[][..])));
        max[9] = 2;
        assert_eq!(get_u64(&max), None);
        max[9] = 0x81;
        assert_eq!(get_u64(&max), None);
    }

    #[test]
    fn length_prefixed_strings_round_trip_and_truncation_is_seen() {
        let mut out = Vec::new();
        put_length_prefixed(&mut out, b"");
        put_length_prefixed(&mut out, b"abc");
        put_length_prefixed(&mut out, &[7; 200]);
        let (empty, rest) = get_length_prefixed(&out).unwrap();
        let (abc, rest) = get_length_prefixed(rest).unwrap();
        let (long, rest) = get_length_prefixed(rest).unwrap();
        assert_eq!((empty, abc, long), (&b""[..], &b"abc"[..], &[7u8; 200][..]));
        assert!(rest.is_empty());
        let tail = &out[5..];
        for cut in 0..tail.len() {
            assert_eq!(get_length_prefixed(&tail[..cut]), None);
        }
    }
}
