//! Where a memtable's memory comes from.
//!
//! A [`Region`] is a stretch of memory that stays where it is; a [`RegionSource`] hands regions out.
//! [`HeapRegions`] is the source for a database of one process; a source whose regions other processes can map
//! is given by a higher layer. This file knows nothing of what is stored in a region.

use std::alloc::{self, Layout};
use std::io;
use std::ptr::NonNull;
use std::sync::{Arc, Weak};

use level_party_locks::Mutex;

/// A stretch of memory for one memtable.
///
/// # Safety
/// For the whole life of the value:
/// - `ptr()` gives the same address, a multiple of 8, and `len()` the same length;
/// - `ptr()..ptr() + len()` is readable, and every byte of it is initialised (to any value);
/// - whatever accesses the memory at the same time as this crate (through another `Region` value, another mapping or in
///   another process) does so by atomic words of 8 bytes, or only reads while nobody writes;
/// - if a [`MemTableWriter`](crate::MemTableWriter) is made of it, the memory is writable.
pub unsafe trait Region: Send + Sync {
    /// The address of the first byte.
    fn ptr(&self) -> NonNull<u8>;

    /// The length in bytes.
    fn len(&self) -> usize;

    /// Whether the region has no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Memory that somebody else has as words, such as memory that several processes map.
pub trait SharedWords: Send + Sync {
    /// All of it.
    fn words(&self) -> &[std::sync::atomic::AtomicU64];
}

/// A part of [`SharedWords`].
struct Part {
    /// The address of its first word.
    start: NonNull<u8>,
    len: usize,
    /// Keeps the words.
    _words: Arc<dyn SharedWords>,
}

// SAFETY: the words are Sync, and accessed as atomics only.
unsafe impl Send for Part {}
// SAFETY: as above.
unsafe impl Sync for Part {}

// SAFETY: `start` and `len` are those of a slice that `words` lent for as long as it is borrowed. It is borrowed until this
// value is dropped: `_words` keeps it where it is, and nobody gets it mutably while it is shared. So the address stays, the
// words are initialised and may be written, and all access is by atomic words of 8 bytes.
unsafe impl Region for Part {
    fn ptr(&self) -> NonNull<u8> {
        self.start
    }

    fn len(&self) -> usize {
        self.len
    }
}

/// The region of so many bytes at an offset of shared words. `None` if they are not there, or the offset is not that of a
/// word.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use level_party_memtable::{SharedWords, Words, region_of};
///
/// struct Page([AtomicU64; 4]);
/// impl SharedWords for Page {
///     fn words(&self) -> &[AtomicU64] {
///         &self.0
///     }
/// }
/// let page = Arc::new(Page([1, 2, 3, 4].map(AtomicU64::new)));
/// let part = Words::of(region_of(page.clone(), 8, 16).unwrap()).unwrap();
/// assert_eq!(part.all()[1].load(Ordering::Relaxed), 3);
/// assert!(region_of(page, 24, 16).is_none());
/// ```
pub fn region_of(
    words: Arc<dyn SharedWords>,
    offset: usize,
    len: usize,
) -> Option<Arc<dyn Region>> {
    let end = offset.checked_add(len)?;
    if !offset.is_multiple_of(8) || !len.is_multiple_of(8) {
        return None;
    }
    let part = words.words().get(offset / 8..end / 8)?;
    let start = NonNull::from(part).cast();
    Some(Arc::new(Part {
        start,
        len,
        _words: words,
    }))
}

/// Hands out regions.
pub trait RegionSource: Send + Sync {
    /// A region of at least `min_len` bytes that nobody else holds. Its content is not defined.
    ///
    /// # Errors
    /// Whatever keeps the source from giving the memory, such as [`io::ErrorKind::OutOfMemory`].
    fn allocate(&self, min_len: usize) -> io::Result<Arc<dyn Region>>;
}

/// Idle blocks kept for reuse. A database has one active and one or two frozen memtables.
const MAX_IDLE_BLOCKS: usize = 4;
/// Bytes of idle blocks kept for reuse: four of the default size fit, few of a very large size do.
const MAX_IDLE_BYTES: usize = 64 << 20;
/// An idle block may be this many times larger than what is asked for; beyond that it would be wasted.
const MAX_WASTE: usize = 4;
/// Blocks are a multiple of this, so that slightly different demands can share them.
const BLOCK_GRAIN: usize = 64 << 10;
/// Regions start at a cache line, so that words laid out on different lines are on different lines.
const REGION_ALIGN: usize = 64;
/// What `calloc` aligns to anyway: asking for more would make the allocator touch every page at once.
const BLOCK_ALIGN: usize = 8;

/// Regions on this process's heap.
///
/// Faulting in fresh pages costs about 0.5 us per KiB, more than filling them; so the memory of a dropped region
/// is kept and handed out again, within a small bound (4 blocks, 64 MiB). A region comes back only when the
/// last `Arc` on it is dropped.
///
/// ```
/// use level_party_memtable::{HeapRegions, RegionSource};
///
/// let regions = HeapRegions::new();
/// let first = regions.allocate(1 << 20)?;
/// let address = first.ptr();
/// drop(first);
/// assert_eq!(regions.allocate(1 << 20)?.ptr(), address);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Default)]
pub struct HeapRegions {
    idle: Arc<Mutex<Vec<Block>>>,
}

impl HeapRegions {
    /// A source with no idle memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the smallest idle block that holds `len` bytes without too much waste.
    fn reuse(&self, len: usize) -> Option<Block> {
        let mut idle = self.idle.lock();
        let best = idle
            .iter()
            .enumerate()
            .filter(|(_, block)| {
                block.holds(len) && block.size() / MAX_WASTE <= len.max(BLOCK_GRAIN)
            })
            .min_by_key(|(_, block)| block.size())
            .map(|(at, _)| at)?;
        Some(idle.swap_remove(best))
    }
}

impl RegionSource for HeapRegions {
    /// A region of exactly `min_len` bytes, rounded up to a multiple of 8.
    fn allocate(&self, min_len: usize) -> io::Result<Arc<dyn Region>> {
        let len = min_len
            .checked_next_multiple_of(8)
            .ok_or(io::ErrorKind::InvalidInput)?;
        let block = match self.reuse(len) {
            Some(block) => block,
            None => Block::new(len)?,
        };
        Ok(Arc::new(HeapRegion {
            block: Some(block),
            len,
            home: Arc::downgrade(&self.idle),
        }))
    }
}

/// One region over a block, which goes home when the region is dropped.
struct HeapRegion {
    block: Option<Block>,
    len: usize,
    home: Weak<Mutex<Vec<Block>>>,
}

// SAFETY: the block is owned by this value alone, is as long as `len` (checked by `reuse`, made so by
// `Block::new`), was zeroed when it was allocated and never moves.
unsafe impl Region for HeapRegion {
    fn ptr(&self) -> NonNull<u8> {
        self.block
            .as_ref()
            .expect("only drop takes the block")
            .start()
    }

