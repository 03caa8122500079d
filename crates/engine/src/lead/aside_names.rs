//! Names of files that are set aside or replaced: LevelDB ignores them, and nothing removes them but their owner.
//!
//! Must not know: why a file is set aside.

use level_party_format::Sequence;
use level_party_format::filename::{self, FileKind};

use crate::base::error::{Error, Result};
use crate::base::fs::Fs;

/// Names of files that an opening set aside begin so.
pub(crate) const ASIDE_PREFIX: &str = "level-party.aside-";
/// Names of files that a repair replaced begin so.
pub(crate) const REPLACED_PREFIX: &str = "level-party.replaced-";

/// The name that a file had, of its name behind one of those prefixes: what follows the second dot was added.
pub(crate) fn own_name(rest: &str) -> &str {
    let second = rest.match_indices('.').nth(1);
    second.map_or(rest, |(at, _)| &rest[..at])
}

/// A free name with this prefix, for a file that is to be set aside.
pub(crate) fn aside_name(fs: &dyn Fs, prefix: &str, name: &str) -> Result<String> {
    let mut aside = format!("{prefix}{name}");
    let exists = |name: &str| {
        fs.exists(name)
            .map_err(|error| Error::io("look for", name, error))
    };
    while exists(&aside)? {
        aside.push_str(".more");
    }
    Ok(aside)
}

/// What the name of a log says that an opening has set aside. The database gave the sequences from `from` on to other
/// writes, which the log itself does not tell where it is whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AsideName {
    pub(crate) log: u64,
    /// The first sequence that was not recovered.
    pub(crate) from: Option<Sequence>,
    /// Where recovery ended in it; nothing of it was recovered, if that is not said.
    pub(crate) at: Option<u64>,
}

impl AsideName {
    pub(crate) fn parse(name: &str) -> Option<AsideName> {
        let rest = name.strip_prefix(ASIDE_PREFIX)?;
        let (FileKind::Log, log) = filename::parse(own_name(rest))? else {
            return None;
        };
        let stated = |tag: &str| {
            let mut parts = rest.split('.').filter_map(|part| part.strip_prefix(tag));
            parts.next()?.parse().ok()
        };
        Some(AsideName {
            log,
            from: stated("from-"),
            at: stated("at-"),
        })
    }

    /// The name without [`ASIDE_PREFIX`].
    pub(crate) fn without_prefix(self) -> String {
        let mut name = filename::log(self.log);
        for (tag, number) in [("from", self.from), ("at", self.at)] {
            if let Some(number) = number {
                name.push_str(&format!(".{tag}-{number}"));
            }
        }
        name
    }
}
