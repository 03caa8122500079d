//! The one error of this crate: some bytes are not what their format says they must be.

use std::fmt;

/// Bytes that break their format's rules: what is wrong, and where if that is known.
///
/// ```
/// use level_party_format::Corruption;
///
/// let error = Corruption::new("bad block type").at(4096);
/// assert_eq!(error.to_string(), "bad block type (at byte 4096)");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corruption {
    /// What is wrong, as a phrase without a full stop.
    pub what: String,
    /// Byte offset of the trouble: in the file, or in the block or record when the decoder saw only that.
    pub offset: Option<u64>,
    /// Not damage: the block's checksum is right, and it is compressed by this number, which this crate can't read.
    pub unknown_compression: Option<u8>,
}

impl Corruption {
    /// A corruption at a place not yet known.
    #[cold]
    pub fn new(what: impl Into<String>) -> Self {
        Corruption {
            what: what.into(),
            offset: None,
            unknown_compression: None,
        }
    }

    /// A sound block that is compressed in a way this crate does not know. A repair must not drop it.
    #[cold]
    pub fn unknown_compression(number: u8) -> Self {
        Corruption {
            unknown_compression: Some(number),
            ..Corruption::new(format!("unknown block compression {number}"))
        }
    }

    /// The same corruption, placed at byte `offset`. A caller that knows the file's offset overrides an inner one.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset {
            Some(offset) => write!(f, "{} (at byte {offset})", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl std::error::Error for Corruption {}
