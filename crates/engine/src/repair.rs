//! Repair: makes of a damaged database one that opens, with all that can still be read.
//!
//! Promises: nothing is deleted: what is replaced gets a name that LevelDB ignores (`level-party.aside-...`), and it has
//! that name before the repaired database has its manifest. Until `CURRENT` is switched, in one step, the database is as
//! it was. Where the manifest can be trusted, levels are kept and only damaged tables are rewritten, without their
//! damaged blocks. Where it can't, all tables and logs are merged into one sorted run, so that the newest entry of a key
//! wins whatever level or number its table had (LevelDB's own repairer goes by file numbers, which can show old values).
//! Must not know: who holds the directory's `LOCK`: the caller does, throughout.

use std::collections::BTreeSet;
use std::sync::Arc;

use level_party_format::edit::LEVELS;
use level_party_format::filename::{self, CURRENT, FileKind};

use crate::bell::Bell;
use crate::error::{Error, Result};
use crate::files::FileMeta;
use crate::foreign;
use crate::fs::Fs;
use crate::health::Health;
use crate::manifest::{Contents, Manifest};
use crate::options::Options;
use crate::recovery::aside_name;
use crate::verify::{Examined, Problem, examine, numbered};
use crate::wal::Wal;

mod rebuild;

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
}

/// What a [`Repair`] found, and did or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// What is wrong, as [`verify`](crate::verify) tells it. If there is nothing, nothing is done.
    pub problems: Vec<Problem>,
    /// What is to be done, or was done, one sentence each.
    pub actions: Vec<String>,
    /// What could not be kept, one sentence each; known only when it was done.
    pub lost: Vec<String>,
    /// The files that were set aside: the name they had, and the name they have.
    pub aside: Vec<(String, String)>,
    /// The repair was done; false for a dry run, and where there was nothing to do.
    pub done: bool,
}

/// What is to be done.
struct Plan {
    /// What the manifest says, if it can be trusted.
    contents: Option<Contents>,
    bad_tables: BTreeSet<u64>,
    /// Logs whose batches become tables.
    logs: Vec<u64>,
    /// They, or ones that are missing, are not replayed any more.
    replace_logs: bool,
    names: Vec<String>,
}

impl Repair {
    /// A dry run of a repair. The options say the comparator, and how new tables are made.
    pub fn new(fs: Arc<dyn Fs>, options: Options) -> Repair {
        Repair {
            fs,
            options,
            dry_run: true,
        }
    }

    /// Whether to change nothing; so at first.
    pub fn dry_run(mut self, dry_run: bool) -> Repair {
        self.dry_run = dry_run;
        self
    }

    /// Looks at the database, and repairs it if anything is wrong.
    ///
    /// # Errors
    /// As [`verify`](crate::verify), [`Unsupported`](crate::ErrorKind::Unsupported) for a sound block whose compression is
    /// not known, and for options that [`Engine::open`](crate::Engine::open) refuses. If it fails while
    /// repairing, the database is as it was, beside some new files.
    pub fn run(mut self) -> Result<Repaired> {
        self.options.check()?;
        let examined = examine(&self.fs, &self.options.comparator)?;
        let problems = examined.verified.problems.clone();
        if problems.is_empty() {
            return Ok(Repaired::default());
        }
        foreign::check_blocks(&self.fs, &examined.names, &self.options.comparator)?;
        foreign::keep_compression(self.fs.as_ref(), &examined.names, &mut self.options);
        let last_sequence = examined.verified.last_sequence;
        let plan = Plan::of(examined);
        let mut report = Repaired {
            problems,
            actions: plan.actions(),
            ..Repaired::default()
        };
        if !self.dry_run {
            self.carry_out(plan, last_sequence, &mut report)?;
            report.done = true;
        }
        Ok(report)
    }

