//! What the window of recent batches ([`Options::tail_bytes`]) costs a put when nobody reads it: rounds with and without
//! it in turn, in one process. Short rounds on a filesystem in memory tell most.
//!
//! `cargo run --release -p level-party-engine --example tail_cost [DIRECTORY] [PUTS] [ROUNDS]`

use std::sync::Arc;
use std::time::Instant;

use level_party_engine::{Engine, Options, StdFs, Write, WriteBatch};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let parent = args.next().unwrap_or_else(|| "/tmp".to_owned());
    let puts: u64 = args.next().map_or(Ok(20_000), |n| n.parse())?;
    let rounds: usize = args.next().map_or(Ok(41), |n| n.parse())?;
    for value_bytes in [16, 100, 1000] {
        let mut costs = [Vec::new(), Vec::new()];
        for round in 0..2 * rounds {
            let on = round % 2;
            let dir = tempfile::tempdir_in(&parent)?;
            let options = Options {
                tail_bytes: on * (4 << 20),
                // No flush falls into a round.
                write_buffer_size: 256 << 20,
                ..Options::default()
            };
            let engine = Engine::open(Arc::new(StdFs::new(dir.path())), options)?;
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
            costs[on].push(begun.elapsed().as_nanos() as u64 / puts);
            engine.close()?;
        }
        let [off, on] = costs.map(|mut samples| {
            samples.sort();
            (samples[0], samples[samples.len() / 2])
        });
        println!(
            "put of {value_bytes} bytes: without min {} p50 {} ns, with 4 MiB min {} p50 {} ns: {:+.1} % (min {:+.1} %)",
            off.0,
            off.1,
            on.0,
            on.1,
            (on.1 as f64 / off.1 as f64 - 1.0) * 100.0,
            (on.0 as f64 / off.0 as f64 - 1.0) * 100.0,
        );
    }
    Ok(())
}
