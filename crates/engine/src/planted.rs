//! Bugs on purpose, to see that the harnesses of the tests catch them.
//!
//! A place where a bug is planted asks [`planted!`]. Outside of this crate's own unit tests that is the word `false`: a
//! build for use has neither the question nor the bug.

/// Whether this bug was switched on by the test that runs.
macro_rules! planted {
    ($bug:ident) => {{
        #[cfg(test)]
        let planted = crate::planted::is_on(crate::planted::Bug::$bug);
        #[cfg(not(test))]
        let planted = false;
        planted
    }};
}

#[cfg(test)]
mod switch;
#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(test)]
pub(crate) use switch::{Bug, is_on, on_this_thread, switch_on};
