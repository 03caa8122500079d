//! Entries that a walk leaves out because they are too large to be read; another program wrote them.
//!
//! What it promises: each is said, the first few in words and all as a number; the walk goes on behind it; at its end the
//! command fails.

use crate::failure::{Failure, Result, say};
use crate::text::counted;

/// Entries that are said one by one.
const SHOWN: u64 = 8;

/// What a walk has left out so far.
#[derive(Default)]
pub struct LeftOut {
    count: u64,
}

impl LeftOut {
    /// The item of a walk. `None`: it is left out, and was said.
    pub fn check<T>(&mut self, item: level_party::Result<T>) -> level_party::Result<Option<T>> {
        match item {
            Err(error) if error.is_of_one_entry() => {
                self.count += 1;
                if self.count <= SHOWN {
                    say(format_args!("left out: {error}"));
                }
                Ok(None)
            }
            item => item.map(Some),
        }
    }

    /// The walk has come to its end.
    ///
    /// # Errors
    /// Something was left out.
    pub fn finish(self) -> Result<()> {
        match self.count {
            0 => Ok(()),
            count => Err(Failure::Database(format!(
                "{} left out because {} too large to read; all others were read",
                counted(count, "entry was", "entries were"),
                if count == 1 { "it is" } else { "they are" },
            ))),
        }
    }
}
