//! Entries to the bytes of a table.

use super::compression::{compress_zstd, trailer};
use super::deflate::Deflater;
use super::{BlockHandle, Compression, Footer, filter_key};
use crate::block::BlockBuilder;
use crate::filter::{BloomPolicy, FilterBlockBuilder};
use crate::key::{self, InternalComparator};

/// How a table is built. The defaults are LevelDB's.
#[derive(Debug, Clone)]
pub struct TableOptions {
    /// The order of the internal keys.
    pub comparator: InternalComparator,
    /// A data block ends once its uncompressed contents reach this many bytes.
    pub block_size: usize,
    /// A key is stored whole every so many entries of a data block.
    pub block_restart_interval: usize,
    /// How blocks are compressed, where that saves more than an eighth. LevelDB up to 1.23 cannot read a table built
    /// with [`Compression::Zstd`], and none but Minecraft Bedrock's one with [`Compression::ZlibRaw`] or
    /// [`Compression::Zlib`].
    pub compression: Compression,
    /// The filters, if any.
    pub filter: Option<BloomPolicy>,
}

impl Default for TableOptions {
    fn default() -> Self {
        TableOptions {
            comparator: InternalComparator::default(),
            block_size: 4096,
            block_restart_interval: 16,
            compression: Compression::Snappy,
            filter: None,
        }
    }
}

/// Builds one table. It writes nothing: the bytes gather in [`output`](Self::output), and the caller drains them from
/// there into the file as it likes.
///
/// ```
/// use level_party_format::key::seek_key;
/// use level_party_format::table::{FOOTER_LEN, Footer, TableBuilder, TableOptions};
///
/// let mut builder = TableBuilder::new(TableOptions::default());
/// builder.add(&seek_key(b"a", 1), b"one");
/// builder.add(&seek_key(b"b", 2), b"two");
/// builder.finish();
/// let file = std::mem::take(builder.output());
/// assert_eq!(file.len() as u64, builder.file_size());
///
/// let footer = Footer::decode(file.last_chunk::<FOOTER_LEN>().unwrap(), file.len() as u64)?;
/// assert!(footer.index.offset > footer.metaindex.offset);
/// # Ok::<(), level_party_format::Corruption>(())
/// ```
pub struct TableBuilder {
    options: TableOptions,
    sink: Sink,
    data: BlockBuilder,
    index: BlockBuilder,
    filter: Option<FilterBlockBuilder>,
    last_key: Vec<u8>,
    /// The data block written last. Its index entry waits for the next key, to be as short as that allows.
    /// Invariant: if there is one, `data` is empty.
    pending: Option<BlockHandle>,
    entries: u64,
    finished: bool,
}

impl TableBuilder {
    /// A builder for an empty file.
    pub fn new(options: TableOptions) -> Self {
        let mut filter = options.filter.map(FilterBlockBuilder::new);
        if let Some(filter) = &mut filter {
            filter.start_block(0);
        }
        TableBuilder {
            sink: Sink::new(options.compression),
            data: BlockBuilder::new(options.block_restart_interval),
            index: BlockBuilder::new(1),
            filter,
            last_key: Vec::new(),
            pending: None,
            entries: 0,
            finished: false,
            options,
        }
    }

    /// Adds an entry. Internal keys must come in ascending order; this is the caller's to see to.
    ///
    /// # Panics
    /// If the table is finished, or key or value exceed what a block can hold (4 GiB).
    pub fn add(&mut self, internal_key: &[u8], value: &[u8]) {
        assert!(
            !self.finished,
            "no entries may be added to a finished table"
        );
        debug_assert!(
            self.entries == 0
                || self
                    .options
                    .comparator
                    .compare(&self.last_key, internal_key)
                    .is_lt(),
            "keys ascend"
        );
        if let Some(handle) = self.pending.take() {
            self.options
                .comparator
                .find_shortest_separator(&mut self.last_key, internal_key);
            add_handle(&mut self.index, &self.last_key, handle);
        }
        if let Some(filter) = &mut self.filter {
            filter.add_key(key::user_key(internal_key));
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(internal_key);
        self.entries += 1;
        self.data.add(internal_key, value);
        if self.data.size_estimate() >= self.options.block_size {
            self.end_data_block();
        }
    }

    /// Adds what comes behind the data: filter, metaindex, index and footer. A second call does nothing.
    pub fn finish(&mut self) {
        if self.finished {
            return;
        }
        self.end_data_block();
        self.finished = true;
        let mut metaindex = BlockBuilder::new(self.options.block_restart_interval);
        if let Some(filter) = self.filter.take() {
            let handle = self.sink.write_raw(&filter.finish(), Compression::None);
            add_handle(&mut metaindex, filter_key().as_bytes(), handle);
        }
        let metaindex = self.sink.write_block(metaindex.finish());
        if let Some(handle) = self.pending.take() {
            self.options
                .comparator
                .find_short_successor(&mut self.last_key);
            add_handle(&mut self.index, &self.last_key, handle);
        }
        let index = self.sink.write_block(self.index.finish());
        self.sink.write_footer(Footer { metaindex, index });
    }

    /// The bytes that the file must get next. The caller takes them out; what is left stays in front of what comes.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.sink.out
    }

