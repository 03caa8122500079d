//! Losses: what openings of a database left out or set aside, told until its owner has seen to it.
//!
//! Promises: what an opening loses is in the file `level-party.losses`, durably, before anything makes the loss final; it
//! is told by every later opening until [`clear`] removes it. The file stays small however much is lost: it keeps the
//! first [`KEPT`] sentences and counts the others. A file that can't be understood is shown as it is, never an error.
//! Must not know: who is told, or how a loss is mended ([`Repair`](crate::Repair) does that).
//!
//! Layout: text, one sentence a line; a last line `+N` counts the sentences that were not kept.

use std::io;

use crate::base::error::{Error, Result};
use crate::base::fs::Fs;

/// The file in the database's directory. LevelDB ignores its name.
pub(crate) const LOSSES: &str = "level-party.losses";
/// The file while it is written.
const NEW_LOSSES: &str = "level-party.losses.new";

/// Sentences that are kept; of more there is only the number.
pub(crate) const KEPT: usize = 64;
/// The longest sentence that is kept, in characters.
const MAX_SENTENCE: usize = 512;
/// The most that is read of a file, in bytes: more than [`KEPT`] sentences of any characters take.
const MAX_FILE: usize = KEPT * (4 * MAX_SENTENCE + 1) + 32;

/// What was lost and not acknowledged yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    sentences: Vec<String>,
    /// Losses beyond those.
    more: u64,
}

impl Losses {
    /// Those of a directory; none where it has no such file.
    pub(crate) fn read(fs: &dyn Fs) -> Result<Losses> {
        let file = match fs.open_read(LOSSES) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Losses::default()),
            Err(error) => return Err(Error::io("open", LOSSES, error)),
        };
        let len = file.len().min(MAX_FILE as u64) as usize;
        let mut bytes = vec![0; len];
        file.read_at(&mut bytes, 0)
            .map_err(|error| Error::read(LOSSES, 0, len, error))?;
        Ok(Losses::parse(&String::from_utf8_lossy(&bytes)))
    }

    fn parse(text: &str) -> Losses {
        let mut losses = Losses::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            match line.strip_prefix('+').and_then(|count| count.parse().ok()) {
                Some(more) => losses.more = losses.more.saturating_add(more),
                None => losses.push(line),
            }
        }
        losses
    }

    fn push(&mut self, sentence: &str) {
        if self.sentences.len() == KEPT {
            self.more = self.more.saturating_add(1);
            return;
        }
        let one_line = sentence
            .chars()
            .take(MAX_SENTENCE)
            .map(|c| if c.is_control() { ' ' } else { c });
        self.sentences.push(one_line.collect());
    }

    /// What is told of them: the sentences, and one more that counts the others.
    pub(crate) fn told(&self) -> Vec<String> {
        let mut told = self.sentences.clone();
        if self.more > 0 {
            told.push(format!("and {} more", self.more));
        }
        told
    }
}

/// Adds what an opening is about to lose to those of a directory, and makes that durable.
pub(crate) fn add(fs: &dyn Fs, sentences: &[String]) -> Result<()> {
    if sentences.is_empty() {
        return Ok(());
    }
    let mut losses = Losses::read(fs)?;
    for sentence in sentences {
        // An opening that was cut short has said it already.
        if !losses.sentences.contains(sentence) {
            losses.push(sentence);
        }
    }
    let failed = |error| Error::io("write", LOSSES, error);
    let mut text: String = losses
        .sentences
        .iter()
        .map(|line| format!("{line}\n"))
        .collect();
    if losses.more > 0 {
        text.push_str(&format!("+{}\n", losses.more));
    }
    // One that was cut short by a crash.
    if fs.exists(NEW_LOSSES).map_err(failed)? {
        fs.remove(NEW_LOSSES).map_err(failed)?;
    }
    let mut file = fs.create_new(NEW_LOSSES).map_err(failed)?;
    file.append(text.as_bytes()).map_err(failed)?;
    file.sync().map_err(failed)?;
    drop(file);
    fs.rename(NEW_LOSSES, LOSSES).map_err(failed)?;
    fs.sync_dir().map_err(failed)
}

/// Forgets the losses of a directory: its owner has seen to them.
pub(crate) fn clear(fs: &dyn Fs) -> Result<()> {
    match fs.remove(LOSSES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io("remove", LOSSES, error)),
        Ok(()) => fs
            .sync_dir()
            .map_err(|error| Error::io("sync", "the directory", error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fs::MemFs;

    #[test]
    fn losses_are_told_until_cleared() {
        let fs = MemFs::new();
        assert_eq!(Losses::read(&fs).unwrap(), Losses::default());
        add(&fs, &["one".into(), "two\nlines".into()]).unwrap();
        add(&fs, &["one".into(), "three".into()]).unwrap();
        let read = Losses::read(&fs).unwrap();
        assert_eq!(read.told(), ["one", "two lines", "three"]);
        clear(&fs).unwrap();
        clear(&fs).unwrap();
        assert_eq!(Losses::read(&fs).unwrap(), Losses::default());
    }

    #[test]
    fn losses_file_stays_small_and_counts_the_rest() {
        let fs = MemFs::new();
        let many: Vec<String> = (0..1000)
            .map(|n| format!("{n} {}", "x".repeat(2000)))
            .collect();
        add(&fs, &many).unwrap();
        let read = Losses::read(&fs).unwrap();
        assert_eq!(read.told().len(), KEPT + 1);
        assert_eq!(read.told().last().unwrap(), "and 936 more");
        add(&fs, &["another".into()]).unwrap();
        assert_eq!(Losses::read(&fs).unwrap().more, 937);
        assert!(fs.open_read(LOSSES).unwrap().len() < MAX_FILE as u64);
    }

    #[test]
    fn unreadable_losses_file_is_shown_not_an_error() {
        let fs = MemFs::new();
        let mut file = fs.create(LOSSES).unwrap();
        file.append(b"\xff\xfe\n+not a number\n+18446744073709551615\n+7\n")
            .unwrap();
        let read = Losses::read(&fs).unwrap();
        assert_eq!(read.more, u64::MAX);
        assert_eq!(read.told().len(), 3);
    }
}
