//! Names of files that are set aside or replaced: LevelDB ignores them, and nothing removes them but their owner.
//!
//! Must not know: why a file is set aside.

use crate::base::error::{Error, Result};
use crate::base::fs::Fs;

/// Names of files that an opening set aside begin so.
pub(crate) const ASIDE_PREFIX: &str = "level-party.aside-";
/// Names of files that a repair replaced begin so.
pub(crate) const REPLACED_PREFIX: &str = "level-party.replaced-";

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
