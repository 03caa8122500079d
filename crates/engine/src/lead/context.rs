//! [`Lead`]: the open manifest and what else the background thread alone has, and the one way in which it changes what the
//! database is.
//!
//! Promises: a change is in the manifest, durably, before anybody reads its version; tables that go are removed only when
//! nobody reads them.
//! Must not know: why the files change, or what comes next.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::base::error::Result;
use crate::commit::shared::Shared;
use crate::lead::manifest::{Change, Manifest};
use crate::lead::obsolete::Obsolete;
use crate::lead::table_writer::TableWriting;
use crate::read::version::Version;

/// What the background thread alone has.
pub(crate) struct Lead {
    pub(crate) shared: Arc<Shared>,
    pub(crate) manifest: Manifest,
    pub(crate) obsolete: Obsolete,
    pub(crate) writing: Arc<TableWriting>,
    /// Numbers of tables that are damaged, and not compacted.
    pub(crate) set_aside: BTreeSet<u64>,
}

impl Lead {
    /// Puts a change into the manifest, and then its version before the readers. Tables that go are removed as soon as
    /// nobody reads them; tables that came in vain too.
    pub(crate) fn apply(&mut self, change: Change, log_number: Option<u64>) -> Result<()> {
        let added: Vec<u64> = change.added.iter().map(|(_, file)| file.number).collect();
        let removed: Vec<u64> = change.removed.iter().map(|(_, number)| *number).collect();
        let applied = self
            .manifest
            .apply(change, self.shared.next_file(), &self.shared.health);
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
        self.shared.install(&version, log_number);
        for number in removed {
            if !added.contains(&number) {
                self.obsolete.add_table(number);
            }
        }
        Ok(())
    }
}
