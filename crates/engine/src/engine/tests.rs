//! The engine through its public face, in memory.

use std::sync::Arc;

use level_party_format::batch::WriteBatch;

use crate::{Engine, MemFs, Options, Write};

fn put(engine: &Engine, key: &[u8], value: &[u8]) -> u64 {
    let mut batch = WriteBatch::new();
    batch.put(key, value);
    engine.write(Write::new(batch)).unwrap()
}

#[test]
fn a_write_is_read_and_kept() {
    let fs = MemFs::new();
    let engine = Engine::open(Arc::new(fs.clone()), Options::default()).unwrap();
    assert!(engine.recovered().created);
    assert_eq!(put(&engine, b"a", b"1"), 1);
    assert_eq!(put(&engine, b"b", b"2"), 2);
    assert_eq!(engine.get(b"a").unwrap().unwrap().value, b"1");
    engine.flush().unwrap();
    assert_eq!(put(&engine, b"a", b"3"), 3);
    drop(engine);
    let engine = Engine::open(Arc::new(fs.clone()), Options::default()).unwrap();
    assert_eq!(engine.get(b"a").unwrap().unwrap().value, b"3");
    engine.compact_range(None, None).unwrap();
    assert_eq!(engine.get(b"a").unwrap().unwrap().value, b"3");
    assert_eq!(engine.get(b"b").unwrap().unwrap().value, b"2");
    println!("{:?}", engine.stats());
}
