//! CRC-32C (Castagnoli), and the masking LevelDB stores it with.
//!
//! A checksum that lies inside data which is itself checksummed is masked, so that it does not cancel out
//! (`util/crc32c.h`): rotate right by 15 bits and add a constant.

const MASK_DELTA: u32 = 0xa282_ead8;

/// The stored form of `crc`.
#[inline]
pub const fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(MASK_DELTA)
}

/// The checksum whose stored form is `masked`.
#[inline]
pub const fn unmask(masked: u32) -> u32 {
    masked.wrapping_sub(MASK_DELTA).rotate_left(15)
}

/// The checksum of `data`.
///
/// ```
/// use level_party_format::crc;
///
/// assert_eq!(crc::crc32c(b"123456789"), 0xe306_9283);
/// ```
#[inline]
pub fn crc32c(data: &[u8]) -> u32 {
    ::crc32c::crc32c(data)
}

/// The checksum of some bytes with checksum `crc`, followed by `data`.
#[inline]
pub fn extend(crc: u32, data: &[u8]) -> u32 {
    ::crc32c::crc32c_append(crc, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_3720_hold() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        let up: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&up), 0x46dd_794e);
        let down: Vec<u8> = (0..32).rev().collect();
        assert_eq!(crc32c(&down), 0x113f_db5c);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn extending_equals_one_pass() {
        assert_eq!(extend(crc32c(b"hello "), b"world"), crc32c(b"hello world"));
        assert_eq!(extend(crc32c(b"hello"), b""), crc32c(b"hello"));
    }

    #[test]
    fn masking_is_a_rotation_and_a_sum_that_unmask_reverts() {
        assert_eq!(mask(0), 0xa282_ead8);
        assert_eq!(mask(1), 0xa282_ead8 + (1 << 17));
        let crc = crc32c(b"foo");
        assert_ne!(mask(crc), crc);
        assert_ne!(mask(mask(crc)), crc);
        assert_eq!(unmask(mask(crc)), crc);
        assert_eq!(unmask(unmask(mask(mask(crc)))), crc);
        for crc in [0, 1, u32::MAX, 0x8000_0000, 0x7fff] {
            assert_eq!(unmask(mask(crc)), crc);
        }
    }
}
