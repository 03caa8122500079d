//! Where a watch stands, in a form that outlives the process.

use std::fmt;
use std::str::FromStr;

use crate::epoch::Epoch;
use crate::error::{Error, ErrorKind};

/// Where a [`Watch`](crate::Watch) stands: every change up to here was told.
///
/// Keep it (as text, or by serde with the feature `serde`, which makes it the same text) with what was made of the changes, and begin the next
/// watch [after](crate::WatchFrom::After) it. It names the history that it belongs to: where that history was replaced
/// (the database was restored, or another program had it meanwhile) the watch says so with a gap.
///
/// A plain sequence number is a position too, one that is believed in whatever history it is used.
///
/// ```
/// use level_party::Position;
/// let position: Position = "17".parse()?;
/// assert_eq!((position.sequence(), position.to_string().as_str()), (17, "17"));
/// assert_eq!(Position::from(17), position);
/// # Ok::<(), level_party::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    pub(crate) sequence: u64,
    pub(crate) epoch: Option<Epoch>,
}

impl Position {
    /// Another one of the same history.
    pub(crate) fn at(self, sequence: u64) -> Position {
        Position { sequence, ..self }
    }

    /// The sequence number of the last change told.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl From<u64> for Position {
    fn from(sequence: u64) -> Self {
        Position {
            sequence,
            epoch: None,
        }
    }
}

/// `SEQUENCE`, or `SEQUENCE@EPOCH-` and 32 hexadecimal digits.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.sequence)?;
        match self.epoch {
            None => Ok(()),
            Some(Epoch {
                number,
                random: [high, low],
            }) => write!(f, "@{number}-{high:016x}{low:016x}"),
        }
    }
}

impl FromStr for Position {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidArgument,
                format!("{text:?} is no position of a watch: give a sequence number, or a position as it was printed"),
            )
        })
    }
}

fn parse(text: &str) -> Option<Position> {
    let (sequence, epoch) = match text.split_once('@') {
        None => (text, None),
        Some((sequence, epoch)) => (sequence, Some(parse_epoch(epoch)?)),
    };
    let digits = !sequence.is_empty() && sequence.bytes().all(|byte| byte.is_ascii_digit());
    let sequence = digits.then(|| sequence.parse().ok())??;
    Some(Position { sequence, epoch })
}

fn parse_epoch(text: &str) -> Option<Epoch> {
    let (number, random) = text.split_once('-')?;
    if random.len() != 32 || !random.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let half = |digits: &str| u64::from_str_radix(digits, 16).ok();
    Some(Epoch {
        number: number.parse().ok()?,
        random: [half(&random[..16])?, half(&random[16..])?],
    })
}

#[cfg(feature = "serde")]
impl serde::Serialize for Position {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Position {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str> as serde::Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_what_it_was_after_being_text() {
        let position = Position {
            sequence: u64::MAX,
            epoch: Some(Epoch {
                number: 3,
                random: [0, u64::MAX - 1],
            }),
        };
        assert_eq!(position.to_string().parse::<Position>().unwrap(), position);
        #[cfg(feature = "serde")]
        {
            let json = serde_json::to_string(&position).unwrap();
            assert_eq!(serde_json::from_str::<Position>(&json).unwrap(), position);
        }
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for text in [
            "",
            "x",
            "-1",
            "+1",
            "1@",
            "1@2",
            "1@2-0",
            "1@2-é",
            " 1",
            "99999999999999999999",
        ] {
            let error = text.parse::<Position>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{text:?}");
        }
    }
}
