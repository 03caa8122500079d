//! How sublevels are laid out: as npm's `abstract-level` lays them out.
//!
//! A sublevel `name` owns the keys that begin with `!name!`; one inside it those that begin with `!name!!inner!`. A name
//! has no character up to `"` (the one after the separator), so `!name"` comes after every key of the sublevel and
//! before those of any other whose name begins alike: sublevels never overlap, but for those inside each other. A parent
//! sees the entries of its sublevels as its own, their keys with the prefix: so does Node.
//!
//! In one thing we are stricter than `abstract-level` 3: there the upper bound of a range is `!name"` itself, inclusive,
//! so that a foreign key of exactly these bytes is shown, and cleared, as if it were the sublevel's empty key. Here it is
//! nobody's.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};

/// What the keys of the sublevel `name` below `parent` begin with.
pub(crate) fn prefix(parent: &[u8], name: &str, separator: char) -> Result<Arc<[u8]>> {
    let name = name.trim_matches(separator);
    if !separator.is_ascii() || !is_name(name, separator) {
        let reserved = reserved(separator);
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "a sublevel cannot be called {name:?} with the separator {separator:?}: a name has characters of ASCII \
                 after the code {reserved} and before 127 only"
            ),
        ));
    }
    let own = format!("{separator}{name}{separator}");
    Ok([parent, own.as_bytes()].concat().into())
}

/// Whether a sublevel can have this name.
pub(crate) fn is_name(name: &str, separator: char) -> bool {
    let is_fit = |c: char| c as u32 > reserved(separator) && (c as u32) < 127;
    name.chars().all(is_fit)
}

/// The one character between the separator and those of names: it makes the upper bound of a sublevel's keys.
fn reserved(separator: char) -> u32 {
    separator as u32 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parent: &str, name: &str) -> Option<String> {
        let prefix = prefix(parent.as_bytes(), name, '!').ok()?;
        Some(String::from_utf8(prefix.to_vec()).expect("text"))
    }

    #[test]
    fn prefixes_are_those_of_abstract_level() {
        // As told by abstract-level 3.1.1.
        assert_eq!(of("", "").as_deref(), Some("!!"));
        assert_eq!(of("", "!").as_deref(), Some("!!"));
        assert_eq!(of("", "!a!").as_deref(), Some("!a!"));
        assert_eq!(of("", "a#").as_deref(), Some("!a#!"));
        assert_eq!(of("", "~").as_deref(), Some("!~!"));
        assert_eq!(of("!x!", "y").as_deref(), Some("!x!!y!"));
        for refused in ["a b", "a\"", "é", "a!b", "a\0", "\u{7f}"] {
            assert_eq!(of("", refused), None, "{refused:?}");
        }
        assert_eq!(&prefix(b"", "c", '/').unwrap()[..], b"/c/");
        assert!(prefix(b"", "c", 'é').is_err());
        assert!(prefix(b"", "a/", '!').is_ok());
    }
}
