//! The deflate format (RFC 1951) as an encoder of its own, so that no test reads with the library it wrote with.
//!
//! One block with the fixed Huffman codes, and matches of the byte before: enough for a decoder to meet literals,
//! lengths and distances.

/// Ends a block.
const END_OF_BLOCK: u16 = 256;
/// The shortest and the longest match.
const MATCHES: std::ops::RangeInclusive<usize> = 3..=10;

/// Bits, packed from the lowest on.
#[derive(Default)]
struct Bits {
    out: Vec<u8>,
    free: u32,
}

impl Bits {
    fn push(&mut self, bit: bool) {
        if self.free == 0 {
            self.out.push(0);
            self.free = 8;
        }
        let last = self.out.last_mut().expect("a byte was pushed");
        *last |= u8::from(bit) << (8 - self.free);
        self.free -= 1;
    }

    /// A number, lowest bit first.
    fn number(&mut self, value: u16, bits: u32) {
        (0..bits).for_each(|bit| self.push(value >> bit & 1 == 1));
    }

    /// A Huffman code, highest bit first.
    fn code(&mut self, code: u16, bits: u32) {
        (0..bits)
            .rev()
            .for_each(|bit| self.push(code >> bit & 1 == 1));
    }

    /// A literal or a length, by the fixed codes (RFC 1951, section 3.2.6).
    fn symbol(&mut self, symbol: u16) {
        match symbol {
            0..144 => self.code(0x30 + symbol, 8),
            144..256 => self.code(0x190 + symbol - 144, 9),
            256..280 => self.code(symbol - 256, 7),
            _ => self.code(0xc0 + symbol - 280, 8),
        }
    }
}

/// `data` as raw deflate.
pub fn deflate(data: &[u8]) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.push(true); // the last block
    bits.number(1, 2); // fixed codes
    let mut at = 0;
    while at < data.len() {
        let before = at.checked_sub(1).map(|before| data[before]);
        let repeats = data[at..].iter().take(*MATCHES.end());
        let run = repeats.take_while(|byte| Some(**byte) == before).count();
        if MATCHES.contains(&run) {
            bits.symbol(257 + (run - MATCHES.start()) as u16);
            bits.code(0, 5); // distance 1
            at += run;
        } else {
            bits.symbol(data[at].into());
            at += 1;
        }
    }
    bits.symbol(END_OF_BLOCK);
    bits.out
}

/// `data` as a zlib stream (RFC 1950).
pub fn zlib(data: &[u8]) -> Vec<u8> {
    let sums = data.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    let mut out = vec![0x78, 0x9c];
    out.extend(deflate(data));
    out.extend((sums.1 << 16 | sums.0).to_be_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::{deflate, zlib};

    /// What zlib itself makes of the same bytes with its fixed codes (`zlib.compressobj(strategy=Z_FIXED)`).
    #[test]
    fn bytes_are_those_of_zlib() {
        assert_eq!(deflate(b""), [0x03, 0x00]);
        assert_eq!(deflate(b"abc"), [0x4b, 0x4c, 0x4a, 0x06, 0x00]);
        let stream = zlib(b"abc");
        assert_eq!(stream[..2], [0x78, 0x9c]);
        assert_eq!(stream[7..], [0x02, 0x4d, 0x01, 0x27]);
    }
}
