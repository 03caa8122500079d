//! What a peer opens a database with.

/// A peer's options, with LevelDB's names and defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerOptions {
    /// Whether blocks are compressed.
    pub snappy: bool,
    /// Bits a key of a Bloom filter, 0 for none. LevelDB 1.20 always writes 10.
    pub bloom: u32,
    /// Bytes of a memtable. C++ LevelDB takes 64 KiB at least.
    pub write_buffer_size: u32,
    /// Bytes of a block. C++ LevelDB takes 1 KiB at least.
    pub block_size: u32,
    /// Keys between two whole keys in a block.
    pub block_restart_interval: u32,
    /// Bytes of a table. C++ LevelDB takes 1 MiB at least.
    pub max_file_size: u32,
}

impl Default for PeerOptions {
    fn default() -> Self {
        PeerOptions {
            snappy: true,
            bloom: 0,
            write_buffer_size: 4 << 20,
            block_size: 4096,
            block_restart_interval: 16,
            max_file_size: 2 << 20,
        }
    }
}

impl PeerOptions {
    /// The smallest sizes that C++ LevelDB takes, so that little data makes many tables.
    pub fn small() -> Self {
        PeerOptions {
            write_buffer_size: 64 << 10,
            block_size: 1 << 10,
            max_file_size: 1 << 20,
            ..Self::default()
        }
    }

    /// Options by chance, sizes mostly small.
    pub fn by_chance(random: &mut fastrand::Rng) -> Self {
        PeerOptions {
            snappy: random.bool(),
            bloom: if random.bool() { 10 } else { 0 },
            write_buffer_size: [64 << 10, 64 << 10, 200_000, 4 << 20][random.usize(..4)],
            block_size: [1 << 10, 1 << 10, 4 << 10, 64 << 10][random.usize(..4)],
            block_restart_interval: [1, 2, 16, 16][random.usize(..4)],
            max_file_size: [1 << 20, 2 << 20][random.usize(..2)],
        }
    }

    pub(super) fn words(&self) -> Vec<String> {
        vec![
            format!("snappy={}", u32::from(self.snappy)),
            format!("bloom={}", self.bloom),
            format!("write_buffer_size={}", self.write_buffer_size),
            format!("block_size={}", self.block_size),
            format!("block_restart_interval={}", self.block_restart_interval),
            format!("max_file_size={}", self.max_file_size),
        ]
    }
}
