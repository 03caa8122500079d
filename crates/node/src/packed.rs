//! What JavaScript packs into the scratch buffer; `npm/level-party/lib/packed.js` writes it. Numbers are little-endian.
//!
//! | what | bytes |
//! |---|---|
//! | a key | itself |
//! | an entry | the key, the value |
//! | keys | for each: length (4), key |
//! | operations | for each: 1 for a put, 0 for a delete (1), length of the key (4), of the value (4), key, value |
//! | bounds | kind of the lower (1): 0 none, 1 included, 2 excluded; its length (4); itself; the same of the upper |

use std::ops::Bound;

use level_party::WriteBatch;

use crate::fault::Fault;

/// Reads what was packed.
pub struct Packed<'a> {
    left: &'a [u8],
}

type Result<T> = std::result::Result<T, Fault>;

impl<'a> Packed<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Packed { left: bytes }
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let (bytes, left) = self.left.split_at_checked(count).ok_or(SHORT)?;
        self.left = left;
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    fn length(&mut self) -> Result<usize> {
        let bytes = self.bytes(4)?.try_into().map_err(|_| SHORT)?;
        Ok(u32::from_le_bytes(bytes) as usize)
    }

    /// A key with its length before it.
    fn key(&mut self) -> Result<&'a [u8]> {
        let length = self.length()?;
        self.bytes(length)
    }

    /// All keys that are left.
    pub fn keys(mut self) -> Result<Vec<&'a [u8]>> {
        let mut keys = Vec::new();
        while !self.left.is_empty() {
            keys.push(self.key()?);
        }
        Ok(keys)
    }

    /// Adds all operations that are left to `batch`.
    pub fn operations(mut self, batch: &mut WriteBatch) -> Result<()> {
        while !self.left.is_empty() {
            let is_put = self.byte()? == 1;
            let (key, value) = (self.length()?, self.length()?);
            let (key, value) = (self.bytes(key)?, self.bytes(value)?);
            match is_put {
                true => batch.put(key, value),
                false => batch.delete(key),
            };
        }
        Ok(())
    }

    fn bound(&mut self) -> Result<Bound<Vec<u8>>> {
        let kind = self.byte()?;
        let key = self.key()?.to_vec();
        match kind {
            0 => Ok(Bound::Unbounded),
            1 => Ok(Bound::Included(key)),
            2 => Ok(Bound::Excluded(key)),
            _ => Err(SHORT),
        }
    }

    pub fn bounds(&mut self) -> Result<Bounds> {
        Ok((self.bound()?, self.bound()?))
    }
}

/// A range of keys.
pub type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

const SHORT: Fault = Fault::Misuse("what was packed is not whole");

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(of: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for key in of {
            bytes.extend((key.len() as u32).to_le_bytes());
            bytes.extend(*key);
        }
        bytes
    }

    #[test]
    fn keys_are_read_in_order_and_may_be_empty() {
        let bytes = keys(&[b"a", b"", b"bc"]);
        let read = Packed::new(&bytes).keys().ok().unwrap();
        assert_eq!(read, [&b"a"[..], b"", b"bc"]);
    }

    #[test]
    fn anything_cut_off_is_refused() {
        let bytes = keys(&[b"abc"]);
        for length in 1..bytes.len() {
            assert!(Packed::new(&bytes[..length]).keys().is_err());
            assert!(Packed::new(&bytes[..length]).bounds().is_err());
        }
    }
}
