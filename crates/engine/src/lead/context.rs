//! [`Lead`]: the open manifest and what else the background thread alone has, and the one way in which it changes what the
//! database is.
//!
//! Promises: a change is in the manifest, durably, before anybody reads its version; tables that go are removed only when
//! nobody reads them.
//! Must not know: why the files change, or what comes next.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::base::control::Leading;
use crate::base::error::Result;
use crate::base::health::Health;
use crate::base::steps::step;
use crate::commit::shared::Shared;
use crate::lead::calls::Calls;
use crate::lead::kept_logs::KeptLogs;
use crate::lead::manifest::{Change, Manifest};
use crate::lead::obsolete::Obsolete;
use crate::lead::table_writer::TableWriting;
use crate::read::version::Version;

/// What the background thread alone has.
pub(crate) struct Lead {
    pub(crate) shared: Arc<Shared>,
    /// Whether this leadership may go on.
    pub(crate) health: Arc<Health>,
    pub(crate) leading: Leading,
    pub(crate) calls: Calls,
    /// The counter of the last region in tables.
    pub(crate) flushed: u32,
    pub(crate) manifest: Manifest,
    pub(crate) obsolete: Obsolete,
    /// Logs that stay for those who follow.
    pub(crate) kept: KeptLogs,
    pub(crate) writing: Arc<TableWriting>,
    /// Numbers of tables that are damaged, and not compacted.
    pub(crate) set_aside: BTreeSet<u64>,
    /// Which steps failed last: a step that is tried again and again is told once.
    pub(crate) failing: Failing,
}

/// Which steps failed when they were done last.
#[derive(Default)]
pub(crate) struct Failing {
    pub(crate) flush: bool,
    pub(crate) compaction: bool,
}

impl Lead {
    /// Begins a new manifest of the version that is published. Whoever dies in it leaves what a succession that was not
    /// finished leaves (L3 to L6).
    fn renew_manifest(&mut self) -> Result<()> {
        step!(self.shared.member.peers, WriteManifest);
        let next_file = self.shared.next_file();
        let Some(old) = self.manifest.renew(&next_file, &self.health)? else {
            return Ok(());
        };
        step!(self.shared.member.peers, PublishVersion);
        let version = Arc::clone(self.manifest.version());
        let record = self.manifest.record(self.flushed);
        self.shared.install(&self.leading, &version, record);
        self.obsolete.add_manifest(old);
        Ok(())
    }

    /// Puts a change into the manifest, and then its version before the readers. Tables that go are removed as soon as
    /// nobody reads them; tables that came in vain too.
    pub(crate) fn apply(&mut self, change: Change) -> Result<()> {
        let added: Vec<u64> = change.added.iter().map(|(_, file)| file.number).collect();
        let removed: Vec<u64> = change.removed.iter().map(|(_, number)| *number).collect();
        step!(self.shared.member.peers, AppendEdit);
        let applied = self
            .manifest
            .apply(change, &self.shared.next_file(), &self.health);
        let version: Arc<Version> = match applied {
            Ok(version) => version,
            Err(error) => {
                added
                    .iter()
                    .for_each(|number| self.obsolete.add_table(*number));
                return Err(error);
            }
        };
        self.obsolete.watch(&version);
        step!(self.shared.member.peers, PublishVersion);
        let record = self.manifest.record(self.flushed);
        self.shared.install(&self.leading, &version, record);
        step!(self.shared.member.peers, Remove);
        for number in removed {
            if !added.contains(&number) {
                self.obsolete.add_table(number);
            }
        }
        if self
            .manifest
            .is_outgrown(self.shared.options.manifest_slack)
        {
            // The change stands. An error has ended the leadership, as whoever looks at its health finds.
            let _ = self.renew_manifest();
        }
        Ok(())
    }
}
