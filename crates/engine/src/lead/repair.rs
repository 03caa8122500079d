//! Repair: makes of a damaged database one that opens, with all that can still be read.
//!
//! Promises:
//! - Nothing is deleted, and nothing is left that a later opening would remove: every file that the repaired database does
//!   not use gets a name that LevelDB and this engine ignore (`level-party.replaced-...`), and it has that name before the
//!   repaired database has its manifest. Until `CURRENT` is switched, in one step, the database is as it was.
//! - Where a manifest can be read, its levels are kept and only damaged tables are rewritten, without their damaged blocks.
//!   What else may hold the lost entries (tables that it does not name, logs below its log number) is read too, and of it
//!   whatever is newer than what the levels have: [`plan`] says which files. Where every named file is sound none of it is
//!   read, so that nothing deleted comes back.
//! - Where no manifest can be read, all tables and logs are merged into one sorted run, so that the newest entry of a key
//!   wins whatever level or number its table had (LevelDB's own repairer goes by file numbers, which can show old values).
//! - What an opening has set aside comes back, as far as nothing was written over it since.
//! - The last sequence is at least that of everything kept.
//! - No log has to be replayed: a torn or missing one would end the recovery of the next opening after a loss of power.
//!
//! Must not know: who holds the directory's `LOCK`: the caller does, throughout.

use std::collections::BTreeMap;
use std::sync::Arc;

use level_party_format::Sequence;
use level_party_format::edit::LEVELS;
use level_party_format::filename;

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::fs::Fs;
use crate::base::health::Health;
use crate::base::options::Options;
use crate::commit::wal::Wal;
use crate::follow::manifest_contents::Contents;
use crate::lead::aside_names::{ASIDE_PREFIX, REPLACED_PREFIX, aside_name};
use crate::lead::foreign;
use crate::lead::founding::Empty;
use crate::lead::losses;
use crate::lead::manifest::Manifest;
use crate::lead::verify::{Problem, examine};
use crate::read::files::FileMeta;

mod aside;
mod lost;
mod overlay;
mod patient;
mod pieces;
mod plan;
mod raw;
mod rebuild;

use aside::AsideLog;
use patient::Patient;
use plan::Plan;
use rebuild::Rebuild;

/// A repair of a database that nobody has open. Without [`Repair::dry_run`]`(false)` it changes nothing, and says what it
/// would do.
///
/// ```
/// use std::sync::Arc;
/// use level_party_engine::{Engine, Fs, MemFs, Options, Repair, Write, WriteBatch};
///
/// let files = MemFs::new();
/// let fs: Arc<dyn Fs> = Arc::new(files.clone());
/// let engine = Engine::open(Arc::clone(&fs), Options::default())?;
/// let mut batch = WriteBatch::new();
/// batch.put(b"colour", b"green");
/// engine.write(Write::new(batch))?;
/// engine.close()?;
/// files.remove("CURRENT").unwrap();
///
/// let plan = Repair::new(Arc::clone(&fs), Options::default()).run()?;
/// assert!(!plan.done && plan.problems[0].file == "CURRENT");
/// let repaired = Repair::new(Arc::clone(&fs), Options::default()).dry_run(false).run()?;
/// assert!(repaired.done);
/// let engine = Engine::open(fs, Options::default())?;
/// assert_eq!(engine.get(b"colour")?.unwrap().value, b"green");
/// # Ok::<(), level_party_engine::Error>(())
/// ```
pub struct Repair {
    fs: Arc<dyn Fs>,
    options: Options,
    dry_run: bool,
    bring_back: bool,
    allow_empty: bool,
}

/// What a [`Repair`] found, and did or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// What is wrong, as [`verify`](crate::verify) tells it.
    pub problems: Vec<Problem>,
    /// What openings left out or set aside that nobody has acknowledged; a repair ends these warnings.
    pub losses: Vec<String>,
    /// What is to be done, or was done, one sentence each; if it is nothing, nothing is done.
    pub actions: Vec<String>,
    /// Why a repair that is not a dry run would fail, where that is known.
    pub refusal: Option<String>,
    /// What could not be kept, a few sentences for each file; known only when it was done.
    pub lost: Vec<String>,
    /// The files that were set aside: the name they had, and the name they have.
    pub aside: Vec<(String, String)>,
    /// The repair was done; false for a dry run, and where there was nothing to do.
    pub done: bool,
}