    /// The length of the file in bytes once it has all the output so far. The data block being filled is not in it.
    pub fn file_size(&self) -> u64 {
        self.sink.offset
    }

    /// The number of entries added.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    fn end_data_block(&mut self) {
        if self.data.is_empty() {
            return;
        }
        self.pending = Some(self.sink.write_block(self.data.finish()));
        self.data.reset();
        if let Some(filter) = &mut self.filter {
            filter.start_block(self.sink.offset);
        }
    }
}

/// Where blocks become bytes of the file.
struct Sink {
    compression: Compression,
    out: Vec<u8>,
    /// Length of the file so far, what was drained included.
    offset: u64,
    encoder: snap::raw::Encoder,
    compressed: Vec<u8>,
    /// Made for the first block that needs it: it is large.
    deflater: Option<Deflater>,
}

impl Sink {
    fn new(compression: Compression) -> Self {
        Sink {
            compression,
            out: Vec::new(),
            offset: 0,
            encoder: snap::raw::Encoder::new(),
            compressed: Vec::new(),
            deflater: None,
        }
    }

    /// Writes a block, compressed if that saves more than an eighth.
    fn write_block(&mut self, contents: &[u8]) -> BlockHandle {
        match self.compression {
            Compression::None => {}
            Compression::Snappy => {
                let room = snap::raw::max_compress_len(contents.len());
                if self.compressed.len() < room {
                    self.compressed.resize(room, 0);
                }
                // An error means the block is too large for snappy: it is stored plain.
                let compressed = self.encoder.compress(contents, &mut self.compressed);
                if let Ok(len) = compressed
                    && len < contents.len() - contents.len() / 8
                {
                    return append(
                        &mut self.out,
                        &mut self.offset,
                        &self.compressed[..len],
                        Compression::Snappy,
                    );
                }
            }
            Compression::Zstd => {
                if let Some(frame) = compress_zstd(contents) {
                    return self.write_raw(&frame, Compression::Zstd);
                }
            }
            Compression::Zlib | Compression::ZlibRaw => {
                let zlib_header = self.compression == Compression::Zlib;
                let deflater = self
                    .deflater
                    .get_or_insert_with(|| Deflater::new(zlib_header));
                if let Some(stream) = deflater.compress(contents) {
                    return append(&mut self.out, &mut self.offset, stream, self.compression);
                }
            }
        }
        self.write_raw(contents, Compression::None)
    }

    fn write_raw(&mut self, contents: &[u8], compression: Compression) -> BlockHandle {
        append(&mut self.out, &mut self.offset, contents, compression)
    }

    fn write_footer(&mut self, footer: Footer) {
        let bytes = footer.encode();
        self.out.extend_from_slice(&bytes);
        self.offset += bytes.len() as u64;
    }
}

/// Appends contents and trailer to `out`, and says where in the file they are.
fn append(
    out: &mut Vec<u8>,
    offset: &mut u64,
    contents: &[u8],
    compression: Compression,
) -> BlockHandle {
    let handle = BlockHandle {
        offset: *offset,
        size: contents.len() as u64,
    };
    out.extend_from_slice(contents);
    out.extend_from_slice(&trailer(contents, compression));
    *offset += handle.len_with_trailer();
    handle
}

fn add_handle(block: &mut BlockBuilder, key: &[u8], handle: BlockHandle) {
    let mut encoded = Vec::with_capacity(16);
    handle.encode(&mut encoded);
    block.add(key, &encoded);
}
