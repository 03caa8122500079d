//! The memory that all members of a directory share: the control page, the memtables, and the bells by which they wake each
//! other (docs/SEGMENT.md).
//!
//! Promises: regions lie at fixed places, each wide enough for the largest batch, so nothing more need be handed over later.
//! A region's memory is reserved before anything is stored there, so a store never meets memory that the system lacks.
//! Must not know: what is stored there, but for the one word a region that says how much of it is memory.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use level_party_engine::{Region, Segment, SharedWords, region_of};
use level_party_os::{Bells, BorrowedHandle, OwnedHandle, SegmentError, SharedSegment};

/// Where regions begin, and what is before: the control page.
const REGIONS_AT: usize = 2 << 20;
/// A region's place: the largest batch, with its links.
const REGION_SPAN: usize = if cfg!(target_pointer_width = "64") {
    1 << 30
} else {
    64 << 20
};
const REGIONS: usize = 4;
const LEN: usize = REGIONS_AT + REGIONS * REGION_SPAN;
/// The part of the control page that is used.
const CONTROL_LEN: usize = 128 << 10;
/// Where the bells are in the control page.
const BELLS_AT: usize = 320;
const BELLS: usize = 5;
/// Where the headers of regions begin in the control page, how long each is, and where its word is that says how much of the
/// region is memory.
const HEADERS_AT: usize = 1024;
const HEADER_LEN: usize = 128;
const RESERVED_AT: usize = 64;
/// A region that is longer than this gives its memory back when its place is used again by one that needs less.
const KEPT: usize = 64 << 20;

/// Shared memory, as an engine needs it.
pub(crate) struct Memory {
    segment: Arc<SharedSegment>,
    bells: Bells,
}

impl Memory {
    /// New memory.
    ///
    /// # Errors
    /// The system has none to share, or this process may not have that much address space.
    pub fn create() -> Result<Arc<Memory>, SegmentError> {
        let segment = SharedSegment::create(LEN)?;
        segment.reserve(0, CONTROL_LEN)?;
        Ok(Arc::new(Memory {
            segment: Arc::new(segment),
            bells: Bells::create(BELLS)?,
        }))
    }

    /// That of another process, which handed it over: [`Memory::handles`] in their order.
    ///
    /// # Errors
    /// It is not what a founder makes, or can't be mapped here.
    pub fn from_handles(handles: Vec<OwnedHandle>) -> Result<Arc<Memory>, SegmentError> {
        let mut handles = handles.into_iter();
        let none = || std::io::Error::new(std::io::ErrorKind::InvalidData, "no memory came");
        let segment = handles.next().ok_or_else(none)?;
        let segment = SharedSegment::from_handle(segment, LEN)?;
        segment.accept(0, CONTROL_LEN)?;
        Ok(Arc::new(Memory {
            segment: Arc::new(segment),
            bells: Bells::from_handles(handles.collect(), BELLS)?,
        }))
    }

    /// What another process needs to map it.
    pub fn handles(&self) -> Vec<BorrowedHandle<'_>> {
        let mut handles = vec![self.segment.as_handle()];
        handles.extend(self.bells.handles());
        handles
    }

    /// Sleeps at a bell of the control page; see [`Bells::wait`].
    pub fn sleep(&self, bell: &AtomicU64, seen: u32, at_most: Duration) {
        if let Some(number) = self.number_of(bell) {
            self.bells.wait(number, bell, seen, at_most);
        }
    }

    pub fn wake_one(&self, bell: &AtomicU64) {
        if let Some(number) = self.number_of(bell) {
            self.bells.wake_one(number, bell);
        }
    }

    pub fn wake_all(&self, bell: &AtomicU64) {
        if let Some(number) = self.number_of(bell) {
            self.bells.wake_all(number, bell);
        }
    }

    /// Which bell the word is.
    fn number_of(&self, bell: &AtomicU64) -> Option<usize> {
        let begin = BELLS_AT / 8;
        let bells = self.segment.words().get(begin..begin + BELLS)?;
        bells.iter().position(|word| std::ptr::eq(word, bell))
    }

    fn part(&self, bytes: Range<usize>) -> Option<Arc<dyn Region>> {
        let words = Arc::new(Words(Arc::clone(&self.segment)));
        region_of(words, bytes.start, bytes.len())
    }

    /// How much of a region's place is memory, as far as anybody said.
    fn reserved(&self, counter: u32) -> &AtomicU64 {
        let header = HEADERS_AT + counter as usize % REGIONS * HEADER_LEN;
        &self.segment.words()[(header + RESERVED_AT) / 8]
    }
}

