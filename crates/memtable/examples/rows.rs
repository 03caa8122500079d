//! The memtable's costs, one row a run: `cargo run --release -p level-party-memtable --example rows -- <row> [rounds]`.
//!
//! Rows: `insert`, `insert_sorted`, `hit`, `miss`, `iterate`, `keys`. Each does 100,000 operations a
//! round, on keys of 16 bytes and values of 100, and prints the best round. To count instructions, of which the clock
//! knows nothing: `valgrind --tool=callgrind --toggle-collect='*measured*' <the program> hit 1`.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use level_party_format::key::{InternalComparator, ValueType};
use level_party_memtable::{HeapRegions, Lookup, MemTable, MemTableWriter, RegionSource};

const ENTRIES: u64 = 100_000;
const REGION: usize = 32 << 20;

/// Sixteen decimal digits; `n` in an order that looks random, or as it is.
fn key(n: u64, sorted: bool) -> [u8; 16] {
    let mut number = if sorted { n } else { n * 61_781 % ENTRIES } * 2;
    let mut key = [b'0'; 16];
    for digit in key.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    key
}

fn keys(sorted: bool) -> Vec<[u8; 16]> {
    (0..ENTRIES).map(|n| key(n, sorted)).collect()
}

fn empty(regions: &HeapRegions) -> MemTableWriter {
    let region = regions.allocate(REGION).expect("memory");
    MemTableWriter::create(region, InternalComparator::default()).expect("a region")
}

#[inline(never)]
fn measured_insert(writer: &mut MemTableWriter, keys: &[[u8; 16]], value: &[u8]) {
    for (sequence, key) in (1..).zip(keys) {
        let inserted = writer.insert(key, sequence, ValueType::Value, value);
        inserted.expect("the region is large enough");
    }
}

#[inline(never)]
fn measured_get(table: &MemTable, keys: &[[u8; 16]]) -> usize {
    let mut found = 0;
    for key in keys {
        if let Lookup::Value { value, .. } = table.find(black_box(key), ENTRIES) {
            black_box(value.to_vec());
            found += 1;
        }
    }
    found
}

/// As a range read does: keys and values go into one buffer.
#[inline(never)]
fn measured_iterate(table: &MemTable, out: &mut Vec<u8>) -> usize {
    let mut iter = table.iter();
    iter.seek_to_first();
    let mut met = 0;
    while iter.valid() {
        out.clear();
        iter.load_value();
        out.extend_from_slice(iter.key());
        out.extend_from_slice(iter.value());
        black_box(&out);
        met += 1;
        iter.next();
    }
    met
}

#[inline(never)]
fn measured_keys(table: &MemTable) -> usize {
    let mut iter = table.iter();
    iter.seek_to_first();
    let mut met = 0;
    while iter.valid() {
        black_box(iter.key());
        met += 1;
        iter.next();
    }
    met
}

fn best(rounds: u32, mut round: impl FnMut() -> Duration) -> Duration {
    (0..rounds).map(|_| round()).min().unwrap_or_default()
}

fn timed(expected: usize, run: impl FnOnce() -> usize) -> Duration {
    let start = Instant::now();
    let met = run();
    let elapsed = start.elapsed();
    assert_eq!(met, expected);
    elapsed
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let row = args.next().unwrap_or_default();
    let rounds = args.next().and_then(|n| n.parse().ok()).unwrap_or(20);
    let (present, value) = (keys(false), [b'v'; 100]);
    let mut absent = present.clone();
    absent.iter_mut().for_each(|key| key[15] += 1);
    let regions = HeapRegions::new();
    let mut writer = empty(&regions);
    let inserted = |keys: &[[u8; 16]]| {
        best(rounds, || {
            let mut writer = empty(&regions);
            timed(0, || {
                measured_insert(&mut writer, keys, &value);
                0
            })
        })
    };
    let fill = |writer: &mut MemTableWriter| {
        for (sequence, key) in (1..).zip(&present) {
            let inserted = writer.insert(key, sequence, ValueType::Value, &value);
            inserted.expect("the region is large enough");
        }
    };
    let all = ENTRIES as usize;
    let time = match row.as_str() {
        "insert" => inserted(&present),
        "insert_sorted" => inserted(&keys(true)),
        "hit" | "miss" | "iterate" | "keys" => {
            fill(&mut writer);
            let (table, mut out) = (writer.reader(), Vec::new());
            best(rounds, || match row.as_str() {
                "hit" => timed(all, || measured_get(&table, &present)),
                "miss" => timed(0, || measured_get(&table, &absent)),
                "iterate" => timed(all, || measured_iterate(&table, &mut out)),
                _ => timed(all, || measured_keys(&table)),
            })
        }
        _ => {
            eprintln!("rows: insert, insert_sorted, hit, miss, iterate, keys");
            return ExitCode::FAILURE;
        }
    };
    let each = time.as_nanos() as f64 / ENTRIES as f64;
    println!("{row}: {each:.1} ns each");
    ExitCode::SUCCESS
}
