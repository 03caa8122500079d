//! Bytes to records.
//!
//! Gives the records that LevelDB's reader gives, and says more about the rest. It differs in three places, where LevelDB
//! loses records without a word: zeroes in the middle of a log, and a length no block could hold, are [`LogItem::Bad`]
//! here; and a fragment of type 5 is one of unknown type, where LevelDB takes it for its own mark of the file's end.
//! In a fourth it gives records that LevelDB's reader drops: a fragment with a bad checksum costs itself alone where a
//! sound one follows at the length it states, not the rest of its block.
//!
//! A writer may write zeroes ahead of its records, up to the end of a block, to append within the file's length: such a file
//! ends with its last record, and a record whose own end is such zeroes was cut off.

use std::borrow::Cow;

use super::{BLOCK_LEN, FIRST, FULL, HEADER_LEN, LAST, MIDDLE, ZERO};
use crate::crc;

/// What the reader found next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogItem<'a> {
    /// A whole record.
    Record {
        /// The record's bytes; copied only if it was in several fragments.
        payload: Cow<'a, [u8]>,
        /// Where its first fragment's header starts in the file.
        offset: u64,
        /// Where its last fragment ends in the file.
        end: u64,
    },
    /// The file ends inside this record: a short header or fragment, a chain of fragments without its LAST, or zeroes
    /// up to the end of the file, other than those that a writer wrote ahead. Always the last item.
    Torn {
        /// Where the record starts in the file.
        offset: u64,
        /// How many bytes there are from `offset` to the end of the file.
        bytes: u64,
    },
    /// Something whole but wrong was passed over: a bad checksum (the rest of its block goes with it, unless a sound
    /// fragment follows where the stated length ends), an unknown type, a fragment out of place, an impossible length,
    /// zeroes before further data. More items may follow.
    Bad {
        /// Where the dropped bytes start in the file.
        offset: u64,
        /// How many bytes were dropped.
        bytes: u64,
        /// What was wrong.
        what: String,
    },
}

/// Reads the records of a log held in memory, as an iterator of [`LogItem`].
///
/// ```
/// use level_party_format::log::{LogItem, LogReader, LogWriter};
///
/// let mut file = Vec::new();
/// let mut writer = LogWriter::new();
/// writer.add_record(b"one", &mut file);
/// writer.add_record(b"two", &mut file);
/// file.pop(); // the writer died
///
/// let mut reader = LogReader::new(&file);
/// assert!(matches!(reader.next(), Some(LogItem::Record { offset: 0, end: 10, .. })));
/// assert_eq!(reader.next(), Some(LogItem::Torn { offset: 10, bytes: 9 }));
/// assert_eq!(reader.next(), None);
/// ```
#[derive(Debug, Clone)]
pub struct LogReader<'a> {
    bytes: &'a [u8],
    /// Where `bytes` begin in the file.
    start: u64,
    /// How far `bytes` were read.
    position: usize,
    chain: Option<Chain>,
    /// Where the zeroes begin with which `bytes` end, once it was looked for.
    last_zeroes: Option<usize>,
}

/// A record of which FIRST was seen, but not yet LAST.
#[derive(Debug, Clone)]
struct Chain {
    /// Where it begins in the reader's bytes.
    offset: usize,
    payload: Vec<u8>,
}

/// One step over the physical bytes.
enum Fragment<'a> {
    /// A checked fragment of some type; ends at `end`.
    Whole {
        kind: u8,
        data: &'a [u8],
        end: usize,
    },
    /// The file ends here.
    End,
    /// The file ends inside a header, a fragment or zeroes.
    Torn,
    /// Drop everything up to `end`.
    Bad { end: usize, what: &'static str },
}

impl<'a> LogReader<'a> {
    /// A reader of the whole file's contents.
    pub fn new(file: &'a [u8]) -> Self {
        LogReader::new_at(0, file)
    }

