//! What a repair keeps of the workload, as a compact table: one line a damage.
//!
//! ```text
//! line   = damage ": " what
//! what   = "refused" | "all" | runs, separated by blanks
//! run    = key number ["-" key number] "=" state
//! state  = "-" (no value) | "?" (a value that was never put) | n (the n-th version of the key, from 0)
//! ```
//! Keys that no run names have the state that they have in the undamaged database.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::fixture::{KEYS, key, versions};
use super::{Damage, Files, damages};
use crate::{Entries, Peer};

/// What is under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Absent,
    /// A value that nobody put there.
    Foreign,
    /// The value of a version, counted from the oldest.
    Version(usize),
}

/// What is kept after one damage; `None` where nothing can be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept(pub Option<BTreeMap<Vec<u8>, State>>);

impl Kept {
    /// What the undamaged database holds.
    pub fn undamaged() -> Self {
        let versions = versions();
        let states = versions.into_iter().map(|(key, versions)| {
            let last = versions.len() - 1;
            let state = match versions[last].value {
                Some(_) => State::Version(last),
                None => State::Absent,
            };
            (key, state)
        });
        Kept(Some(states.collect()))
    }

    /// What these entries are.
    pub fn of(entries: &Entries) -> Self {
        let found: BTreeMap<&[u8], &[u8]> = entries
            .iter()
            .map(|(key, value)| (&key[..], &value[..]))
            .collect();
        let states = versions().into_iter().map(|(key, versions)| {
            let state = match found.get(&key[..]) {
                None => State::Absent,
                Some(value) => versions
                    .iter()
                    .position(|version| version.value.as_deref() == Some(value))
                    .map_or(State::Foreign, State::Version),
            };
            (key, state)
        });
        Kept(Some(states.collect()))
    }

    fn parse(text: &str) -> Option<Self> {
        if text == "refused" {
            return Some(Kept(None));
        }
        let mut states = Self::undamaged().0?;
        let runs = text.split(' ').filter(|run| *run != "all");
        for run in runs {
            let (keys, state) = run.split_once('=')?;
            let (first, last) = keys.split_once('-').unwrap_or((keys, keys));
            let state = match state {
                "-" => State::Absent,
                "?" => State::Foreign,
                number => State::Version(number.parse().ok()?),
            };
            for number in first.parse().ok()?..=last.parse().ok()? {
                states.insert(key(number), state);
            }
        }
        Some(Kept(Some(states)))
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(states), Kept(Some(undamaged))) = (&self.0, Kept::undamaged()) else {
            return f.write_str("refused");
        };
        let mut runs: Vec<(u32, u32, State)> = Vec::new();
        for number in 0..KEYS {
            let key = key(number);
            let state = states.get(&key).copied();
            let Some(state) = state.filter(|state| undamaged.get(&key) != Some(state)) else {
                continue;
            };
            match runs.last_mut() {
                Some((_, last, same)) if *last + 1 == number && *same == state => *last = number,
                _ => runs.push((number, number, state)),
            }
        }
        if runs.is_empty() {
            return f.write_str("all");
        }
        for (n, (first, last, state)) in runs.into_iter().enumerate() {
            let blank = if n == 0 { "" } else { " " };
            match first == last {
                true => write!(f, "{blank}{first}=")?,
                false => write!(f, "{blank}{first}-{last}=")?,
            }
            match state {
                State::Absent => f.write_str("-")?,
                State::Foreign => f.write_str("?")?,
                State::Version(number) => write!(f, "{number}")?,
            }
        }
        Ok(())
    }
}

/// What is kept after each damage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptTable(pub Vec<(String, Kept)>);

impl KeptTable {
    /// The table in `text`.
    ///
    /// # Panics
    /// If it is no such table.
    pub fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let parsed = line
                .split_once(": ")
                .and_then(|(damage, what)| Some((damage.to_owned(), Kept::parse(what)?)));
            parsed.unwrap_or_else(|| panic!("no line of a table: {line}"))
        };
        KeptTable(text.lines().map(line).collect())
    }

    /// What is kept after `damage`.
    ///
    /// # Panics
    /// If the table does not say.
    pub fn of(&self, damage: &Damage) -> &Kept {
        let damage = damage.to_string();
        let line = self.0.iter().find(|(named, _)| *named == damage);
        let (_, kept) = line.unwrap_or_else(|| panic!("the table has no line for {damage}"));
        kept
    }
}

impl fmt::Display for KeptTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|(damage, kept)| writeln!(f, "{damage}: {kept}"))
    }
}

/// What C++ LevelDB's `RepairDB` keeps after each damage of `files`, tried in directories below `scratch`.
///
/// # Panics
/// If C++ LevelDB is not installed.
pub fn kept_by_leveldb(files: &Files, scratch: &Path) -> KeptTable {
    let peer = Peer::leveldb_1_23();
    let lines = damages(files).into_iter().map(|damage| {
        let dir = scratch.join("damaged");
        damage.apply(files).write_to(&dir);
        let kept = match peer.repair(&dir) {
            Ok(entries) => Kept::of(&entries),
            Err(_) => Kept(None),
        };
        std::fs::remove_dir_all(&dir).expect("the directory goes");
        (damage.to_string(), kept)
    });
    KeptTable(lines.collect())
}
