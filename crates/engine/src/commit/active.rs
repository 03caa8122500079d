//! [`ActiveRegion`]: the region that is written, as one member writes it: its log and the memtable's insertions.
//!
//! Promises: what this member remembers of the memtable is looked up again whenever another one wrote there (C8 of
//! docs/COMMIT.md), and checked.
//! Must not know: who holds the commit lock, or when a region is full.

use std::sync::Arc;

use level_party_format::Sequence;
use level_party_format::key::InternalComparator;
use level_party_memtable::{MemTableWriter, REGION_OVERHEAD, Region, RegionError};

use crate::base::control::Held;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::fs::Fs;
use crate::base::member::Member;
use crate::base::steps::step;
use crate::commit::logs::Logs;
use crate::commit::memory;
use crate::commit::wal::Wal;

/// A region that a member writes.
pub(crate) struct ActiveRegion {
    pub(crate) counter: u32,
    pub(crate) log: Wal,
    pub(crate) mem: MemTableWriter,
    /// What was published in it when this member looked last.
    left: Sequence,
}

/// What a region needs before it may be made the active one.
pub(crate) struct Prepared {
    pub(crate) log: Wal,
    /// The region that it is for.
    counter: u32,
    memory: Arc<dyn Region>,
}

impl Prepared {
    /// An empty log and memory for the region `counter`.
    pub(crate) fn new(log: Wal, counter: u32, memory: Arc<dyn Region>) -> Prepared {
        Prepared {
            log,
            counter,
            memory,
        }
    }

    /// Memory for a region with room for `demand` bytes.
    pub(crate) fn memory(
        member: &Member,
        counter: u32,
        write_buffer_size: usize,
        demand: usize,
    ) -> Result<Arc<dyn Region>> {
        memory::prepare(member, counter, write_buffer_size, demand)
    }

    /// Whether it can come behind the region `active`, whose log has this number, and has room for `demand` bytes.
    pub(crate) fn suits(&self, active: u32, log: u64, demand: usize) -> bool {
        let capacity = self.memory.len().saturating_sub(REGION_OVERHEAD);
        self.counter == active.wrapping_add(1) && self.log.number() > log && capacity >= demand
    }

    /// Makes an empty memtable of the memory, and the memory that of its region, whose header is set up.
    pub(crate) fn install(
        self,
        member: &Member,
        order: &InternalComparator,
        before: Sequence,
    ) -> Result<ActiveRegion> {
        let counter = self.counter;
        member.segment.install(counter, &self.memory);
        let mem = MemTableWriter::create(self.memory, order.clone()).map_err(unusable)?;
        Ok(ActiveRegion {
            counter,
            mem,
            log: self.log,
            left: before,
        })
    }
}

impl ActiveRegion {
    /// Goes on in a region that another member may have set up. `None`: it is not the active one any more.
    pub(crate) fn attach(
        member: &Member,
        fs: &dyn Fs,
        logs: &Logs,
        order: &InternalComparator,
    ) -> Result<Option<ActiveRegion>> {
        let counter = member.control.view().active;
        let region = member.control.region(counter);
        let log = region.log();
        let memory = member.segment.region(counter);
        let (Some(memory), Some(_)) = (memory, member.control.published_in(counter)) else {
            return Ok(None);
        };
        // Others insert meanwhile, so what they change is read under the lock alone.
        let attached = MemTableWriter::attach_beside(memory, order.clone());
        if !region.is_current() || member.control.view().active != counter {
            return Ok(None);
        }
        step!(member.peers, OpenLog);
        let log = match logs.open(fs, log) {
            Ok(log) => Wal::over(log),
            // Its region may be in tables by now.
            Err(_) if member.control.view().active != counter => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(ActiveRegion {
            counter,
            log,
            mem: attached.map_err(damaged)?,
            // So it catches up before anything else.
            left: Sequence::MAX,
        }))
    }

    /// Sees what others inserted since this member held the lock last.
    pub(crate) fn catch_up(&mut self, held: &Held<'_>) -> Result<()> {
        let published = held.active().published();
        if self.left != published && !planted!(StaleHint) {
            self.mem.reload().map_err(damaged)?;
            self.left = published;
        }
        Ok(())
    }

    /// This member published up to here.
    pub(crate) fn published(&mut self, last: Sequence) {
        self.left = last;
    }

    /// Bytes of the memtable that its entries take.
    pub(crate) fn used(&self) -> usize {
        self.mem.capacity().saturating_sub(self.mem.remaining())
    }

    /// Whether `demand` bytes more fit, and are not too many.
    pub(crate) fn has_room(&self, demand: usize, write_buffer_size: usize) -> bool {
        let used = self.used();
        let is_over = used > 0 && used.saturating_add(demand) > write_buffer_size;
        self.mem.remaining() >= demand && !is_over
    }
}

fn unusable(error: RegionError) -> Error {
    let message = format!("the memory given for a memtable can't be used: {error}");
    Error::with_source(ErrorKind::Io, message, error)
}

fn damaged(error: RegionError) -> Error {
    let message = format!("the shared memory is damaged: {error}");
    Error::with_source(ErrorKind::Corruption, message, error)
}
