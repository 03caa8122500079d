//! Databases that several processes can have open, as rows of a table.

use std::path::Path;
use std::time::Duration;

use level_party_bench::{Result, Summary};

use crate::local::run_store;
use crate::peers;
use crate::settings::Settings;
use crate::worker::{Work, Worker, at_once};

/// One of those compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Lmdb,
    Sqlite,
    Party,
    /// The same with [`Options::map_tables`](level_party::Options::map_tables).
    MappedParty,
}

impl Subject {
    /// In the order of a table's rows; all defaults of ours.
    pub const ALL: [Subject; 3] = [Subject::Lmdb, Subject::Sqlite, Subject::Party];

    pub fn name(self) -> &'static str {
        match self {
            Subject::Lmdb => "LMDB",
            Subject::Sqlite => "SQLite",
            Subject::Party => "level-party",
            Subject::MappedParty => "level-party, tables mapped",
        }
    }

    /// As a worker knows it. `None`: there is no such store whose puts are synced.
    fn store(self, synced: bool) -> Option<&'static str> {
        match (self, synced) {
            (Subject::Lmdb, false) => Some("lmdb"),
            (Subject::Lmdb, true) => None,
            (Subject::Sqlite, false) => Some("sqlite"),
            (Subject::Sqlite, true) => Some("sqlite-full"),
            (Subject::Party, false) => Some("party"),
            (Subject::Party, true) => Some("party-sync"),
            (Subject::MappedParty, false) => Some("party-mapped"),
            (Subject::MappedParty, true) => None,
        }
    }

    /// Whether this program has it.
    pub fn is_built(self) -> bool {
        self.is_ours() || peers::names().is_some()
    }

    fn is_ours(self) -> bool {
        matches!(self, Subject::Party | Subject::MappedParty)
    }

    /// Starts a process that has the database in `dir` open, which nobody has yet: it leads where the database has such a role.
    pub fn start(self, dir: &Path, entries: usize) -> Result<Worker> {
        self.start_as(self.store(false), dir, entries, true)
    }

    /// Starts one more.
    pub fn join(self, dir: &Path, entries: usize) -> Result<Worker> {
        self.start_as(self.store(false), dir, entries, false)
    }

    fn start_as(
        self,
        store: Option<&str>,
        dir: &Path,
        entries: usize,
        is_first: bool,
    ) -> Result<Worker> {
        let role = match (self.is_ours(), is_first) {
            (true, true) => "leader",
            (true, false) => "follower",
            _ => "open",
        };
        Worker::start(store.ok_or("no such store")?, dir, entries, role)
    }
}

/// A database of all entries that several processes have open.
pub struct Shared {
    pub subject: Subject,
    pub workers: Vec<Worker>,
}

impl Shared {
    /// Makes one below `parent`, written in random order and then compacted, and reads it once in each process.
    fn make(
        subject: Subject,
        store: &str,
        parent: &Path,
        settings: &Settings,
        count: usize,
    ) -> Result<Shared> {
        let dir = parent.join(store);
        run_store(store, "prepare", &dir, settings)?;
        let start = |index| subject.start_as(Some(store), &dir, settings.entries(), index == 0);
        let mut workers = (0..count).map(start).collect::<Result<Vec<_>>>()?;
        workers.iter_mut().try_for_each(Worker::warm)?;
        Ok(Shared { subject, workers })
    }

    /// One of each of `subjects` that this program has. `synced`: a put is on stable storage before it is answered.
    pub fn each(
        subjects: &[Subject],
        parent: &Path,
        settings: &Settings,
        count: usize,
        synced: bool,
    ) -> Result<Vec<Shared>> {
        let built = subjects
            .iter()
            .copied()
            .filter(|subject| subject.is_built());
        built
            .filter_map(|subject| Some((subject, subject.store(synced)?)))
            .map(|(subject, store)| Shared::make(subject, store, parent, settings, count))
            .collect()
    }

    /// The one of `subject`, if it is there.
    pub fn of(all: &mut [Shared], subject: Subject) -> Option<&mut Shared> {
        all.iter_mut().find(|shared| shared.subject == subject)
    }
}

/// What calls take that the first `processes` of each database make at once, in rounds that take turns: for each subject its
/// rounds, and in each of them one process after the other. A subject that is not there has no rounds.
pub fn rounds_at_once<const N: usize>(
    settings: &Settings,
    shared: &mut [Shared],
    subjects: [Subject; N],
    processes: usize,
    work: Work,
) -> Result<[Vec<Vec<Summary>>; N]> {
    let mut all = [const { Vec::new() }; N];
    for _ in 0..settings.rounds() {
        for (subject, rounds) in subjects.into_iter().zip(&mut all) {
            if let Some(shared) = Shared::of(shared, subject) {
                let workers = &mut shared.workers[..processes];
                rounds.push(at_once(workers, work, settings.time())?);
            }
        }
    }
    Ok(all)
}

/// The calls of all processes as one: the median over rounds, if there were any.
pub fn median_together(rounds: &[Vec<Summary>]) -> Option<Summary> {
    median(&rounds.iter().map(|each| together(each)).collect::<Vec<_>>())
}

/// Calls a second of processes whose calls take as long as the summary says.
pub fn per_second(summary: &Summary, processes: usize) -> f64 {
    processes as f64 * 1e9 / summary.mean
}

/// The calls of several processes as one.
fn together(all: &[Summary]) -> Summary {
    let count: u64 = all.iter().map(|one| one.count).sum();
    let nanos: f64 = all.iter().map(|one| one.mean * one.count as f64).sum();
    Summary::of_total(count, Duration::from_nanos(nanos as u64))
}

/// The median over rounds, if there were any.
pub fn median(rounds: &[Summary]) -> Option<Summary> {
    (!rounds.is_empty()).then(|| Summary::median(rounds))
}
