//! A table: footer, index, filter and data blocks.

use level_party_format::block::Block;
use level_party_format::filter::{BloomPolicy, FilterBlock};
use level_party_format::key::{self, InternalComparator};
use level_party_format::table::{
    self, BlockHandle, Compression, FOOTER_LEN, Footer, TableBuilder, TableOptions,
};

use super::signing::signed_block;
use super::{block, stored_block};

type Pair = (Vec<u8>, Vec<u8>);

/// Entries gathered from one block: an index can name one block many times.
const MOST_ENTRIES: usize = 32;
/// Bytes of keys and values gathered from one block.
const MOST_BYTES: usize = 1 << 20;

/// Reads `data` as a table, as it is and with right checksums and magic. Gives the number of entries.
pub fn run(data: &[u8]) -> usize {
    let as_is = File {
        bytes: data,
        sign: false,
    };
    let signed = File {
        bytes: data,
        sign: true,
    };
    as_is.read().unwrap_or(0) + signed.read().unwrap_or(0)
}

struct File<'a> {
    bytes: &'a [u8],
    sign: bool,
}

impl File<'_> {
    /// Opens the table and reads all of it; `None` where it cannot be opened.
    fn read(&self) -> Option<usize> {
        let len = self.bytes.len() as u64;
        let mut footer = *self.bytes.last_chunk::<FOOTER_LEN>()?;
        if self.sign {
            let anchor = BlockHandle::default();
            let right = Footer {
                metaindex: anchor,
                index: anchor,
            }
            .encode();
            footer[FOOTER_LEN - 8..].copy_from_slice(&right[FOOTER_LEN - 8..]);
        }
        let footer = Footer::decode(&footer, len).ok()?;
        assert_eq!(Footer::decode(&footer.encode(), len), Ok(footer));

        let index = self.contents(footer.index)?;
        block::run(&index);
        let filter = self.contents(footer.metaindex).and_then(|contents| {
            block::run(&contents);
            let handle = table::find_filter(&Block::new(contents.into()).ok()?).ok()??;
            FilterBlock::new(self.contents(handle)?.into())
        });
        let mut entries = Vec::new();
        for (_, value) in pairs(&index) {
            let Ok(handle) = BlockHandle::decode(&value) else {
                continue;
            };
            let Some(contents) = self.contents(handle) else {
                continue;
            };
            block::run(&contents);
            let found = pairs(&contents);
            if let Some(filter) = &filter {
                for (key, _) in &found {
                    filter.may_match(handle.offset, key::user_key(key));
                }
            }
            entries.extend(found);
        }
        build_again(&entries);
        Some(entries.len())
    }

    /// A block's contents, if it lies in the file and its checksum and compression are right.
    fn contents(&self, handle: BlockHandle) -> Option<Vec<u8>> {
        handle.check(self.bytes.len() as u64).ok()?;
        let start = handle.offset as usize;
        let raw = &self.bytes[start..start + handle.len_with_trailer() as usize];
        if self.sign {
            stored_block::contents(&signed_block(raw))
        } else {
            stored_block::contents(raw)
        }
    }
}

/// The first entries of a block, as many as there are before one that is wrong.
fn pairs(contents: &[u8]) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let Ok(block) = Block::new(contents.to_vec().into()) else {
        return pairs;
    };
    let mut iter = block.iter(InternalComparator::default());
    let mut moved = iter.seek_to_first();
    let mut held = 0;
    while moved.is_ok() && iter.valid() && pairs.len() < MOST_ENTRIES && held < MOST_BYTES {
        held += iter.key().len() + iter.value().len();
        pairs.push((iter.key().to_vec(), iter.value().to_vec()));
        moved = iter.next();
    }
    pairs
}

/// Entries that a table can hold make one that holds them.
fn build_again(entries: &[Pair]) {
    let order = InternalComparator::default();
    let sorted = entries.is_sorted_by(|a, b| order.compare(&a.0, &b.0).is_lt());
    if entries.is_empty() || !sorted || entries.iter().any(|(key, _)| key::parse(key).is_err()) {
        return;
    }
    let mut builder = TableBuilder::new(TableOptions {
        block_size: 64,
        block_restart_interval: 3,
        compression: Compression::Snappy,
        filter: Some(BloomPolicy::new(10)),
        ..TableOptions::default()
    });
    entries
        .iter()
        .for_each(|(key, value)| builder.add(key, value));
    builder.finish();
    let bytes = std::mem::take(builder.output());
    let file = File {
        bytes: &bytes,
        sign: false,
    };
    let footer = bytes
        .last_chunk::<FOOTER_LEN>()
        .expect("a table has a footer");
    let footer = Footer::decode(footer, bytes.len() as u64).expect("a footer of our own");
    let index = file.contents(footer.index).expect("an index of our own");
    let index = Block::new(index.into()).expect("an index of our own");
    let mut blocks = index.iter(order);
    let mut read = Vec::new();
    blocks.seek_to_first().expect("an index of our own");
    while blocks.valid() {
        let handle = BlockHandle::decode(blocks.value()).expect("a handle of our own");
        let contents = file.contents(handle).expect("a block of our own");
        read.extend(pairs(&contents));
        blocks.next().expect("an index of our own");
    }
    assert!(
        read == entries,
        "a table built of {} entries gives {}",
        entries.len(),
        read.len()
    );
}
