//! Ranges at a moment, on PostgreSQL: what they show, and what they pass.

use std::collections::BTreeMap;

use level_party::{Db, Readable, WriteBatch};
use level_party_testkit::Postgres;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

const KEYS: u64 = 6000;

fn key(n: u64) -> Vec<u8> {
    format!("key/{n:06}").into_bytes()
}

/// Puts and deletes of random keys, in batches; what is there then.
fn change(db: &Db, model: &mut Model, random: &mut fastrand::Rng, count: u64) {
    for _ in 0..count / 500 {
        let mut batch = WriteBatch::new();
        for _ in 0..500 {
            let key = key(random.u64(..KEYS));
            if random.u8(..3) == 0 {
                model.remove(&key);
                batch.delete(key);
            } else {
                let value = random.u64(..).to_string().repeat(random.usize(..8));
                model.insert(key.clone(), value.clone().into_bytes());
                batch.put(key, value);
            }
        }
        db.write(&batch).expect("written");
    }
}

fn agree(what: &str, snapshot: &impl Readable, model: &Model) {
    for (low, high) in [(0, KEYS), (17, 4000), (2000, 2003), (5990, KEYS + 1)] {
        let (low, high) = (key(low), key(high));
        let wanted: Vec<_> = model.range(low.clone()..high.clone()).collect();
        let forward: Vec<_> = snapshot
            .range(low.clone()..high.clone())
            .map(|entry| entry.expect("read"))
            .collect();
        assert!(
            forward
                .iter()
                .map(|(key, value)| (key, value))
                .eq(wanted.iter().copied()),
            "{what}"
        );
        let backward: Vec<_> = snapshot
            .range(low..high)
            .rev()
            .map(|entry| entry.expect("read"))
            .collect();
        assert!(
            backward
                .iter()
                .map(|(key, value)| (key, value))
                .eq(wanted.iter().rev().copied()),
            "{what}, backward"
        );
    }
}

#[test]
fn ranges_at_a_moment_show_what_was_there() {
    let server = Postgres::start(&[]);
    let db = Db::open(server.url()).expect("opened");
    let mut random = fastrand::Rng::with_seed(7);
    let mut model = Model::new();
    change(&db, &mut model, &mut random, 10_000);
    let then = model.clone();
    let moment = db.snapshot().expect("taken");
    agree("nothing came after it", &moment, &then);
    change(&db, &mut model, &mut random, 500);
    agree("a little came after it", &moment, &then);
    change(&db, &mut model, &mut random, 20_000);
    agree("much came after it", &moment, &then);
    let mut batch = WriteBatch::new();
    (0..KEYS).for_each(|n| {
        batch.delete(key(n));
    });
    db.write(&batch).expect("deleted");
    agree("all was deleted after it", &moment, &then);
    agree("now", &db, &Model::new());
}

#[test]
fn range_at_a_moment_passes_the_log_once_however_many_chunks_it_has() {
    let server = Postgres::start(&[]);
    let db = Db::open(server.url()).expect("opened");
    for round in 0..100 {
        let mut batch = WriteBatch::new();
        for n in 0..1000 {
            batch.put(key(n), round.to_string());
        }
        db.write(&batch).expect("written");
    }
    // The log has nothing above the moment but behind the range.
    let moment = db.snapshot().expect("taken");
    db.put("zzz", "1").expect("written");
    let explained = server.sql(&format!(
        "set enable_seqscan = off; set enable_bitmapscan = off; set enable_sort = off; set jit = off; \
         explain (analyze, buffers, timing off, costs off) \
         select count(*) from generate_series(0, 950, 50) g, \
         lateral level_party.scan_at_up(convert_to('key/' || lpad(g::text, 6, '0'), 'UTF8'), null, {}, false, 1000000, 50)",
        moment.sequence()
    ));
    let hits = explained.split("shared hit=").nth(1).expect("blocks");
    let hits: u64 = hits
        .split(|c: char| !c.is_ascii_digit())
        .next()
        .and_then(|n| n.parse().ok())
        .expect("a number");
    let pages = server.sql("select pg_relation_size('level_party.log_keys') / 8192");
    let pages: u64 = pages.trim().parse().expect("a number");
    // 20 chunks to the log's end have its index 10 times.
    assert!(
        pages >= 400 && hits < 5 * pages,
        "{hits} blocks, of an index of {pages}\n{explained}"
    );
}
