//! How long an opening takes with a full log: until the first answer, and until what the log holds is in synced tables,
//! if these come later and if they come first; beside the floor of the latter, writing and syncing as many bytes under
//! the same names.
//!
//! `cargo run --release -p level-party-engine --example recovery_time [DIRECTORY] [MIB] [ROUNDS]`

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use level_party_engine::{Engine, Options, StdFs, Write, WriteBatch};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let parent = args.next().unwrap_or_else(|| "/tmp".to_owned());
    let mib: f64 = args.next().map_or(Ok(3.5), |n| n.parse())?;
    let rounds: usize = args.next().map_or(Ok(30), |n| n.parse())?;
    for order in ["random keys", "ascending keys"] {
        let (mut opens, mut settled, mut eager) = (Vec::new(), Vec::new(), Vec::new());
        let mut floors = Vec::new();
        let mut sizes = (0, 0);
        let full = tempfile::tempdir_in(&parent)?;
        sizes.0 = fill(full.path(), (mib * 1024.0 * 1024.0) as usize, order)?;
        for _ in 0..rounds {
            for in_background in [true, false] {
                let dir = copy(full.path(), &parent)?;
                let options = Options {
                    recover_in_background: in_background,
                    ..Options::default()
                };
                let before = Instant::now();
                let engine = Engine::open(Arc::new(StdFs::new(dir.path())), options)?;
                match in_background {
                    true => opens.push(before.elapsed()),
                    false => eager.push(before.elapsed()),
                }
                engine.settled()?;
                if in_background {
                    settled.push(before.elapsed());
                }
                engine.close()?;
                sizes.1 = table_bytes(dir.path())?;
                if in_background {
                    floors.push(floor(dir.path(), sizes.1)?);
                }
            }
        }
        println!(
            "{order}: log {} KiB, tables {} KiB; p50 and min: first answer {}, settled {}; tables first {}; floor {}",
            sizes.0 / 1024,
            sizes.1 / 1024,
            summary(&mut opens),
            summary(&mut settled),
            summary(&mut eager),
            summary(&mut floors),
        );
    }
    Ok(())
}

fn copy(full: &Path, parent: &str) -> std::io::Result<tempfile::TempDir> {
    let dir = tempfile::tempdir_in(parent)?;
    for entry in std::fs::read_dir(full)? {
        let entry = entry?;
        std::fs::copy(entry.path(), dir.path().join(entry.file_name()))?;
    }
    Ok(dir)
}

fn summary(samples: &mut [Duration]) -> String {
    samples.sort();
    format!("{:?} {:?}", samples[samples.len() / 2], samples[0])
}

/// A database whose log has this many bytes of entries like those of the benchmarks.
fn fill(dir: &Path, bytes: usize, order: &str) -> Result<u64, Box<dyn std::error::Error>> {
    let options = Options {
        write_buffer_size: 64 << 20,
        ..Options::default()
    };
    let engine = Engine::open(Arc::new(StdFs::new(dir)), options)?;
    let mut random = 7_u64;
    let mut next = move || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        random >> 33
    };
    let mut written = 0;
    let mut number = 0;
    while written < bytes {
        number += 1;
        let key = match order {
            "random keys" => next() % 2_000_000,
            _ => number,
        };
        let half: Vec<u8> = (0..50).map(|_| b' ' + (next() % 95) as u8).collect();
        let mut batch = WriteBatch::new();
        batch.put(
            format!("{key:016}").as_bytes(),
            &[half.clone(), half].concat(),
        );
        written += batch.byte_size() + 7;
        engine.write(Write::new(batch))?;
    }
    engine.close()?;
    let mut largest = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(".log") {
            largest = largest.max(entry.metadata()?.len());
        }
    }
    Ok(largest)
}

fn table_bytes(dir: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(".ldb") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

fn floor(dir: &Path, table: u64) -> std::io::Result<Duration> {
    let bytes = vec![0x5a; table as usize];
    let before = Instant::now();
    let write = |name: &str, bytes: &[u8]| -> std::io::Result<()> {
        let mut file = File::create(dir.join(name))?;
        file.write_all(bytes)?;
        file.sync_data()
    };
    let directory = File::open(dir)?;
    write("900001.ldb.floor", &bytes)?;
    write("MANIFEST.floor", &[1; 200])?;
    directory.sync_all()?;
    write("900002.dbtmp.floor", &[1; 16])?;
    std::fs::rename(dir.join("900002.dbtmp.floor"), dir.join("CURRENT.floor"))?;
    directory.sync_all()?;
    Ok(before.elapsed())
}
