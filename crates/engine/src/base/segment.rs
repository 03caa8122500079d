//! Where the memory of a segment comes from: the control page, and one region for each memtable.
//!
//! Promises: the memory that was prepared for a region is its memory once it is installed, and nobody else's; whoever got
//! a region's memory keeps it for as long as it holds it.
//! Must not know: what is stored there, or who may store.

use std::io;
use std::sync::Arc;

use level_party_locks::Mutex;
use level_party_memtable::{HeapRegions, Region, RegionSource};

use crate::base::control::{CONTROL_LEN, REGIONS};

/// The memory that the members of a database share: a control page, and one region for each memtable.
/// A region is named by a counter, which wraps; four are in use at a time, so a counter modulo four may be its place.
pub trait Segment: Send + Sync {
    /// The control page: at least 128 KiB, all 0 when it was made.
    fn control(&self) -> Arc<dyn Region>;

    /// Memory of at least `len` bytes for the region `counter`, which nobody uses yet.
    ///
    /// # Errors
    /// No memory.
    fn prepare(&self, counter: u32, len: usize) -> io::Result<Arc<dyn Region>>;

    /// Makes prepared memory the region's. Only the holder of the commit lock calls it, before the region is named.
    fn install(&self, counter: u32, memory: &Arc<dyn Region>);

    /// The memory of a region; `None` if it is another one's by now.
    fn region(&self, counter: u32) -> Option<Arc<dyn Region>>;

    /// The region is in tables: no new reader will ask for it.
    fn retire(&self, counter: u32);

    /// Whether memory is used again while somebody may still hold it. Readers then have to look at the generation after
    /// they read.
    fn recycles(&self) -> bool;
}

/// A segment on this process's heap, for one process. Each region has memory of its own, which lives as long as anybody
/// reads it.
pub(crate) struct HeapSegment {
    control: Arc<dyn Region>,
    source: HeapRegions,
    regions: Mutex<[Slot; REGIONS as usize]>,
}

/// The region that is in a slot, and its memory.
type Slot = Option<(u32, Arc<dyn Region>)>;

impl HeapSegment {
    /// A new one.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn new() -> io::Result<HeapSegment> {
        Ok(HeapSegment {
            control: HeapRegions::new().allocate(CONTROL_LEN)?,
            source: HeapRegions::new(),
            regions: Mutex::new([const { None }; REGIONS as usize]),
        })
    }
}

fn slot(counter: u32) -> usize {
    (counter % REGIONS) as usize
}

impl Segment for HeapSegment {
    fn control(&self) -> Arc<dyn Region> {
        Arc::clone(&self.control)
    }

    fn prepare(&self, _counter: u32, len: usize) -> io::Result<Arc<dyn Region>> {
        self.source.allocate(len)
    }

    fn install(&self, counter: u32, memory: &Arc<dyn Region>) {
        let memory = Some((counter, Arc::clone(memory)));
        let old = std::mem::replace(&mut self.regions.lock()[slot(counter)], memory);
        // Given back without the lock.
        drop(old);
    }

    fn region(&self, counter: u32) -> Option<Arc<dyn Region>> {
        match &self.regions.lock()[slot(counter)] {
            Some((holds, memory)) if *holds == counter => Some(Arc::clone(memory)),
            _ => None,
        }
    }

    fn retire(&self, counter: u32) {
        let region = &mut self.regions.lock()[slot(counter)];
        if region.as_ref().is_some_and(|(holds, _)| *holds == counter) {
            *region = None;
        }
    }

    fn recycles(&self) -> bool {
        false
    }
}
