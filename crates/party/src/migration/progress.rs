//! How far a migration has come, as it is kept with its target.
//!
//! Invariant: what it says is in the target: it may lag behind, and never runs ahead. Lines of `name value`, in this order:
//! `owner`, a random word of the process that made it; `position`, of the source's watch; `pass`, `none` before the first chunk of a
//! pass, `done` after the last one, else the last key in hexadecimal; `from`, the source's name, up to the end. `sealed` comes before
//! them while nobody writes.

use crate::error::{Error, ErrorKind, Result};
use crate::position::Position;
use crate::service::SEALED;

/// A key that is longer is not noted: the next run begins its pass anew.
const MAX_NOTED_KEY: usize = 64 << 10;

/// How much of a pass over the source was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Begun,
    /// All keys up to this one.
    Through(Vec<u8>),
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    pub owner: String,
    /// Every change up to here is in the target, of the keys that the pass has made.
    pub position: Position,
    pub pass: Pass,
    pub from: String,
}

impl Progress {
    pub fn to_text(&self) -> String {
        let pass = match &self.pass {
            // To say less is safe.
            Pass::Through(key) if key.len() > MAX_NOTED_KEY => "none".to_owned(),
            Pass::Begun => "none".to_owned(),
            Pass::Through(key) => key.iter().map(|byte| format!("{byte:02x}")).collect(),
            Pass::Done => "done".to_owned(),
        };
        let Progress {
            owner,
            position,
            from,
            ..
        } = self;
        format!("owner {owner}\nposition {position}\npass {pass}\nfrom {from}")
    }

    /// Whether it is sealed is not told.
    ///
    /// # Errors
    /// `Corruption`: it was written by something else.
    pub fn parse(text: &str) -> Result<Progress> {
        parse(text.strip_prefix(SEALED).unwrap_or(text)).ok_or_else(|| {
            let what = "what the target says of how far its copy has come is not to be understood";
            Error::new(ErrorKind::Corruption, what)
        })
    }
}

fn parse(text: &str) -> Option<Progress> {
    let (owner, text) = text.strip_prefix("owner ")?.split_once('\n')?;
    let (position, text) = text.strip_prefix("position ")?.split_once('\n')?;
    let (pass, text) = text.strip_prefix("pass ")?.split_once('\n')?;
    let from = text.strip_prefix("from ")?;
    let pass = match pass {
        "none" => Pass::Begun,
        "done" => Pass::Done,
        key => Pass::Through(from_hex(key)?),
    };
    Some(Progress {
        owner: owner.to_owned(),
        position: position.parse().ok()?,
        pass,
        from: from.to_owned(),
    })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks();
    let bytes = pairs
        .iter()
        .map(|&[high, low]| Some((digit(high)? << 4 | digit(low)?) as u8));
    bytes.collect::<Option<_>>().filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_says_all_of_it() {
        for pass in [
            Pass::Begun,
            Pass::Done,
            Pass::Through(b"k\0\xff".to_vec()),
            Pass::Through(Vec::new()),
        ] {
            let progress = Progress {
                owner: "0a1b".to_owned(),
                position: Position::from(17),
                pass,
                from: "/a path\nof two lines".to_owned(),
            };
            assert_eq!(Progress::parse(&progress.to_text()).unwrap(), progress);
        }
    }

    /// Found by reading: a copy ended at a key whose note was longer than a service state may be.
    #[test]
    fn very_long_key_is_not_noted() {
        let progress = |pass| Progress {
            owner: "0a1b".to_owned(),
            position: Position::from(17),
            pass,
            from: "x".to_owned(),
        };
        let long = progress(Pass::Through(vec![b'k'; 1 << 20]));
        let read = Progress::parse(&long.to_text()).unwrap();
        assert_eq!(read, progress(Pass::Begun));
    }

    #[test]
    fn other_texts_are_an_error() {
        let good = "owner a\nposition 1\npass 6b\nfrom x";
        assert!(Progress::parse(good).is_ok());
        for (from, to) in [
            ("owner", "owned"),
            ("1", "one"),
            ("6b", "6"),
            ("6b", "+6"),
            ("from", "to"),
        ] {
            assert!(
                Progress::parse(&good.replacen(from, to, 1)).is_err(),
                "{to}"
            );
        }
        assert!(Progress::parse("").is_err());
    }
}
