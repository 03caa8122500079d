//! The header of a region: its words, and what they may say.

use std::sync::atomic::Ordering;

use level_party_format::Corruption;

use crate::layout::{Arena, FILTER_WORDS, HEADER_WORDS};
use crate::memory::{AtomicU64, WORD, load_acquire};

/// First word of a region that holds a memtable.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"LPmemtbl");
/// Version of the layout. Peers of another version refuse the region.
pub(crate) const LAYOUT_VERSION: u64 = 3;

/// A word of the header, by its index. See the table in the crate's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field(usize);

pub(crate) const MAGIC_FIELD: Field = Field(0);
pub(crate) const VERSION: Field = Field(1);
pub(crate) const LIMIT: Field = Field(2);
pub(crate) const FILTER_LEN_FIELD: Field = Field(3);
pub(crate) const HEIGHT: Field = Field(4);
pub(crate) const ALLOCATED: Field = Field(16);
pub(crate) const ENTRIES: Field = Field(17);
pub(crate) const HEAD_LINKS: Field = Field(24);

/// Why a region cannot hold a memtable, or does not hold one that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegionError {
    /// The region is shorter than the header.
    TooShort,
    /// The region does not start at a multiple of 8.
    Misaligned,
    /// No memtable was set up in the region.
    NoMemtable,
    /// A program with another layout set the memtable up.
    OtherLayout {
        /// Its version.
        found: u64,
    },
    /// A word of the header says what cannot be.
    Impossible {
        /// The word.
        field: &'static str,
        /// Its offset in the region, in bytes.
        offset: u64,
        /// What it says.
        value: u64,
    },
}

impl RegionError {
    /// A word of the header that says what cannot be.
    pub(crate) fn impossible(field: Field, value: u64) -> RegionError {
        RegionError::Impossible {
            field: match field {
                LIMIT => "limit",
                FILTER_LEN_FIELD => "length of the filter",
                HEIGHT => "height",
                ALLOCATED => "end of the entries",
                ENTRIES => "number of entries",
                _ => "first link",
            },
            offset: (field.0 * WORD) as u64,
            value,
        }
    }

    /// The same as a finding in bytes that somebody else wrote.
    pub(crate) fn into_corruption(self) -> Corruption {
        let found = Corruption::new(self.to_string());
        match self {
            RegionError::TooShort | RegionError::Misaligned => found,
            RegionError::NoMemtable => found.at(0),
            RegionError::OtherLayout { .. } => found.at((VERSION.0 * WORD) as u64),
            RegionError::Impossible { offset, .. } => found.at(offset),
        }
    }
}

impl std::fmt::Display for RegionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RegionError::TooShort => {
                f.write_str("the memory region is too short for a memtable's header")
            }
            RegionError::Misaligned => {
                f.write_str("the memory region does not start at a multiple of 8")
            }
            RegionError::NoMemtable => f.write_str("the memory region does not hold a memtable"),
            RegionError::OtherLayout { found } => write!(
                f,
                "the memtable has layout version {found}, this program reads {LAYOUT_VERSION}"
            ),
            RegionError::Impossible { field, value, .. } => {
                write!(f, "the memtable's {field} can't be {value}")
            }
        }
    }
}

impl std::error::Error for RegionError {}

impl Arena {
    /// A word of the header, which only the writer may store to.
    #[inline]
    pub(crate) fn field(&self, field: Field) -> &AtomicU64 {
        &self.words()[field.0]
    }

    /// What a word of the header says.
    #[inline]
    pub(crate) fn load(&self, field: Field) -> u64 {
        load_acquire(self.field(field))
    }

    /// Stores a word of the header that is read by itself: nothing else is told by it.
    #[inline]
    pub(crate) fn store(&self, field: Field, value: u64) {
        self.field(field).store(value, Ordering::Relaxed);
    }

    /// The part of a region that a memtable's header speaks for, and whether it has a filter.
    pub(crate) fn opened(self) -> Result<(Arena, bool), RegionError> {
        if self.load(MAGIC_FIELD) != MAGIC {
            return Err(RegionError::NoMemtable);
        }
        let found = self.load(VERSION);
        if found != LAYOUT_VERSION {
            return Err(RegionError::OtherLayout { found });
        }
        let limit = self.load(LIMIT);
        let shortened = usize::try_from(limit).ok().and_then(|l| self.shorten(l));
        let arena = shortened.ok_or(RegionError::impossible(LIMIT, limit))?;
        let filter_len = arena.load(FILTER_LEN_FIELD);
        let filtered = filter_len == FILTER_WORDS as u64;
        if filter_len != 0 && !(filtered && arena.limit() >= HEADER_WORDS + FILTER_WORDS) {
            return Err(RegionError::impossible(FILTER_LEN_FIELD, filter_len));
        }
        Ok((arena, filtered))
    }

    /// The index of the first entry's links.
    pub(crate) fn first_place(filtered: bool) -> usize {
        HEADER_WORDS + if filtered { FILTER_WORDS } else { 0 }
    }
}
