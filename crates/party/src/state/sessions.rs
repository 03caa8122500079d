//! The table of sessions that hold moments, carried from leader to leader.
//!
//! Invariants:
//! - Place n of the table belongs to the session that has byte [`byte_of`]`(n)` of the file locked, for as long as it
//!   lives: the kernel frees the byte when its process dies, in whichever pid namespace. A free byte = a dead session.
//! - A row is written before the moment that it tells of is granted, and taken away when the session holds none, has
//!   died, or stayed away longer than a leader waits. A leader that ends leaves the rows as they are.
//! - A row is a promise to wait, no more: which moments can be read the drop floor decides. So a row lost to a kill in
//!   the middle of its writing costs a session its snapshots (`SnapshotLost`), never a wrong answer.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::Ordering;

use level_party_os::ByteLock;

use super::{ROW_BYTES, ROWS, ROWS_AT, StateFile, write_at};

/// Where the table begins.
const TABLE_AT: u64 = ROWS_AT + ROWS * ROW_BYTES as u64;
const PLACE_BYTES: usize = 32;
/// Sessions that the table has room for, as many as a leader takes connections.
pub(crate) const PLACES: u32 = 4096;
pub(super) const END_OF_TABLE: u64 = TABLE_AT + PLACES as u64 * PLACE_BYTES as u64;
/// Not 0 where sessions without a place in the table hold moments.
const UNLISTED_AT: u64 = 4080;

/// A session as the table knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub session: [u64; 2],
    pub place: u32,
    /// The oldest moment it holds.
    pub oldest: u64,
}

/// The byte that whoever has `place` keeps locked.
pub(crate) fn byte_of(place: u32) -> u64 {
    TABLE_AT + u64::from(place) * PLACE_BYTES as u64
}

impl StateFile {
    /// The sessions of the table, and whether there may be others that hold moments.
    pub fn sessions(&self) -> io::Result<(Vec<Known>, bool)> {
        let mut table = vec![0; (END_OF_TABLE - TABLE_AT) as usize];
        let mut unlisted = [0; 8];
        let mut inner = self.inner.lock();
        inner.file.seek(SeekFrom::Start(TABLE_AT))?;
        inner.file.read_exact(&mut table)?;
        inner.file.seek(SeekFrom::Start(UNLISTED_AT))?;
        inner.file.read_exact(&mut unlisted)?;
        let rows = table.chunks_exact(PLACE_BYTES).zip(0..);
        let known = rows.filter_map(|(row, place)| decode(row, place)).collect();
        Ok((known, unlisted != [0; 8]))
    }

    /// Writes the oldest moment that a session holds, or that it holds none: then the row of another session stays.
    pub fn record_session(
        &self,
        session: [u64; 2],
        place: u32,
        oldest: Option<u64>,
    ) -> io::Result<()> {
        let mut row = [0; PLACE_BYTES];
        if let Some(oldest) = oldest {
            for (i, word) in [session[0], session[1], oldest].into_iter().enumerate() {
                row[i * 8..i * 8 + 8].copy_from_slice(&word.to_le_bytes());
            }
            let crc = u64::from(crc32c::crc32c(&row[..24]));
            row[24..].copy_from_slice(&crc.to_le_bytes());
        }
        let mut inner = self.inner.lock();
        self.check_ours()?;
        if oldest.is_none() {
            // Another session may have the place by now: this one's process is dead, and was noticed late.
            let mut standing = [0; PLACE_BYTES];
            inner.file.seek(SeekFrom::Start(byte_of(place)))?;
            inner.file.read_exact(&mut standing)?;
            if decode(&standing, place).is_some_and(|known| known.session != session) {
                return Ok(());
            }
        }
        write_at(&mut inner.file, byte_of(place), &row)
    }

    /// Writes that sessions without a place hold moments.
    pub fn record_unlisted(&self) -> io::Result<()> {
        match self.unlisted.swap(true, Ordering::AcqRel) {
            true => Ok(()),
            false => self.write_unlisted(1),
        }
    }

    /// Those sessions are not waited for any more that had no place under an earlier leader.
    pub fn forget_unlisted(&self) -> io::Result<()> {
        match self.unlisted.load(Ordering::Acquire) {
            true => Ok(()),
            false => self.write_unlisted(0),
        }
    }

    fn write_unlisted(&self, word: u64) -> io::Result<()> {
        let mut inner = self.inner.lock();
        self.check_ours()?;
        // Under the lock: what was recorded meanwhile stays.
        match word == 0 && self.unlisted.load(Ordering::Acquire) {
            true => Ok(()),
            false => write_at(&mut inner.file, UNLISTED_AT, &word.to_le_bytes()),
        }
    }

    /// Whether a living session has this place. Where that can't be found out it has.
    pub fn is_alive(&self, place: u32) -> bool {
        ByteLock::is_locked(&self.inner.lock().file, byte_of(place)).unwrap_or(true)
    }
}

fn decode(row: &[u8], place: u32) -> Option<Known> {
    let word = |i: usize| u64::from_le_bytes(row[i * 8..i * 8 + 8].try_into().expect("eight"));
    let intact = word(3) == u64::from(crc32c::crc32c(&row[..24])) && [word(0), word(1)] != [0, 0];
    intact.then(|| Known {
        session: [word(0), word(1)],
        place,
        oldest: word(2),
    })
}
