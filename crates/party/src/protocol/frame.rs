//! The preamble, and frames: `length: u32 little-endian`, then that many bytes of one message.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use super::VERSION;
use crate::error::{Error, ErrorKind, Result};

/// Length of a preamble.
pub(crate) const PREAMBLE_BYTES: usize = 16;
const MAGIC: [u8; 8] = *b"lvlparty";
const LENGTH_BYTES: usize = 4;
/// A read asks for this much at least, once a read has filled the buffer; and a buffer grows by no more at a time than it
/// has, or this, whatever length a frame claims.
const READ_BYTES: usize = 64 << 10;
/// What the first reads ask for: a connection that carries one small call at a time keeps no more than this.
const FIRST_READ_BYTES: usize = 4 << 10;
/// An empty buffer larger than this is given back.
const KEPT_BYTES: usize = 1 << 20;

/// The first bytes each side sends: which versions it speaks. Fixed for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Preamble {
    pub oldest: u16,
    pub newest: u16,
}

impl Preamble {
    pub fn ours() -> Self {
        Preamble {
            oldest: VERSION,
            newest: VERSION,
        }
    }

    /// `magic (8) | oldest version u16 | newest version u16 | reserved, zero (4)`.
    pub fn encode(self) -> [u8; PREAMBLE_BYTES] {
        let mut bytes = [0; PREAMBLE_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&self.oldest.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.newest.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8; PREAMBLE_BYTES]) -> Result<Self> {
        if bytes[..8] != MAGIC {
            return Err(Error::protocol(
                "the endpoint is served by something that is not level-party",
            ));
        }
        let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        Ok(Preamble {
            oldest: word(8),
            newest: word(10),
        })
    }

    /// Whether both sides can speak [`VERSION`].
    pub fn check(self) -> Result<()> {
        if (self.oldest..=self.newest).contains(&VERSION) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::IncompatibleVersion,
            format!(
                "the other process speaks protocol versions {} to {}, this one {VERSION}; use the same release of \
                 level-party in both",
                self.oldest, self.newest
            ),
        ))
    }
}

/// Appends `message` as a frame to `out`.
pub(crate) fn encode_frame(message: &impl Serialize, out: &mut Vec<u8>) {
    let start = out.len();
    let mut bytes = std::mem::take(out);
    bytes.extend_from_slice(&[0; LENGTH_BYTES]);
    *out = postcard::to_extend(message, bytes)
        .expect("messages have known lengths and a vector takes any number of bytes");
    let length = (out.len() - start - LENGTH_BYTES) as u32;
    out[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
}

/// Bytes that came in and were not taken as frames yet.
pub(crate) struct FrameBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// What a read asks for at least.
    read_bytes: usize,
    largest_frame: usize,
}

impl FrameBuffer {
    /// Frames longer than `largest_frame` break the connection.
    pub fn new(largest_frame: usize) -> Self {
        FrameBuffer {
            bytes: Vec::new(),
            start: 0,
            end: 0,
            read_bytes: FIRST_READ_BYTES,
            largest_frame,
        }
    }

    /// Reads once, and says how many bytes came (0: the peer has gone).
    pub fn fill(&mut self, mut from: impl Read) -> io::Result<usize> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            if self.bytes.len() > KEPT_BYTES {
                self.bytes = Vec::new();
            }
        } else if self.start > 0 && self.bytes.len() - self.end < self.read_bytes {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.bytes.len() - self.end < self.read_bytes {
            self.bytes
                .resize(self.end + self.read_bytes.max(self.end), 0);
        }
        let count = loop {
            match from.read(&mut self.bytes[self.end..]) {
                // A signal, or a machine that was frozen for a while, is no reason to end a connection.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.end += count;
        if self.end == self.bytes.len() {
            self.read_bytes = READ_BYTES;
        }
        Ok(count)
    }

    /// The next whole frame's message bytes, or `None` until more has come.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>> {
        let available = &self.bytes[self.start..self.end];
        let Some(length) = available.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length > self.largest_frame {
            return Err(Error::protocol(format!(
                "a frame of {length} bytes is over the limit of {}",
                self.largest_frame
            )));
        }
        if available.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        let from = self.start + LENGTH_BYTES;
        self.start = from + length;
        Ok(Some(&self.bytes[from..from + length]))
    }
}

/// Decodes one message; bytes left over are an error.
pub(crate) fn decode<'a, T: Deserialize<'a>>(frame: &'a [u8]) -> Result<T> {
    match postcard::take_from_bytes(frame) {
        Ok((message, [])) => Ok(message),
        Ok(_) => Err(Error::protocol("a message is longer than its content")),
        Err(error) => Err(Error::protocol(format!(
            "a message cannot be decoded: {error}"
        ))),
    }
}