impl Repair {
    /// A dry run of a repair. The options say the comparator, and how new tables are made.
    pub fn new(fs: Arc<dyn Fs>, options: Options) -> Repair {
        Repair {
            fs: Arc::new(Patient(fs)),
            options,
            dry_run: true,
            bring_back: true,
            allow_empty: false,
        }
    }

    /// Whether to change nothing; so at first.
    pub fn dry_run(mut self, dry_run: bool) -> Repair {
        self.dry_run = dry_run;
        self
    }

    /// Whether the sound batches of logs that openings have set aside are brought back; so at first. An entry comes back
    /// only where its key was not written since.
    pub fn bring_back_aside(mut self, bring_back: bool) -> Repair {
        self.bring_back = bring_back;
        self
    }

    /// Whether a repair may leave an empty database where files with data are that it can't read; not at first.
    pub fn allow_empty(mut self, allow_empty: bool) -> Repair {
        self.allow_empty = allow_empty;
        self
    }

    /// Looks at the database, and repairs it if anything is wrong.
    ///
    /// # Errors
    /// As [`verify`](crate::verify); [`ErrorKind::ComparatorMismatch`] also where no manifest says so but the order of the
    /// keys does; [`ErrorKind::Unsupported`] for a sound block whose compression is not known; for options that
    /// [`Engine::open`](crate::Engine::open) refuses; [`ErrorKind::Corruption`] where nothing could be kept, unless that is
    /// [allowed](Repair::allow_empty). If it fails while repairing, the database is as it was, beside some new files.
    pub fn run(mut self) -> Result<Repaired> {
        self.options.check()?;
        let examined = examine(&self.fs, &self.options.comparator)?;
        foreign::keep_compression(self.fs.as_ref(), &examined.names, &mut self.options);
        let mut report = Repaired {
            problems: examined.verified.problems.clone(),
            losses: examined.verified.losses.clone(),
            ..Repaired::default()
        };
        if let Some(refusal) = &examined.refusal {
            report.refusal = Some(refusal.to_string());
            return match self.dry_run {
                true => Ok(report),
                false => Err(refusal.clone()),
            };
        }
        let last_sequence = examined.verified.last_sequence;
        let aside = match self.bring_back {
            true => aside::find(self.fs.as_ref(), &examined.names)?,
            false => Vec::new(),
        };
        let plan = Plan::of(examined, aside);
        report.actions = plan.actions(!report.losses.is_empty());
        if !report.actions.is_empty() && !self.dry_run {
            match plan.is_needed {
                true => self.carry_out(plan, last_sequence, &mut report)?,
                false => losses::clear(self.fs.as_ref())?,
            }
            report.done = true;
        }
        Ok(report)
    }

    fn carry_out(&self, mut plan: Plan, last_sequence: u64, report: &mut Repaired) -> Result<()> {
        let mut rebuild = Rebuild::new(&self.fs, &self.options, &plan)?;
        let from_logs = rebuild.tables_of_logs(&plan.logs)?;
        let mut contents = match plan.take_contents() {
            Some(contents) => self.mend(contents, &plan, from_logs, &mut rebuild)?,
            None => {
                let mut contents = Contents::of_new_database();
                for file in rebuild.merge_all(&plan, from_logs)? {
                    contents
                        .files
                        .insert((LEVELS - 1, file.number), file.to_new_file());
                }
                contents
            }
        };
        self.bring_back(&mut contents, &plan, &mut rebuild)?;
        contents.last_sequence = contents
            .last_sequence
            .max(last_sequence)
            .max(rebuild.last_sequence());
        if contents.files.is_empty() && !plan.may_be_empty() && !self.allow_empty {
            let message = "nothing of it could be kept, so nothing was changed";
            return Err(Error::new(ErrorKind::Corruption, message));
        }
        let aside = self.names_aside(&plan, &contents)?;
        self.publish(&mut contents, &rebuild, &aside)?;
        self.clean_up(&rebuild, &aside)?;
        rebuild.tell(report);
        report.aside = aside;
        Ok(())
    }