struct Words(Arc<SharedSegment>);

impl SharedWords for Words {
    fn words(&self) -> &[AtomicU64] {
        self.0.words()
    }
}

/// The place of a region, in bytes of the segment.
fn place(counter: u32) -> usize {
    REGIONS_AT + counter as usize % REGIONS * REGION_SPAN
}

fn beyond() -> std::io::Error {
    let what = "a memtable does not fit into its place of the shared memory";
    std::io::Error::new(std::io::ErrorKind::InvalidInput, what)
}

fn no_memory(error: SegmentError) -> std::io::Error {
    let kind = match &error {
        SegmentError::NoMemory { .. } => std::io::ErrorKind::OutOfMemory,
        SegmentError::Io(error) => error.kind(),
        _ => std::io::ErrorKind::Other,
    };
    std::io::Error::new(kind, error)
}

impl Segment for Memory {
    fn control(&self) -> Arc<dyn Region> {
        let page = self.part(0..CONTROL_LEN);
        page.expect("the segment begins with the control page")
    }

    fn prepare(&self, counter: u32, len: usize) -> std::io::Result<Arc<dyn Region>> {
        let len = len.checked_next_multiple_of(8).ok_or_else(beyond)?;
        if len > REGION_SPAN {
            return Err(beyond());
        }
        let start = place(counter);
        // Each time: what this process reserved once, another one may have given back.
        self.segment.reserve(start, len).map_err(no_memory)?;
        self.reserved(counter)
            .fetch_max(len as u64, Ordering::AcqRel);
        self.part(start..start + len).ok_or_else(beyond)
    }

    fn install(&self, counter: u32, memory: &Arc<dyn Region>) {
        // Readers of what was there before find out by its generation, which has changed.
        let reserved = self.reserved(counter);
        let (known, kept) = (reserved.load(Ordering::Acquire), memory.len().max(KEPT));
        let known = usize::try_from(known).map_or(REGION_SPAN, |known| known.min(REGION_SPAN));
        if known > kept && SharedSegment::can_punch() {
            // After a large batch. If it can't be given back, it stays.
            let given_back = self.segment.punch(place(counter) + kept, known - kept);
            if given_back.is_ok() {
                reserved.store(kept as u64, Ordering::Release);
            }
        }
    }

    fn region(&self, counter: u32) -> Option<Arc<dyn Region>> {
        let start = place(counter);
        let mut len = REGION_SPAN;
        if cfg!(windows) {
            // Each process has to ask for what another one made memory.
            let reserved = self.reserved(counter).load(Ordering::Acquire);
            len = len.min(usize::try_from(reserved).ok()?);
            self.segment.accept(start, len).ok()?;
        }
        // Its header says how much of it is used.
        self.part(start..start + len)
    }

    fn retire(&self, _counter: u32) {
        // It stays memory, for the next but three.
    }

    fn recycles(&self) -> bool {
        true
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn region_of_a_large_batch_gives_its_memory_back() {
        let memory = Memory::create().unwrap();
        let reserved = |memory: &Memory| memory.reserved(5).load(Ordering::Relaxed) as usize;
        let large = memory.prepare(5, 2 * KEPT).unwrap();
        memory.install(5, &large);
        assert_eq!(reserved(&memory), 2 * KEPT);
        let small = memory.prepare(9, 4 << 20).unwrap();
        memory.install(9, &small);
        assert_eq!(reserved(&memory), KEPT);
        assert!(memory.prepare(6, REGION_SPAN + 8).is_err());
    }

    #[test]
    fn memory_handed_over_is_the_same_and_its_bells_ring() {
        let ours = Memory::create().unwrap();
        let handles = ours.handles();
        let handles = handles.iter().map(|h| h.try_clone_to_owned().unwrap());
        let theirs = Memory::from_handles(handles.collect()).unwrap();
        ours.segment.words()[5].store(7, Ordering::Release);
        assert_eq!(theirs.segment.words()[5].load(Ordering::Acquire), 7);
        let bell =
            |of: &Arc<Memory>| of.clone().segment.words()[BELLS_AT / 8 + 2].load(Ordering::Acquire);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let word = &ours.segment.words()[BELLS_AT / 8 + 2];
                word.fetch_add(1, Ordering::AcqRel);
                ours.wake_all(word);
            });
            while bell(&theirs) == 0 {
                let word = &theirs.segment.words()[BELLS_AT / 8 + 2];
                theirs.sleep(word, 0, Duration::from_secs(1));
            }
        });
        assert_eq!(ours.number_of(&ours.segment.words()[0]), None);
    }
}
