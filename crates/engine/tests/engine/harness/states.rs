//! Which of the legal states after a loss of power, or a kill, are looked at.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::disk::{Content, Disk};
use super::record::{Files, Recorded, Step};
use crate::support::Rng;

/// Bytes that a medium writes in one step.
const SECTOR: usize = 512;

/// A state, and what must be there in it.
pub struct State {
    pub files: Files,
    /// The last batch that must be there.
    pub floor: u64,
    /// How it came about.
    pub story: String,
}

/// States already looked at.
#[derive(Default)]
pub struct Seen(HashSet<u64>);

impl Seen {
    pub fn is_new(&mut self, state: &State) -> bool {
        let mut hasher = DefaultHasher::new();
        state.files.hash(&mut hasher);
        state.floor.hash(&mut hasher);
        self.0.insert(hasher.finish())
    }
}

/// States at the boundary after `disk`: everything not synced is lost; nothing is; each one thing is, a few of them if
/// there are many; the last append is torn; a file has the end again that was cut; and `random` mixtures.
pub fn after_power_loss(disk: &Disk, rng: &mut Rng, random: usize) -> Vec<(Files, String)> {
    let mut states = Vec::new();
    let keep = |_: usize, content: &Content| content.bytes.clone();
    let lose = |_: usize, content: &Content| content.durable.clone();
    states.push((
        disk.after_loss(&mut |_| false, &mut { lose }),
        "all unsynced lost".to_owned(),
    ));
    states.push((
        disk.after_loss(&mut |_| true, &mut { keep }),
        "nothing lost".to_owned(),
    ));
    for change in 0..disk.pending.len() {
        if disk.pending.len() > 6 && !rng.one_in(2) {
            continue;
        }
        let story = format!("without {:?}", disk.pending[change]);
        let files = disk.after_loss(&mut |at| at != change, &mut { keep });
        states.push((files, story));
        let story = format!("of the entries only {:?}", disk.pending[change]);
        let files = disk.after_loss(&mut |at| at == change, &mut { keep });
        states.push((files, story));
    }
    for file in disk.unsynced() {
        let writes = disk.content(file).unsynced.len();
        for write in 0..writes {
            // The last ones always, and of the others a few.
            if write + 2 < writes && !rng.one_in(writes as u64 / 2 + 1) {
                continue;
            }
            let mut without = |at: usize, content: &Content| {
                if at == file {
                    content.without(&content.unsynced[write])
                } else {
                    content.bytes.clone()
                }
            };
            let story = format!("without write {write} of file {file}");
            states.push((disk.after_loss(&mut |_| true, &mut without), story));
        }
        for filling in [Filling::Cut, Filling::Zeroes, Filling::Garbage] {
            let (bytes, at) = torn(disk.content(file), filling, rng);
            let mut with_tail = |other: usize, content: &Content| {
                if other == file {
                    bytes.clone()
                } else {
                    content.bytes.clone()
                }
            };
            let story = format!("file {file} torn at {at}: {filling:?}");
            states.push((disk.after_loss(&mut |_| true, &mut with_tail), story));
        }
    }
    for file in disk.cut() {
        let mut with_old_end = |at: usize, content: &Content| {
            if at == file {
                content.with_old_end()
            } else {
                content.bytes.clone()
            }
        };
        let story = format!("file {file} with the end that was cut");
        states.push((disk.after_loss(&mut |_| true, &mut with_old_end), story));
    }
    for _ in 0..random {
        states.push((mixture(disk, rng), "a mixture".to_owned()));
    }
    states
}

#[derive(Clone, Copy, Debug)]
enum Filling {
    Cut,
    Zeroes,
    Garbage,
}

/// One of the last two writes came in part: a record, or zeroes behind it.
fn torn(content: &Content, filling: Filling, rng: &mut Rng) -> (Vec<u8>, usize) {
    let mut last = content.unsynced.iter().rev().take(2);
    let range = match rng.one_in(2) {
        true => last.next_back(),
        false => last.next(),
    };
    let range = range.expect("there are unsynced bytes");
    let at = range.start + rng.below(range.len() as u64 + 1) as usize;
    let mut bytes = content.without(&(at..range.end));
    match filling {
        Filling::Cut => {}
        Filling::Zeroes => {
            bytes.resize(content.bytes.len(), 0);
            bytes[at..range.end].fill(0);
        }
        Filling::Garbage => {
            bytes.resize(content.bytes.len(), 0);
            bytes[at..range.end]
                .iter_mut()
                .for_each(|byte| *byte = rng.next() as u8);
        }
    }
    (bytes, at)
}

/// Any of the unsynced changes, and of unsynced bytes any sectors, up to any length.
fn mixture(disk: &Disk, rng: &mut Rng) -> Files {
    let kept: Vec<bool> = disk.pending.iter().map(|_| rng.one_in(2)).collect();
    disk.after_loss(&mut |at| kept[at], &mut |_, content| {
        let mut bytes = match &content.before_cut {
            Some(_) if rng.one_in(2) => content.with_old_end(),
            _ => content.bytes.clone(),
        };
        if content.unsynced.is_empty() {
            return bytes;
        }
        let mood = rng.below(4);
        if mood == 0 {
            return bytes;
        }
        let first = content.unsynced.iter().map(|range| range.start).min();
        let last = content.unsynced.iter().map(|range| range.end).max();
        let (mut start, last) = (first.unwrap_or(0), last.unwrap_or(0));
        while mood > 1 && start < last {
            let end = ((start / SECTOR + 1) * SECTOR).min(last);
            let old = content.before_cut.as_ref();
            match rng.below(6) {
                2 => {
                    if let Some(old) = old.and_then(|old| old.get(start..end)) {
                        bytes[start..end].copy_from_slice(old);
                    }
                }
                0 => (start..end)
                    .for_each(|at| bytes[at] = content.durable.get(at).copied().unwrap_or(0)),
                1 => bytes[start..end]
                    .iter_mut()
                    .for_each(|byte| *byte = rng.next() as u8),
                _ => {}
            }
            start = end;
        }
        if rng.one_in(2) {
            let unsynced = bytes.len().saturating_sub(content.durable.len()) as u64;
            bytes.truncate(content.durable.len() + rng.below(unsynced + 1) as usize);
        }
        bytes
    })
}

/// States in which a kill can leave the directory during `next`: a write may have come in part.
pub fn after_kill(disk: &Disk, next: Option<&Recorded>, rng: &mut Rng) -> Vec<(Files, String)> {
    let mut states = vec![(disk.as_seen(), "killed".to_owned())];
    if let Some(Recorded {
        step: Step::Write {
            file,
            offset,
            bytes,
        },
        ..
    }) = next
        && !bytes.is_empty()
    {
        let mut lengths = vec![1, bytes.len() - 1];
        lengths.extend((0..2).map(|_| rng.below(bytes.len() as u64) as usize));
        for len in lengths {
            let mut torn = disk.clone();
            torn.apply(&Step::Write {
                file: *file,
                offset: *offset,
                bytes: bytes[..len].to_vec(),
            });
            states.push((torn.as_seen(), format!("killed {len} bytes into a write")));
        }
    }
    states
}
