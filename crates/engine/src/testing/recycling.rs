//! [`RecyclingSegment`]: a segment whose regions use the same memory again and again, as those of shared memory do.
//!
//! Whoever still reads a region when its slot is used again finds anything there, and most of it makes sense.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use level_party_memtable::{
    HeapRegions, REGION_OVERHEAD, Region, RegionSource, SharedWords, Words, region_of,
};

use super::Rng;
use crate::base::control::{CONTROL_LEN, REGIONS};
use crate::base::segment::Segment;

/// Memory of one piece.
struct Memory(Vec<AtomicU64>);

impl SharedWords for Memory {
    fn words(&self) -> &[AtomicU64] {
        &self.0
    }
}

pub(crate) struct RecyclingSegment {
    control: Arc<dyn Region>,
    slots: [Arc<dyn Region>; REGIONS as usize],
}

impl RecyclingSegment {
    /// A segment whose regions have room for `len` bytes of entries each.
    pub(crate) fn new(len: usize) -> RecyclingSegment {
        let len = REGION_OVERHEAD + len;
        let words = (0..REGIONS as usize * len / 8).map(|_| AtomicU64::new(0));
        let memory = Arc::new(Memory(words.collect()));
        let slot = |slot| region_of(memory.clone(), slot * len, len).unwrap();
        RecyclingSegment {
            control: HeapRegions::new().allocate(CONTROL_LEN).unwrap(),
            slots: std::array::from_fn(slot),
        }
    }

    fn slot(&self, counter: u32) -> &Arc<dyn Region> {
        &self.slots[(counter % REGIONS) as usize]
    }
}

impl Segment for RecyclingSegment {
    fn control(&self) -> Arc<dyn Region> {
        Arc::clone(&self.control)
    }

    fn prepare(&self, counter: u32, len: usize) -> io::Result<Arc<dyn Region>> {
        let slot = self.slot(counter);
        match slot.len() >= len {
            true => Ok(Arc::clone(slot)),
            false => Err(io::ErrorKind::OutOfMemory.into()),
        }
    }

    fn install(&self, counter: u32, memory: &Arc<dyn Region>) {
        let words = Words::of(Arc::clone(memory)).unwrap();
        let mut random = Rng::new(counter.into());
        for word in words.all() {
            let poison = match random.below(5) {
                0 => random.next(),
                // What may be an index, a length, or two of them.
                1 => random.next() & 0x0000_3fff_0000_3fff,
                2 => 0,
                3 => u64::MAX,
                // What the region had that was here before.
                _ => continue,
            };
            word.store(poison, Ordering::Relaxed);
        }
    }

    fn region(&self, counter: u32) -> Option<Arc<dyn Region>> {
        Some(Arc::clone(self.slot(counter)))
    }

    fn retire(&self, _counter: u32) {}

    fn recycles(&self) -> bool {
        true
    }
}
