//! What those who follow ([`Engine::tail_from`]) cost a put: rounds without any, with logs that are kept for them, and with
//! one that waits for each put on another thread, in turn, in one process. Short rounds on a filesystem in memory tell most.
//!
//! `cargo run --release -p level-party-engine --example tail_cost [DIRECTORY] [PUTS] [ROUNDS]`

use std::sync::Arc;
use std::time::Instant;

use level_party_engine::{Engine, Options, StdFs, Tail, TailItem, Write, WriteBatch};

const ROUNDS: [&str; 3] = ["without", "kept", "followed"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let parent = args.next().unwrap_or_else(|| "/tmp".to_owned());
    let puts: u64 = args.next().map_or(Ok(20_000), |n| n.parse())?;
    let rounds: usize = args.next().map_or(Ok(41), |n| n.parse())?;
    for value_bytes in [16, 100, 1000] {
        let mut costs = [Vec::new(), Vec::new(), Vec::new()];
        for round in 0..3 * rounds {
            let kind = round % 3;
            let dir = tempfile::tempdir_in(&parent)?;
            let options = Options {
                tail_bytes: usize::from(kind > 0) * (4 << 20),
                // No flush falls into a round.
                write_buffer_size: 256 << 20,
                ..Options::default()
            };
            let engine = Engine::open(Arc::new(StdFs::new(dir.path())), options)?;
            let tail = (kind == 2).then(|| engine.tail_from(1)).transpose()?;
            let following = tail.map(|tail| std::thread::spawn(move || follow(tail)));
            let value = vec![b'v'; value_bytes];
            let begun = Instant::now();
            for number in 0..puts {
                let mut batch = WriteBatch::new();
                batch.put(
                    &number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes(),
                    &value,
                );
                engine.write(Write::new(batch))?;
            }
            costs[kind].push(begun.elapsed().as_nanos() as u64 / puts);
            engine.close()?;
            if let Some(following) = following {
                let followed = following.join().map_err(|_| "the follower panicked")?;
                assert_eq!(followed, puts);
            }
        }
        for (name, mut samples) in ROUNDS.into_iter().zip(costs) {
            samples.sort_unstable();
            let (min, middle) = (samples[0], samples[samples.len() / 2]);
            println!("put of {value_bytes} bytes, {name}: min {min} p50 {middle} ns");
        }
    }
    Ok(())
}

/// Follows until the engine is closed. Gives how many operations came.
fn follow(mut tail: Tail) -> u64 {
    let mut came = 0;
    while let Ok(Some(TailItem::Batch(batch))) = tail.wait_next() {
        came += batch.ops().count() as u64;
    }
    came
}