    /// A reader of a part of the file that begins at the offset `start`, which is 0 or where a record
    /// [ends](LogItem::Record::end). All offsets that it gives are the file's. The end of `bytes` counts as the file's.
    ///
    /// ```
    /// use level_party_format::log::{LogItem, LogReader, LogWriter};
    ///
    /// let mut file = Vec::new();
    /// let mut writer = LogWriter::new();
    /// writer.add_record(b"one", &mut file);
    /// let read = file.len();
    /// writer.add_record(b"two", &mut file);
    ///
    /// let mut reader = LogReader::new_at(read as u64, &file[read..]);
    /// let two = LogItem::Record { payload: b"two".into(), offset: 10, end: 20 };
    /// assert_eq!(reader.next(), Some(two));
    /// ```
    pub fn new_at(start: u64, bytes: &'a [u8]) -> Self {
        LogReader {
            bytes,
            start,
            position: 0,
            chain: None,
            last_zeroes: None,
        }
    }

    /// How far the file was read, in bytes.
    pub fn position(&self) -> u64 {
        self.in_file(self.position)
    }

    /// The offset in the file of a place in `bytes`.
    fn in_file(&self, at: usize) -> u64 {
        self.start + at as u64
    }

    /// The bytes of the first block that come before `bytes`.
    fn skipped(&self) -> usize {
        (self.start % BLOCK_LEN as u64) as usize
    }

    /// Where the block begins that `at` is in, but not before `bytes` do.
    fn block_start(&self, at: usize) -> usize {
        let skipped = self.skipped();
        ((at + skipped) / BLOCK_LEN * BLOCK_LEN).saturating_sub(skipped)
    }

    /// Where it ends.
    fn block_end(&self, at: usize) -> usize {
        let skipped = self.skipped();
        ((at + skipped) / BLOCK_LEN + 1) * BLOCK_LEN - skipped
    }

