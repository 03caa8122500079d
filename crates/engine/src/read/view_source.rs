//! [`ViewSource`]: gives whoever reads for a while the newest view, where the one it has can't be read any more.
//!
//! Must not know: how views are made.

use std::sync::Arc;

use level_party_format::Sequence;

use crate::base::error::{Error, Result};
use crate::read::view::View;

/// Where newer views come from.
pub(crate) trait ViewSource: Send + Sync {
    /// The view that is named now, which shows the moment `sequence`.
    ///
    /// # Errors
    /// What keeps it from being made; [`ErrorKind::SnapshotLost`](crate::ErrorKind::SnapshotLost) if the moment was not
    /// pinned, and what it needs may be compacted away.
    fn newest_at(&self, sequence: Sequence) -> Result<Arc<View>>;

    /// Whether a read of `view` may have failed only because it is too old: the memory of one of its memtables was used
    /// again, or one of its tables removed. Then the same read of the newest view gives the answer.
    fn has_newer(&self, view: &View, error: &Error) -> bool;
}
