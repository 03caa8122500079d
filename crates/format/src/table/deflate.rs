//! zlib and raw deflate: blocks of Minecraft Bedrock's LevelDB (`db/zlib_compressor.cc` of Mojang/leveldb-mcpe: numbers 2
//! and 4, windows 15 and -15).
//!
//! A deflate stream claims no length, so memory grows only with what has really come out. `flate2` gives the same
//! `BufError` for a stream that ends too early and for an output that is too small; how much was written tells them apart.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::Corruption;

/// Deflate's densest symbols make 258 bytes of 2 bits, so no input grows by more than this factor.
const DEFLATE_MAX_RATIO: usize = 1032;
/// The longest contents of a deflated block that are read or written, as for zstd.
const DEFLATE_MAX_LEN: usize = 100 * 1024 * 1024;
/// The first guess of how much longer contents are than what is stored, and by how much a wrong guess grows.
const GUESSED_RATIO: usize = 4;

/// Whether the bytes begin as a zlib stream without a preset dictionary (RFC 1950, section 2.2).
pub(super) fn has_zlib_header(stored: &[u8]) -> bool {
    const DEFLATE: u8 = 8;
    const PRESET_DICTIONARY: u8 = 0x20;
    match *stored {
        [method, flags, ..] => {
            method & 0x0f == DEFLATE
                && method >> 4 <= 7
                && flags & PRESET_DICTIONARY == 0
                && u16::from_be_bytes([method, flags]).is_multiple_of(31)
        }
        _ => false,
    }
}

/// Decompresses into the beginning of `out`, which becomes longer if it must, and never shorter. Bytes behind the end of
/// the stream are ignored, as Mojang's reader does.
pub(super) fn decompress_in<'a>(
    stored: &[u8],
    zlib_header: bool,
    out: &'a mut Vec<u8>,
) -> Result<&'a [u8], Corruption> {
    let limit = DEFLATE_MAX_LEN.min(stored.len().saturating_mul(DEFLATE_MAX_RATIO));
    let mut room = stored.len().saturating_mul(GUESSED_RATIO).max(out.len());
    let mut decoder = Decompress::new(zlib_header);
    loop {
        room = room.min(limit);
        if out.len() < room {
            out.resize(room, 0);
        }
        let status = decoder
            .decompress(stored, &mut out[..room], FlushDecompress::Finish)
            .map_err(|error| bad(&error))?;
        let written = decoder.total_out() as usize;
        match status {
            Status::StreamEnd => return Ok(&out[..written]),
            _ if written < room => return Err(bad(&"it ends too early")),
            _ if room == limit => return Err(bad(&"its contents are too long")),
            // A stream that was begun with `Finish` can't go on: from the beginning, into more room.
            _ => room = room.saturating_mul(GUESSED_RATIO),
        }
        decoder.reset(zlib_header);
    }
}

#[cold]
fn bad(what: &dyn std::fmt::Display) -> Corruption {
    Corruption::new(format!("corrupted deflate block: {what}"))
}

/// Makes zlib or raw deflate streams, one after the other.
pub(super) struct Deflater {
    encoder: Compress,
    out: Vec<u8>,
}

impl Deflater {
    pub(super) fn new(zlib_header: bool) -> Self {
        Deflater {
            // Mojang's default level, -1, is zlib's own default too.
            encoder: Compress::new(Compression::default(), zlib_header),
            out: Vec::new(),
        }
    }

    /// `contents` as a stream, if that saves more than an eighth.
    pub(super) fn compress(&mut self, contents: &[u8]) -> Option<&[u8]> {
        if contents.len() > DEFLATE_MAX_LEN {
            return None;
        }
        let limit = contents.len() - contents.len() / 8;
        if self.out.len() < limit {
            self.out.resize(limit, 0);
        }
        self.encoder.reset();
        let done = self
            .encoder
            .compress(contents, &mut self.out[..limit], FlushCompress::Finish);
        // Anything but the end: there is no room for it in what must be saved.
        let ended = matches!(done, Ok(Status::StreamEnd));
        let len = self.encoder.total_out() as usize;
        (ended && len < limit).then(|| &self.out[..len])
    }
}