    /// Looks at the fragment at the current position, first stepping over a block's trailer.
    fn fragment(&mut self) -> Fragment<'a> {
        let block_end = self.block_end(self.position);
        if block_end - self.position < HEADER_LEN {
            self.position = block_end.min(self.bytes.len());
            return if self.position == self.bytes.len() {
                Fragment::End
            } else {
                self.fragment()
            };
        }
        let rest = &self.bytes[self.position..];
        if rest.is_empty() {
            return Fragment::End;
        }
        let Some((header, body)) = rest.split_first_chunk::<HEADER_LEN>() else {
            return Fragment::Torn;
        };
        let [c0, c1, c2, c3, l0, l1, kind] = *header;
        let length = usize::from(u16::from_le_bytes([l0, l1]));
        let end = self.position + HEADER_LEN + length;
        if end > block_end {
            return Fragment::Bad {
                end: block_end.min(self.bytes.len()),
                what: "a length that no block can hold",
            };
        }
        if kind == ZERO && length == 0 {
            return self.zeroes(block_end);
        }
        let Some(data) = body.get(..length) else {
            return Fragment::Torn;
        };
        if !is_sound(kind, data, [c0, c1, c2, c3]) {
            // Zeroes written ahead may have come in part, too.
            if end < self.bytes.len() && self.last_zeroes() < end {
                return Fragment::Torn;
            }
            return Fragment::Bad {
                end: self.next_sound(end, block_end),
                what: "checksum mismatch",
            };
        }
        Fragment::Whole { kind, data, end }
    }

    /// Where the first sound fragment starts that stated lengths lead to from `at` on; where none does, the block's end.
    /// A length that is damaged itself leads anywhere, so nothing counts there but a checksum.
    fn next_sound(&self, mut at: usize, block_end: usize) -> usize {
        while let Some((header, body)) = self
            .bytes
            .get(at..block_end.min(self.bytes.len()))
            .and_then(|rest| rest.split_first_chunk::<HEADER_LEN>())
        {
            let [c0, c1, c2, c3, l0, l1, kind] = *header;
            let length = usize::from(u16::from_le_bytes([l0, l1]));
            let Some(data) = body.get(..length) else {
                break;
            };
            if matches!(kind, FULL | FIRST | MIDDLE | LAST)
                && is_sound(kind, data, [c0, c1, c2, c3])
            {
                return at;
            }
            at += HEADER_LEN + length;
        }
        block_end.min(self.bytes.len())
    }

    /// Zeroes up to the file's end were allocated and never written. Elsewhere LevelDB skips the rest of the block
    /// without a word; so do we, but say it: what was there may have been acknowledged.
    fn zeroes(&mut self, block_end: usize) -> Fragment<'a> {
        let last_zeroes = self.last_zeroes();
        if last_zeroes < self.position + HEADER_LEN {
            let ends_here = last_zeroes <= self.position && self.position > 0;
            return match ends_here && self.was_written_ahead() {
                true => Fragment::End,
                false => Fragment::Torn,
            };
        }
        // Whole blocks of zeroes go in one step: each would be found empty again.
        let rest = &self.bytes[self.position..];
        let zeroes = rest.iter().position(|&byte| byte != 0).unwrap_or(0);
        let data_block = self.block_start(self.position + zeroes);
        Fragment::Bad {
            end: block_end.max(data_block).min(self.bytes.len()),
            what: "an empty header before further data",
        }
    }

    /// Whether zeroes at the end of the file may be those of a writer that wrote ahead, up to the end of a block.
    fn was_written_ahead(&self) -> bool {
        self.in_file(self.bytes.len())
            .is_multiple_of(BLOCK_LEN as u64)
    }

    /// Where the zeroes begin with which the bytes end.
    fn last_zeroes(&mut self) -> usize {
        *self.last_zeroes.get_or_insert_with(|| {
            let last = self.bytes.iter().rposition(|&byte| byte != 0);
            last.map_or(0, |last| last + 1)
        })
    }

    /// Drops the unfinished record, if any, and everything up to `end`.
    fn drop_to(&mut self, end: usize, what: impl Into<String>) -> LogItem<'a> {
        let start = self
            .chain
            .take()
            .map_or(self.position, |chain| chain.offset);
        self.position = end;
        LogItem::Bad {
            offset: self.in_file(start),
            bytes: (end - start) as u64,
            what: what.into(),
        }
    }

    /// Ends the log where the unfinished record, or the current position, starts.
    fn torn(&mut self) -> LogItem<'a> {
        let start = self
            .chain
            .take()
            .map_or(self.position, |chain| chain.offset);
        self.position = self.bytes.len();
        LogItem::Torn {
            offset: self.in_file(start),
            bytes: (self.bytes.len() - start) as u64,
        }
    }

    fn record(&mut self, payload: Cow<'a, [u8]>, offset: usize, end: usize) -> LogItem<'a> {
        self.position = end;
        LogItem::Record {
            payload,
            offset: self.in_file(offset),
            end: self.in_file(end),
        }
    }

    /// Handles one whole fragment; `None` if the record goes on.
    fn accept(&mut self, kind: u8, data: &'a [u8], end: usize) -> Option<LogItem<'a>> {
        match (kind, self.chain.take()) {
            // A chain that holds no byte is the zero-length FIRST at a block's end, which early writers could leave
            // behind: legal. Otherwise report the chain, and come back to this fragment.
            (FULL | FIRST, Some(chain)) if !chain.payload.is_empty() => {
                self.chain = Some(chain);
                Some(self.drop_to(self.position, "a record without its end"))
            }
            (FULL, _) => Some(self.record(Cow::Borrowed(data), self.position, end)),
            (FIRST, _) => {
                self.chain = Some(Chain {
                    offset: self.position,
                    payload: data.to_vec(),
                });
                self.position = end;
                None
            }
            (MIDDLE, Some(mut chain)) => {
                chain.payload.extend_from_slice(data);
                self.chain = Some(chain);
                self.position = end;
                None
            }
            (LAST, Some(mut chain)) => {
                chain.payload.extend_from_slice(data);
                Some(self.record(Cow::Owned(chain.payload), chain.offset, end))
            }
            (MIDDLE | LAST, None) => Some(self.drop_to(end, "a fragment without its start")),
            (unknown, chain) => {
                self.chain = chain;
                Some(self.drop_to(end, format!("unknown record type {unknown}")))
            }
        }
    }
}

/// Whether a fragment has the checksum that its header states.
fn is_sound(kind: u8, data: &[u8], stated: [u8; 4]) -> bool {
    let crc = crc::extend(crc::crc32c(&[kind]), data);
    crc::mask(crc) == u32::from_le_bytes(stated)
}

impl<'a> Iterator for LogReader<'a> {
    type Item = LogItem<'a>;

    fn next(&mut self) -> Option<LogItem<'a>> {
        loop {
            match self.fragment() {
                Fragment::Whole { kind, data, end } => {
                    if let Some(item) = self.accept(kind, data, end) {
                        return Some(item);
                    }
                }
                Fragment::End if self.chain.is_none() => return None,
                Fragment::End | Fragment::Torn => return Some(self.torn()),
                Fragment::Bad { end, what } => return Some(self.drop_to(end, what)),
            }
        }
    }
}
