//! Bloom filters and a table's block of them.

use level_party_format::filter::{BloomPolicy, FilterBlock, FilterBlockBuilder};

/// Asks `data` as a filter and as a filter block, and makes both of keys cut from it. Gives the number of keys, and one
/// more if it is a filter block.
pub fn run(data: &[u8]) -> usize {
    let (key, filter) = data.split_at(data.len().min(4));
    let matched = BloomPolicy::key_may_match(key, filter);
    assert!(
        !matched || filter.len() >= 2,
        "an empty filter matches nothing"
    );
    let reserved = filter.len() >= 2 && filter.last() > Some(&30);
    assert!(
        matched || !reserved,
        "probes kept for later match everything"
    );
    let is_block = ask(data, key);
    usize::from(is_block) + build(data)
}

/// Asks a filter block about offsets of every size.
fn ask(data: &[u8], key: &[u8]) -> bool {
    let Some(block) = FilterBlock::new(data.to_vec().into()) else {
        return false;
    };
    assert_eq!(block.byte_size(), data.len());
    for shift in 0..64 {
        block.may_match(1 << shift, key);
        block.may_match(u64::MAX >> shift, key);
    }
    assert!(block.may_match(u64::MAX, key) || data.last() > Some(&32));
    true
}

/// Keys put into filters are found there: each byte below 16 ends a key, and says how many KiB further the next is.
fn build(data: &[u8]) -> usize {
    let Some((&bits, rest)) = data.split_first() else {
        return 0;
    };
    let policy = BloomPolicy::new(usize::from(bits));
    let mut builder = FilterBlockBuilder::new(policy);
    let mut placed = Vec::new();
    let mut offset = 0;
    builder.start_block(offset);
    for key in rest.split_inclusive(|byte| *byte < 16) {
        builder.add_key(key);
        placed.push((offset, key));
        let step = key.last().map_or(0, |byte| u64::from(*byte % 16));
        offset += 1024 * step;
        builder.start_block(offset);
    }
    let contents = builder.finish();
    // A filter of at least 64 bits for each of the blocks, the bits of the keys, and the offsets.
    let most = 32 * (placed.len() + 1) + placed.len() * (usize::from(bits) / 8 + 1);
    assert!(contents.len() <= most + offset as usize / 512);
    let block = FilterBlock::new(contents.into()).expect("a filter block of our own is one");
    for (offset, key) in &placed {
        assert!(block.may_match(*offset, key));
    }
    let keys: Vec<&[u8]> = placed.iter().map(|(_, key)| *key).collect();
    let mut filter = Vec::new();
    policy.create_filter(&keys, &mut filter);
    assert!(
        keys.iter()
            .all(|key| BloomPolicy::key_may_match(key, &filter))
    );
    keys.len()
}