    fn carry_out(&self, plan: Plan, last_sequence: u64, report: &mut Repaired) -> Result<()> {
        let fs = self.fs.as_ref();
        let mut aside = plan.files_to_set_aside(fs)?;
        let mut rebuild = Rebuild::new(&self.fs, &self.options, &plan)?;
        let from_logs = rebuild.tables_of_logs(&plan.logs)?;
        let mut contents = match plan.contents {
            Some(mut contents) => {
                rebuild.mend_levels(&mut contents, &plan.bad_tables, &mut aside)?;
                for file in from_logs {
                    contents.files.insert((0, file.number), file.to_new_file());
                }
                contents
            }
            None => {
                let tables = numbered(&plan.names, FileKind::Table);
                let run = rebuild.merge_all(&tables, &plan.bad_tables, from_logs)?;
                let mut contents = Contents::of_new_database();
                for file in run {
                    contents
                        .files
                        .insert((LEVELS - 1, file.number), file.to_new_file());
                }
                contents
            }
        };
        contents.last_sequence = contents.last_sequence.max(last_sequence);
        self.publish(&mut contents, &rebuild, plan.replace_logs, &aside)?;
        report.lost = rebuild.into_lost();
        for (name, _) in &aside {
            fs.remove(name)
                .map_err(|error| Error::io("remove", name, error))?;
        }
        fs.sync_dir()
            .map_err(|error| Error::io("sync", "the directory", error))?;
        report.aside = aside;
        Ok(())
    }

    /// Gives what goes its second name, and then the database its new manifest.
    fn publish(
        &self,
        contents: &mut Contents,
        rebuild: &Rebuild,
        replace_logs: bool,
        aside: &[(String, String)],
    ) -> Result<()> {
        let fs = self.fs.as_ref();
        let manifest_number = rebuild.next_file_number();
        if replace_logs {
            let wal = Wal::create(fs, rebuild.next_file_number())?;
            contents.log_number = wal.number();
        }
        contents.prev_log_number = 0;
        contents.next_file_number = rebuild.next_file_number();
        for (name, second) in aside {
            let linked = fs.link(name, fs, second);
            linked.map_err(|error| Error::io("set aside", name, error))?;
        }
        let bell = Arc::new(Bell::default());
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
}

impl Plan {
    fn of(examined: Examined) -> Plan {
        let mut logs: Vec<u64> = numbered(&examined.names, FileKind::Log)
            .into_keys()
            .collect();
        let mut replace_logs = true;
        if let Some(contents) = &examined.contents {
            let (log, prev_log) = (contents.log_number, contents.prev_log_number);
            replace_logs = examined.bad_logs || prev_log != 0;
            logs.retain(|number| replace_logs && (*number >= log || *number == prev_log));
        }
        Plan {
            contents: examined.contents,
            bad_tables: examined.bad_tables.into_iter().collect(),
            logs,
            replace_logs,
            names: examined.names,
        }
    }

    fn actions(&self) -> Vec<String> {
        let mut actions = Vec::new();
        match &self.contents {
            Some(_) => {
                for number in &self.bad_tables {
                    let table = filename::table(*number);
                    actions.push(format!(
                        "{table} is rewritten on its level, without what can't be read"
                    ));
                }
            }
            None => {
                let tables = numbered(&self.names, FileKind::Table).len();
                actions.push(format!(
                    "the manifest can't be trusted: what {tables} tables hold is merged into new tables on the last level"
                ));
            }
        }
        for number in &self.logs {
            actions.push(format!(
                "the good batches of {} become a table",
                filename::log(*number)
            ));
        }
        actions.push("a new manifest is made, and what it replaces is set aside".to_owned());
        actions
    }

    /// The manifests, and the logs that become tables; with a manifest that can't be trusted, the tables too.
    fn files_to_set_aside(&self, fs: &dyn Fs) -> Result<Vec<(String, String)>> {
        let mut names: Vec<String> = Vec::new();
        for (_, name) in numbered(&self.names, FileKind::Manifest) {
            names.push(name.to_owned());
        }
        for (number, name) in numbered(&self.names, FileKind::Log) {
            if self.logs.contains(&number) {
                names.push(name.to_owned());
            }
        }
        if self.contents.is_none() {
            let tables = self
                .names
                .iter()
                .filter(|name| matches!(filename::parse(name), Some((FileKind::Table, _))));
            names.extend(tables.cloned());
        }
        names.retain(|name| name != CURRENT);
        let pairs = names.into_iter().map(|name| {
            let aside = aside_name(fs, &name)?;
            Ok((name, aside))
        });
        pairs.collect()
    }
}

/// A table that is replaced: its name now, and the one it gets.
fn aside_of_table(fs: &dyn Fs, file: &FileMeta) -> Result<Option<(String, String)>> {
    for name in [
        filename::table(file.number),
        filename::table_old(file.number),
    ] {
        let exists = fs.exists(&name);
        if exists.map_err(|error| Error::io("look for", &name, error))? {
            let aside = aside_name(fs, &name)?;
            return Ok(Some((name, aside)));
        }
    }
    Ok(None)
}
