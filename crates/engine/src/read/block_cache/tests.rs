use level_party_format::block::BlockBuilder;

use super::*;

/// A block of `len` bytes and a little.
fn block(len: usize) -> Block {
    let mut builder = BlockBuilder::new(16);
    builder.add(b"keykeykey", &vec![7; len]);
    Block::new(builder.finish().to_vec().into()).expect("as built")
}

/// As a table does after a miss.
fn miss(cache: &BlockCache, offset: u64, block: &Block) {
    if cache.get(1, offset).is_none() && cache.wants(1, offset, block.byte_size()) {
        cache.put(1, offset, block.clone());
    }
}

#[test]
fn the_bytes_of_its_blocks_never_pass_its_limit() {
    for capacity in [1, 1000, 100_000, 1 << 20] {
        let cache = BlockCache::new(capacity).expect("a cache");
        for n in 0..2000_u64 {
            let block = block((n as usize * 37) % 9000);
            for _ in 0..2 {
                miss(&cache, n, &block);
            }
            assert!(cache.bytes() <= capacity as u64 + SHARDS as u64);
        }
    }
    assert!(BlockCache::new(0).is_none());
}

#[test]
fn blocks_that_fit_are_kept_when_they_are_missed_once() {
    let cache = BlockCache::new(1 << 20).expect("a cache");
    let block = block(4000);
    for offset in 0..100 {
        miss(&cache, offset, &block);
    }
    assert!((0..100).all(|offset| cache.get(1, offset).is_some()));
    assert!(cache.get(2, 0).is_none(), "another file's");
}

#[test]
fn blocks_read_once_push_out_none_that_are_read_again() {
    let cache = BlockCache::new(1 << 20).expect("a cache");
    let block = block(4000);
    let hot = 0..100;
    hot.clone().for_each(|offset| miss(&cache, offset, &block));
    for offset in 1000..100_000 {
        miss(&cache, offset, &block);
    }
    assert!(hot.clone().all(|offset| cache.get(1, offset).is_some()));
}

#[test]
fn a_full_cache_takes_what_is_missed_twice() {
    let cache = BlockCache::new(1 << 20).expect("a cache");
    let block = block(4000);
    (0..1000).for_each(|offset| miss(&cache, offset, &block));
    let new = 5000..5100;
    for _ in 0..3 {
        new.clone().for_each(|offset| miss(&cache, offset, &block));
    }
    let kept = new.filter(|offset| cache.get(1, *offset).is_some());
    assert!(kept.count() > 90, "but for marks that overwrote each other");
}
