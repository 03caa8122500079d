//! [`Plan`]: which files a repair goes by, which it reads beside them, and which it sets aside.
//!
//! By a manifest that can be read, these files may hold what is lost:
//! - the logs that it needs, and all newer ones;
//! - tables that it does not name and that are not [obsolete](crate::lead::choose_manifest::Chosen::is_obsolete): the manifest
//!   may have lost its newest edits. They are read whole where anything that it names is missing or damaged, or where its
//!   own end is;
//! - obsolete tables and older logs: tables that are damaged or missing now may have been made of them. They are read for
//!   the key ranges of those tables alone, because elsewhere they hold deleted entries.
//!
//! Without a manifest every table and every log is read; then deleted entries may come back, and that is said.
//!
//! Promises: a file that is not used by the repaired database is among the [`unused`](Plan::unused) ones.
//! Must not know: how entries are read or written.

use std::collections::BTreeSet;

use level_party_format::filename::{self, CURRENT, FileKind};

use super::aside::AsideLog;
use crate::follow::manifest_contents::Contents;
use crate::lead::choose_manifest::Chosen;
use crate::lead::verify::{Examined, numbered};

/// What is to be done.
pub(super) struct Plan {
    /// Anything is wrong, or there is something to bring back.
    pub(super) is_needed: bool,
    chosen: Option<Chosen>,
    /// The chosen manifest is whole and all files that it names are there.
    is_complete: bool,
    /// All that it names can be read.
    is_sound: bool,
    pub(super) bad_tables: BTreeSet<u64>,
    /// Tables that the manifest does not name, to be read whole. Without a manifest: all tables.
    pub(super) unnamed: Vec<u64>,
    /// Tables to be read for what damaged ones have lost.
    pub(super) obsolete: Vec<u64>,
    /// Logs whose batches become tables, in order.
    pub(super) logs: Vec<u64>,
    /// Any of them has a batch.
    has_batches: bool,
    /// Logs to be read for what damaged tables have lost.
    pub(super) old_logs: Vec<u64>,
    /// Logs that openings have set aside.
    pub(super) aside: Vec<AsideLog>,
    names: Vec<String>,
}

impl Plan {
    pub(super) fn of(examined: Examined, aside: Vec<AsideLog>) -> Plan {
        let tables: Vec<u64> = numbered(&examined.names, FileKind::Table)
            .into_keys()
            .collect();
        let logs: Vec<u64> = numbered(&examined.names, FileKind::Log)
            .into_keys()
            .collect();
        let mut plan = Plan {
            is_needed: !examined.verified.problems.is_empty() || !aside.is_empty(),
            is_complete: false,
            is_sound: false,
            bad_tables: examined.bad_tables,
            unnamed: tables,
            obsolete: Vec::new(),
            logs,
            has_batches: examined.verified.batches > 0,
            old_logs: Vec::new(),
            aside,
            names: examined.names,
            chosen: examined.chosen,
        };
        plan.go_by_manifest(examined.bad_logs);
        plan
    }

    fn go_by_manifest(&mut self, bad_logs: bool) {
        let Some(chosen) = &self.chosen else {
            return;
        };
        let contents = &chosen.contents;
        let (first_log, prev_log) = (contents.log_number, contents.prev_log_number);
        self.is_complete = chosen.is_complete;
        self.is_sound = chosen.is_complete && self.bad_tables.is_empty() && !bad_logs;
        let is_named = |number: &u64| contents.files.keys().any(|(_, named)| named == number);
        let is_needed =
            |number: &u64| *number >= first_log || (*number == prev_log && prev_log != 0);
        let unnamed = std::mem::take(&mut self.unnamed)
            .into_iter()
            .filter(|number| !is_named(number));
        let (obsolete, unnamed): (Vec<u64>, Vec<u64>) =
            unnamed.partition(|number| chosen.is_obsolete(*number));
        let old_logs;
        (self.logs, old_logs) = std::mem::take(&mut self.logs)
            .into_iter()
            .partition(is_needed);
        if !self.is_sound {
            self.unnamed = unnamed;
        }
        if !self.bad_tables.is_empty() {
            (self.obsolete, self.old_logs) = (obsolete, old_logs);
        }
    }

