//! The identity of one founding.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One founding of one database: a number that never restarts, and random bits that keep two foundings apart even
/// where the state file was deleted and the number had to start again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Epoch {
    pub number: u64,
    pub random: [u64; 2],
}

impl Epoch {
    /// The epoch after the one numbered `previous` (0: there was none).
    pub fn after(previous: u64) -> std::io::Result<Self> {
        Ok(Epoch {
            number: previous + 1,
            random: random_words()?,
        })
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number)
    }
}

/// 128 random bits from the operating system.
pub(crate) fn random_words() -> std::io::Result<[u64; 2]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    let word =
        |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight of sixteen"));
    Ok([word(0), word(8)])
}
