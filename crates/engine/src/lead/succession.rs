//! Succession: a member takes leading over from one that died, in the same segment (docs/COMMIT.md, L). Nothing is recovered,
//! replayed or made again: reads and commits go on meanwhile.
//!
//! Promises: the version that is read stays the same, but for the manifest that names it. An edit that the dead leader
//! appended and did not publish did not happen. Nothing is removed before the new manifest is durable, named by `CURRENT`,
//! and published.
//! Must not know: how the member found out that it may lead.
//!
//! Dies after any step: the next successor does the same from the version that is published then. `CURRENT` names a whole
//! manifest of that version, the old one or the new one; after a loss of power either is durable with all it needs.

use std::sync::Arc;

use crate::base::control::Leading;
use crate::base::error::{Error, Result};
use crate::base::health::Health;
use crate::base::steps::step;
use crate::commit::shared::Shared;
use crate::follow::manifest_contents::{Contents, Files};
use crate::lead::background::Start;
use crate::lead::kept_logs::KeptLogs;
use crate::lead::manifest::Manifest;
use crate::lead::obsolete::Obsolete;
use crate::lead::opened::Base;
use crate::read::version::Version;
use crate::read::view::View;

/// What a member begins to lead with (L3 to L7, H1 to H3). Only one member may be at this.
///
/// # Errors
/// The version that is read can't be opened: then the files are to be recovered. The system's error.
pub(crate) fn succeed(shared: &Arc<Shared>, health: &Arc<Health>) -> Result<Start> {
    let leading = Leading::new(shared.member.control.clone());
    leading.begin(shared.member.own);
    match publish_own(shared, health, leading) {
        Err(error) => {
            Leading::new(shared.member.control.clone()).end(shared.member.own);
            shared.tell_progress();
            Err(error)
        }
        begun => begun,
    }
}

/// Opens what is not in tables, writes a manifest of the version that is published, and publishes that. Then no pin of the
/// dead leader's last scan is undecided any more.
fn publish_own(shared: &Arc<Shared>, health: &Arc<Health>, leading: Leading) -> Result<Start> {
    let record = shared.version_record()?;
    // Without a leader nobody publishes another version.
    let view = shared.views.load_full()?;
    // L4: the system forgets the error of a write that nobody synced once nobody has the file open.
    shared.syncs.open_logs()?;
    let next_file = shared.next_file();
    let number = next_file.next();
    let contents = Contents {
        log_number: record.log_number,
        last_sequence: record.last,
        next_file_number: next_file.peek(),
        files: files_of(&view),
        // Where the next compactions begin is not worth a word.
        ..Contents::of_new_database()
    };
    let levels = view.version.levels.clone();
    let version = Version::new(levels, Arc::clone(&shared.tables)).ringing(shared.bell());
    step!(shared.member.peers, WriteManifest);
    let manifest = Manifest::create(
        &shared.fs,
        number,
        &contents,
        Arc::new(version),
        shared.bell(),
        health,
        &mut [],
    )?;
    step!(shared.member.peers, PublishVersion);
    let published = manifest.record(record.flushed);
    shared.install(&leading, manifest.version(), published);
    let names = shared.fs.list();
    let names = names.map_err(|error| Error::io("list", "the directory", error))?;
    let (version, number) = (manifest.version(), manifest.number());
    let (from, log_number) = (shared.member.control.kept_logs(), record.log_number);
    let budget = shared.options.tail_bytes;
    let kept = KeptLogs::find(shared.fs.as_ref(), &names, from, log_number, budget);
    let mut obsolete = Obsolete::scan(names, version, number, log_number, &kept);
    // Readers may have it still when tables go that both versions have.
    obsolete.watch(&view.version);
    let now = || shared.last_sequence();
    shared.snapshots.raise_horizon(&leading, now)?;
    Ok(Start {
        shared: Arc::clone(shared),
        health: Arc::clone(health),
        leading,
        base: Base {
            manifest,
            obsolete,
            kept,
        },
        flushed: record.flushed,
        #[cfg(test)]
        planted: crate::planted::on_this_thread(),
    })
}

fn files_of(view: &View) -> Files {
    let files = view.version.files();
    let places = files.map(|(level, file)| ((level, file.number), file.to_new_file()));
    places.collect()
}