    fn len(&self) -> usize {
        self.len
    }
}

impl Drop for HeapRegion {
    fn drop(&mut self) {
        let Some(block) = self.block.take() else {
            return;
        };
        let Some(home) = self.home.upgrade() else {
            return;
        };
        let mut idle = home.lock();
        let bytes: usize = idle.iter().map(Block::size).sum();
        if idle.len() < MAX_IDLE_BLOCKS && bytes + block.size() <= MAX_IDLE_BYTES {
            idle.push(block);
        }
    }
}

/// An owned piece of heap memory, all of it initialised.
struct Block {
    memory: NonNull<u8>,
    layout: Layout,
}

// SAFETY: a block is plain memory with one owner; `HeapRegion` gives out only its address.
unsafe impl Send for Block {}
// SAFETY: as above; a shared block is not accessed through `&Block`.
unsafe impl Sync for Block {}

impl Block {
    /// A fresh block that holds `len` bytes from its aligned start.
    fn new(len: usize) -> io::Result<Block> {
        let layout = len
            .checked_add(REGION_ALIGN)
            .and_then(|size| size.checked_next_multiple_of(BLOCK_GRAIN))
            .and_then(|size| Layout::from_size_align(size, BLOCK_ALIGN).ok())
            .ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: the layout's size is at least BLOCK_GRAIN, so not zero.
        let memory = unsafe { alloc::alloc_zeroed(layout) };
        let memory = NonNull::new(memory).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Block { memory, layout })
    }

    /// Bytes of memory it takes.
    fn size(&self) -> usize {
        self.layout.size()
    }

    /// Whether `len` bytes fit behind the aligned start.
    fn holds(&self, len: usize) -> bool {
        len <= self.size() - REGION_ALIGN
    }

    /// The first cache line in it.
    fn start(&self) -> NonNull<u8> {
        let skip = self.memory.as_ptr().align_offset(REGION_ALIGN);
        assert!(skip < REGION_ALIGN, "a byte pointer can always be aligned");
        // SAFETY: the block is longer than REGION_ALIGN, so the skip stays inside of it.
        unsafe { self.memory.add(skip) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: `memory` came from `alloc_zeroed` with this layout, and this is its only owner.
        unsafe { alloc::dealloc(self.memory.as_ptr(), self.layout) }
    }
}
