//! File descriptors: how many this process may have, and how many of them are for tables.
//!
//! Promises: the limit is raised at most once in a process, so that a program that lowers it afterwards has its way.
//! What is for tables leaves as much again for logs, sockets and the program itself.
//! Must not know: who opens what.

use std::sync::Once;

use level_party_os::descriptors;

/// Raises the soft limit to the hard one, the first time it is called. A refusal by the system is not an error.
pub(crate) fn raise_limit() {
    static RAISED: Once = Once::new();
    RAISED.call_once(|| {
        descriptors::raise_limit();
    });
}

/// How many tables may be kept open: as many as half of the descriptors that are left now.
pub(crate) fn for_tables() -> usize {
    half_of_what_is_left(descriptors::limit(), descriptors::in_use())
}

fn half_of_what_is_left(limit: Option<u64>, in_use: Option<u64>) -> usize {
    let left = limit.map(|limit| limit.saturating_sub(in_use.unwrap_or(0)));
    let half = left.and_then(|left| usize::try_from(left / 2).ok());
    half.unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_take_half_of_the_descriptors_that_are_left() {
        assert_eq!(half_of_what_is_left(Some(1024), Some(24)), 500);
        assert_eq!(half_of_what_is_left(Some(64), None), 32);
        assert_eq!(half_of_what_is_left(Some(64), Some(100)), 0);
        assert_eq!(half_of_what_is_left(None, Some(7)), usize::MAX);
    }
}
