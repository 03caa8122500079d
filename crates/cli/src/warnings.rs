//! Warnings about what openings of the database lost.
//!
//! What it promises: standard error has each loss once a command, also one that comes to light later, when another process
//! begins to lead; a few in words and the number of the others. What it must not know: how a loss is mended.

use std::collections::BTreeSet;
use std::path::Path;

use level_party::{Db, Event, Opening};

use crate::failure::{note, say_hint, warn};

/// Losses that are said one by one.
const SHOWN: usize = 4;

/// Warns of the losses of `db` in the directory `dir`, now and later.
pub fn begin(db: &Db, dir: &Path) {
    let opening = db.opening();
    let mut told = Told::default();
    told.tell(&opening, dir);
    // If no thread can be started, the next command warns.
    if let Ok(events) = db.events() {
        let dir = dir.to_path_buf();
        let _ = std::thread::Builder::new().spawn(move || {
            for event in events {
                if let Event::Losses { losses } = event {
                    told.tell_losses(&losses, &dir);
                }
            }
        });
    }
}

/// Warns of the losses of `db` that are known now.
pub fn now(db: &Db, dir: &Path) {
    Told::default().tell(&db.opening(), dir);
}

/// The losses that this command has warned of.
#[derive(Default)]
struct Told {
    losses: BTreeSet<String>,
}

impl Told {
    fn tell(&mut self, opening: &Opening, dir: &Path) {
        self.tell_losses(&opening.losses, dir);
        shortened(&opening.left_out, |what| {
            note(format_args!("recovery: {what}"));
        });
    }

    fn tell_losses(&mut self, losses: &[String], dir: &Path) {
        let new: Vec<String> = losses
            .iter()
            .filter(|loss| !self.losses.contains(*loss))
            .cloned()
            .collect();
        if new.is_empty() {
            return;
        }
        shortened(&new, |what| warn(format_args!("recovery: {what}")));
        let dir = dir.display();
        let end = format!("`level-party acknowledge {dir}` ends this warning");
        match new.iter().any(|loss| loss.contains("set aside")) {
            true => say_hint(format_args!(
                "`level-party repair {dir}` shows what it can bring back; {end}"
            )),
            false => say_hint(end),
        }
        self.losses.extend(new);
    }
}

/// Says the first of some sentences, and how many more there are.
fn shortened(sentences: &[String], say: impl Fn(&str)) {
    let (first, more) = sentences.split_at(sentences.len().min(SHOWN));
    first.iter().for_each(|sentence| say(sentence));
    if let Some(last) = more.last() {
        // The last one may stand for others itself.
        let others = counted(last).map_or(more.len() as u64, |count| {
            count.saturating_add(more.len() as u64 - 1)
        });
        say(&format!("and {others} more"));
    }
}

/// How many sentences this one stands for.
fn counted(sentence: &str) -> Option<u64> {
    let count = sentence.strip_prefix("and ")?.strip_suffix(" more")?;
    count.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn few_losses_are_said_and_others_counted() {
        let said = |sentences: &[&str]| {
            let said = RefCell::new(Vec::new());
            let sentences: Vec<String> = sentences.iter().map(|s| s.to_string()).collect();
            shortened(&sentences, |what| said.borrow_mut().push(what.to_string()));
            said.into_inner()
        };
        assert_eq!(said(&["1", "2", "3", "4"]), ["1", "2", "3", "4"]);
        assert_eq!(said(&["1", "2", "3", "4", "5"])[4], "and 1 more");
        let of_many = said(&["1", "2", "3", "4", "5", "6", "and 30 more"]);
        assert_eq!(of_many[4..], ["and 32 more"]);
    }
}