    /// The levels of a manifest without what is damaged, and on top of them what other files have that is newer.
    fn mend(
        &self,
        mut contents: Contents,
        plan: &Plan,
        from_logs: Vec<Arc<FileMeta>>,
        rebuild: &mut Rebuild,
    ) -> Result<Contents> {
        let lost = rebuild.mend_levels(&mut contents, &plan.bad_tables)?;
        let mut newer = rebuild.sound_tables(&plan.unnamed)?;
        newer.extend(from_logs);
        newer.extend(rebuild.take_strays());
        let is_newer = |sequence: u64, known: Option<u64>| known.is_none_or(|k| sequence > k);
        rebuild.lay_over(&mut contents, newer, |_, sequence, known| {
            is_newer(sequence, known)
        })?;
        if !lost.is_empty() {
            let mut older = rebuild.sound_tables(&plan.obsolete)?;
            older.extend(rebuild.tables_of_logs(&plan.old_logs)?);
            older.extend(rebuild.take_strays());
            rebuild.lay_over(&mut contents, older, |key, sequence, known| {
                lost.contain(key) && is_newer(sequence, known)
            })?;
        }
        Ok(contents)
    }

    /// What openings have set aside, where nothing was written over it since.
    fn bring_back(
        &self,
        contents: &mut Contents,
        plan: &Plan,
        rebuild: &mut Rebuild,
    ) -> Result<()> {
        let mut partings: BTreeMap<Sequence, Vec<&AsideLog>> = BTreeMap::new();
        for log in &plan.aside {
            partings.entry(log.parted_at).or_default().push(log);
        }
        // The latest parting first: what was set aside then is newer than what was set aside before.
        for (parted_at, logs) in partings.into_iter().rev() {
            let tables = rebuild.tables_of_aside(&logs)?;
            rebuild.lay_over(contents, tables, |_, _, known| {
                known.is_none_or(|known| known < parted_at)
            })?;
        }
        Ok(())
    }

    /// For each file that the repaired database does not use, the name that it gets.
    fn names_aside(&self, plan: &Plan, contents: &Contents) -> Result<Vec<(String, String)>> {
        let names = plan.unused(contents).into_iter().map(|name| {
            let was = name.strip_prefix(ASIDE_PREFIX).unwrap_or(&name);
            let aside = aside_name(self.fs.as_ref(), REPLACED_PREFIX, was)?;
            Ok((name, aside))
        });
        names.collect()
    }

    /// Gives what goes its second name, and then the database its new manifest.
    fn publish(
        &self,
        contents: &mut Contents,
        rebuild: &Rebuild,
        aside: &[(String, String)],
    ) -> Result<()> {
        let fs = self.fs.as_ref();
        let manifest_number = rebuild.next_file_number();
        let wal = Wal::create(fs, rebuild.next_file_number())?;
        contents.log_number = wal.number();
        contents.prev_log_number = 0;
        contents.next_file_number = rebuild.next_file_number();
        for (name, second) in aside {
            let linked = fs.link(name, fs, second);
            linked.map_err(|error| Error::io("set aside", name, error))?;
        }
        // Nobody reads yet, so nobody rings it.
        let bell = Empty::on_the_heap()?.bell();
        let version = contents.version(rebuild.tables(), &bell)?;
        let health = Health::new(None);
        Manifest::create(
            &self.fs,
            manifest_number,
            contents,
            version,
            &bell,
            &health,
            &mut [],
        )?;
        Ok(())
    }

    /// Takes their old names from the files that are set aside, and removes what was made on the way.
    fn clean_up(&self, rebuild: &Rebuild, aside: &[(String, String)]) -> Result<()> {
        let fs = self.fs.as_ref();
        let made = rebuild.made_on_the_way().map(filename::table);
        for name in made.chain(aside.iter().map(|(name, _)| name.clone())) {
            fs.remove(&name)
                .map_err(|error| Error::io("remove", &name, error))?;
        }
        fs.sync_dir()
            .map_err(|error| Error::io("sync", "the directory", error))?;
        losses::clear(fs)
    }
}
