//! Founding: from what an opening recovered to a segment that members can use (docs/COMMIT.md, D4).
//!
//! Promises: the segment says what the files say; the founder is its first member and its leader.
//! Must not know: how logs are recovered, or who else may join.

use std::sync::Arc;

use level_party_format::Sequence;

use crate::base::bell::Bell;
use crate::base::control::{Control, Founded, Leading, VersionRecord, comparator_hash};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::member::{Member, Membership, first_incarnation};
use crate::base::options::Options;
use crate::base::peers::LocalPeers;
use crate::base::segment::HeapSegment;
use crate::commit::active::{ActiveRegion, Prepared};
use crate::commit::wal::Wal;
use crate::follow::views::{OpenVersion, Views};
use crate::lead::opened::Base;
use crate::read::files::Tables;

/// Counters of regions and versions wrap. Unit tests begin shortly before.
const FIRST_REGION: u32 = if cfg!(test) { u32::MAX - 1 } else { 1 };
const FIRST_VERSION: u32 = if cfg!(test) { u32::MAX - 1 } else { 1 };
/// The counter before the first region's: nothing is in tables that was in a region.
pub(crate) const NOTHING_FLUSHED: u32 = FIRST_REGION - 1;

/// The founding's number where no other member comes.
const ALONE: u32 = 1;
/// Foundings that there can be: incarnations are below 2^61.
const FOUNDINGS: u64 = 1 << 29;

/// A segment that is made, and not founded yet.
pub(crate) struct Empty {
    membership: Membership,
    /// Nobody else can lead.
    pub(crate) is_alone: bool,
    pub(crate) control: Control,
}

impl Empty {
    /// On this process's heap.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn on_the_heap() -> Result<Empty> {
        let no_memory = |error| Error::io("allocate", "the control page", error);
        let empty = Empty::of(Membership {
            segment: Arc::new(HeapSegment::new().map_err(no_memory)?),
            peers: Arc::new(LocalPeers::default()),
            incarnation: first_incarnation(ALONE),
        })?;
        Ok(Empty {
            is_alone: true,
            ..empty
        })
    }

    /// Memory for several members, of which this one is the first.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if its control page can't be used, or was used before, or the number is not a
    /// founder's.
    pub(crate) fn of(membership: Membership) -> Result<Empty> {
        let wrong = |message: &str| Err(Error::new(ErrorKind::InvalidArgument, message));
        let founding = membership.incarnation >> 32;
        let is_founders = (1..FOUNDINGS).contains(&founding)
            && membership.incarnation == first_incarnation(founding as u32);
        if !is_founders {
            return wrong("the number given is not one of a member that founds a segment");
        }
        let control = Control::over(membership.segment.control());
        match control.filter(|control| !control.is_founded()) {
            Some(control) => Ok(Empty {
                membership,
                is_alone: false,
                control,
            }),
            None => wrong("the shared memory can't be used for a database, or was used before"),
        }
    }

    /// What wakes its leader.
    pub(crate) fn bell(&self) -> Arc<Bell> {
        Arc::new(Bell::new(&self.control, &self.membership.peers))
    }

    /// Founds it on what was recovered up to `last`, with `log` for what comes. Moments below `horizon` can't be pinned.
    pub(crate) fn found(
        self,
        options: &Options,
        tables: &Arc<Tables>,
        base: &Base,
        log: Wal,
        last: Sequence,
        horizon: Sequence,
    ) -> Result<Founding> {
        let Empty {
            membership,
            is_alone,
            control,
        } = self;
        let version = VersionRecord {
            counter: FIRST_VERSION,
            ..base.manifest.record(NOTHING_FLUSHED)
        };
        // The tables it was recovered into are durable, and so is the log's name.
        control.set_dir_synced(log.number());
        control.found(&Founded {
            founding: (membership.incarnation >> 32) as u32,
            comparator: comparator_hash(options.comparator.name()),
            write_buffer: options.write_buffer_size as u64,
            region: FIRST_REGION,
            log: log.number(),
            log_end: log.end(),
            before: last,
            horizon,
            kept_logs: base.kept.oldest().unwrap_or(log.number()),
            version,
        });
        let member = Member::join(control, membership, &options.name)?;
        let leading = Leading::new(member.control.clone());
        leading.begin(member.own);
        let most = options.write_buffer_size;
        let memory = Prepared::memory(&member, FIRST_REGION, most, 0)?;
        let prepared = Prepared::new(log, FIRST_REGION, memory);
        let active = prepared.install(&member, tables.comparator(), last)?;
        let member = Arc::new(member);
        let open = OpenVersion {
            counter: FIRST_VERSION,
            version: Arc::clone(base.manifest.version()),
        };
        let views = Views::new(&member, tables, open, is_alone)?;
        Ok(Founding {
            member,
            leading,
            active,
            views,
        })
    }
}

/// The founder's part of a new segment.
pub(crate) struct Founding {
    pub(crate) member: Arc<Member>,
    pub(crate) leading: Leading,
    pub(crate) active: ActiveRegion,
    pub(crate) views: Views,
}
