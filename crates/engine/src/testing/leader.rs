//! [`Leader`]: a founder without threads, which publishes versions when a test says so. Their tables have no files.

use std::sync::Arc;

use level_party_format::edit::NewFile;

use super::{Item, Rng, tables};
use crate::base::bell::Bell;
use crate::base::control::{Leading, VersionRecord};
use crate::base::fs::{Fs, MemFs};
use crate::base::health::Health;
use crate::base::member::{Member, Membership};
use crate::base::next_file::NextFile;
use crate::base::options::Options;
use crate::commit::wal::Wal;
use crate::follow::manifest_contents::Contents;
use crate::lead::founding::{Empty, Founding, NOTHING_FLUSHED};
use crate::lead::kept_logs::KeptLogs;
use crate::lead::manifest::{Change, Manifest};
use crate::lead::obsolete::Obsolete;
use crate::lead::opened::Base;
use crate::read::files::FileMeta;
use crate::read::version::Version;

pub(crate) struct Leader {
    fs: Arc<dyn Fs>,
    /// The memory of the active region is in it.
    founding: Founding,
    leading: Leading,
    manifest: Manifest,
    next_file: NextFile,
    health: Health,
    bell: Arc<Bell>,
}

impl Leader {
    /// Founds an empty database in a directory in memory.
    pub(crate) fn found(files: &MemFs) -> Leader {
        let fs: Arc<dyn Fs> = Arc::new(files.clone());
        let tables = tables(files);
        let health = Health::new(None);
        let segment = Empty::on_the_heap().unwrap();
        let (bell, next_file) = (segment.bell(), segment.control.next_file());
        let mut contents = Contents::of_new_database();
        next_file.set(contents.next_file_number);
        let (number, log) = (next_file.next(), next_file.next());
        contents.log_number = log;
        contents.next_file_number = next_file.peek();
        let version = contents.version(&tables, &bell).unwrap();
        let manifest =
            Manifest::create(&fs, number, &contents, version, &bell, &health, &mut []).unwrap();
        let base = Base {
            manifest,
            obsolete: Obsolete::default(),
            kept: KeptLogs::default(),
        };
        let log = Wal::create(fs.as_ref(), log).unwrap();
        let founding = segment.found(&Options::default(), &tables, &base, log, 0, 0);
        let founding = founding.unwrap();
        Leader {
            fs,
            leading: Leading::new(founding.member.control.clone()),
            founding,
            manifest: base.manifest,
            next_file,
            health,
            bell,
        }
    }

    /// Another member of the same segment.
    pub(crate) fn join(&self) -> Arc<Member> {
        join(&self.founding.member)
    }

    /// The version that the manifest says, published or not.
    pub(crate) fn version(&self) -> &Arc<Version> {
        self.manifest.version()
    }

    /// What is to be published with it.
    pub(crate) fn record(&self) -> VersionRecord {
        VersionRecord {
            counter: self.leading.next_counter(),
            ..self.manifest.record(NOTHING_FLUSHED)
        }
    }

    /// Appends a change to the manifest and syncs it (M1, M2). Gives what is to be published.
    pub(crate) fn append(&mut self, change: Change) -> VersionRecord {
        let applied = self.manifest.apply(change, &self.next_file, &self.health);
        applied.unwrap();
        self.record()
    }

    /// Goes on in a new manifest (L5). Gives what is to be published.
    pub(crate) fn begin_manifest(&mut self) -> VersionRecord {
        let version = Arc::clone(self.version());
        let record = self.record();
        let contents = Contents {
            log_number: record.log_number,
            last_sequence: record.last,
            next_file_number: self.next_file.peek(),
            ..Contents::of_new_database()
        };
        let number = self.next_file.next();
        let (bell, health) = (&self.bell, &self.health);
        self.manifest =
            Manifest::create(&self.fs, number, &contents, version, bell, health, &mut []).unwrap();
        self.record()
    }

    /// Publishes (M3, M4).
    pub(crate) fn publish(&self, record: &VersionRecord) {
        self.leading.publish(record);
    }

    /// A table with a number of its own and no other table's keys, which are about `len` bytes long.
    pub(crate) fn table(&self, len: usize) -> Arc<FileMeta> {
        let number = self.next_file.next();
        let key = |at| Item::put(&format!("{number:08}{at:>len$}"), number, "").internal_key();
        Arc::new(FileMeta::new(number, 100 * number, key(0), key(1)))
    }

    /// Some tables that come, go or move; now and then in an edit that is longer than a block.
    pub(crate) fn random_change(&self, rng: &mut Rng) -> Change {
        let mut change = Change::default();
        for (level, file) in self.version().files() {
            match rng.below(8) {
                0 => change.removed.push((level, file.number)),
                1 if level < 6 => {
                    change.removed.push((level, file.number));
                    change.added.push((level + 1, Arc::clone(file)));
                }
                _ => {}
            }
        }
        for _ in 0..rng.below(4) {
            let len = [1, 10, 200, 40_000][rng.below(4) * rng.below(2)];
            change.added.push((rng.below(3), self.table(len)));
        }
        if rng.one_in(3) {
            let pointer = Item::put("pointer", 1, "").internal_key();
            change.compact_pointer = Some((rng.below(6), pointer));
        }
        if rng.one_in(3) {
            let record = self.record();
            let (log, last) = (record.log_number, record.last);
            change.flushed = Some((
                log + 1 + rng.below(3) as u64,
                last + rng.below(1_000) as u64,
            ));
        }
        change
    }
}

/// A member beside this one.
pub(crate) fn join(member: &Member) -> Arc<Member> {
    Arc::new(
        Member::join(
            member.control.clone(),
            Membership {
                segment: Arc::clone(&member.segment),
                peers: Arc::clone(&member.peers),
                incarnation: member.control.next_incarnation().unwrap(),
            },
            &member.name,
        )
        .unwrap(),
    )
}

/// All files of a version with their levels, in its order.
pub(crate) fn files_of(version: &Version) -> Vec<(usize, NewFile)> {
    let files = version.files();
    files
        .map(|(level, file)| (level, file.to_new_file()))
        .collect()
}
