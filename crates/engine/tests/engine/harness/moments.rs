//! Pinned moments beside compactions, and the tables that those make.

use std::sync::Arc;

use level_party_engine::{Engine, MemFs, Options, Pin};
use level_party_format::key;

use super::history::Map;
use crate::support::{Rng, all, contents, delete, put};

/// Writes few keys over and over, pins moments, compacts; each moment stays what it was, and no two tables of a level
/// share a key. Gives how many moments were looked at.
pub fn moments_hold(options: &Options, seed: u64, rounds: u64) -> usize {
    let mut rng = Rng(seed);
    let engine = Engine::open(Arc::new(MemFs::new()), options.clone()).unwrap();
    let mut now = Map::new();
    let mut pins: Vec<(Pin, Map)> = Vec::new();
    let mut looked_at = 0;
    for _ in 0..rounds {
        for _ in 0..rng.below(120) {
            let key = rng.below(12).to_be_bytes();
            if rng.one_in(4) {
                delete(&engine, &key).unwrap();
                now.remove(&key[..]);
            } else {
                let value: Vec<u8> = (0..rng.below(300)).map(|_| rng.next() as u8).collect();
                put(&engine, &key, &value).unwrap();
                now.insert(key.to_vec(), value);
            }
            if rng.one_in(10) {
                pins.push((engine.pin(), now.clone()));
            }
        }
        while pins.len() > 20 {
            let at = rng.below(pins.len() as u64) as usize;
            pins.swap_remove(at);
        }
        engine.compact_range(None, None).unwrap();
        assert_keys_are_whole(&engine);
        for (pin, map) in &pins {
            let sequence = pin.sequence();
            let shown = all(&mut engine.cursor_at(sequence).unwrap());
            assert!(shown == *map, "the moment {sequence} is not what it was");
            for key in 0..12u64 {
                let entry = engine.get_at(&key.to_be_bytes(), sequence).unwrap();
                let value = entry.map(|entry| entry.value);
                assert_eq!(value.as_ref(), map.get(&key.to_be_bytes()[..]));
            }
            looked_at += 1;
        }
        assert!(contents(&engine) == now);
    }
    engine.close().unwrap();
    looked_at
}

/// In each level below the first, all versions of a user key are in one table.
fn assert_keys_are_whole(engine: &Engine) {
    let view = engine.view().unwrap();
    for level in 1..7 {
        for pair in view.version.level(level).windows(2) {
            let (before, after) = (
                key::user_key(&pair[0].largest),
                key::user_key(&pair[1].smallest),
            );
            assert!(
                before < after,
                "level {level} has versions of {before:?} in two tables"
            );
        }
    }
}