    /// What the manifest says, if there is one to go by.
    pub(super) fn take_contents(&mut self) -> Option<Contents> {
        self.chosen.take().map(|chosen| chosen.contents)
    }

    /// What the manifest says of numbers that are taken.
    pub(super) fn contents(&self) -> Option<&Contents> {
        self.chosen.as_ref().map(|chosen| &chosen.contents)
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether a database without any entry is right.
    pub(super) fn may_be_empty(&self) -> bool {
        let holds_data =
            |kind: FileKind| matches!(kind, FileKind::Table | FileKind::Log | FileKind::Manifest);
        self.is_sound
            || !self
                .names
                .iter()
                .any(|name| filename::parse(name).is_some_and(|(kind, _)| holds_data(kind)))
    }

    /// What is to be done, a sentence each; nothing, where nothing is. With `has_losses` there is something to forget.
    pub(super) fn actions(&self, has_losses: bool) -> Vec<String> {
        let mut actions = Vec::new();
        if self.is_needed {
            match &self.chosen {
                Some(chosen) => self.actions_by(chosen, &mut actions),
                None => self.actions_without_manifest(&mut actions),
            }
            let logs = if self.has_batches {
                &self.logs[..]
            } else {
                &[]
            };
            for number in logs {
                let name = filename::log(*number);
                actions.push(format!("the sound batches of {name} become a table"));
            }
            for log in &self.aside {
                actions.push(format!(
                    "the {} sound batches of {} are brought back where their keys were not written since",
                    log.batches, log.name
                ));
            }
            actions.push(
                "a new manifest is written, and every file that it does not use is set aside"
                    .to_owned(),
            );
        }
        if has_losses {
            actions.push("the warnings about earlier losses end".to_owned());
        }
        actions
    }

    fn actions_by(&self, chosen: &Chosen, actions: &mut Vec<String>) {
        let manifest = filename::manifest(chosen.number);
        actions.push(match self.is_complete {
            true => format!("the repair goes by {manifest}, which is whole and whose files are all there"),
            false => format!(
                "the repair goes by {manifest}, which may be out of date: deleted entries may come back"
            ),
        });
        for number in &self.bad_tables {
            let table = filename::table(*number);
            actions.push(
                match numbered(&self.names, FileKind::Table).contains_key(number) {
                    true => {
                        format!("{table} is rewritten without what cannot be read")
                    }
                    false => format!("{table} is missing and is left out"),
                },
            );
        }
        let unnamed = self.unnamed.len();
        if unnamed > 0 {
            let count = counted(unnamed, "table");
            actions.push(format!(
                "newer entries are taken from {count} that it does not name"
            ));
        }
        let older = self.obsolete.len() + self.old_logs.len();
        if older > 0 {
            let count = counted(older, "older file");
            actions.push(format!(
                "entries that damaged tables lost are taken from {count}; deleted entries may come back among them"
            ));
        }
    }

    fn actions_without_manifest(&self, actions: &mut Vec<String>) {
        actions.push(format!(
            "no manifest can be read: the entries of {} are merged into new tables; deleted entries may come back",
            counted(self.unnamed.len(), "table")
        ));
    }

    /// The files that the repaired database does not use, in order.
    pub(super) fn unused(&self, contents: &Contents) -> Vec<String> {
        let named: BTreeSet<u64> = contents.files.keys().map(|(_, number)| *number).collect();
        let is_unused = |name: &&String| match filename::parse(name) {
            Some((FileKind::Manifest, _)) => name.as_str() != CURRENT,
            Some((FileKind::Table, number)) => !named.contains(&number),
            Some((FileKind::Log, _)) => true,
            _ => self.aside.iter().any(|log| log.name == **name),
        };
        let mut unused: Vec<String> = self.names.iter().filter(is_unused).cloned().collect();
        unused.sort();
        unused
    }
}

/// A count with its noun.
fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}
