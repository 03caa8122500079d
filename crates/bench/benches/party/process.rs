//! What the system has counted for a process: the CPU time, the wake-ups and the memory. Linux has it in `/proc`.

use std::path::PathBuf;
use std::time::Duration;

use level_party_bench::Result;

/// What a process's threads have used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub cpu: Duration,
    /// How often a thread slept by itself, and so was woken.
    pub sleeps: u64,
}

/// What all threads of a process have used until now; a thread that has ended is not in it.
pub fn usage(pid: u32) -> Result<Usage> {
    let mut usage = Usage::default();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?.path();
        // The first number is the time on a CPU in nanoseconds, where `stat` counts in ticks of 10 ms.
        let schedstat = std::fs::read_to_string(thread.join("schedstat"))?;
        let nanos = schedstat.split_whitespace().next();
        usage.cpu += Duration::from_nanos(nanos.ok_or("an empty schedstat")?.parse()?);
        usage.sleeps += field(thread.join("status"), "voluntary_ctxt_switches:")?;
    }
    Ok(usage)
}

/// What a process has in memory, in KiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Of its own (USS).
    pub private: u64,
    /// That, and its share of what it has with others (PSS).
    pub proportional: u64,
}

pub fn memory(pid: u32) -> Result<Memory> {
    let file = |name| field(format!("/proc/{pid}/smaps_rollup").into(), name);
    Ok(Memory {
        private: file("Private_Clean:")? + file("Private_Dirty:")?,
        proportional: file("Pss:")?,
    })
}

/// The number behind a name at the beginning of a line.
fn field(path: PathBuf, name: &str) -> Result<u64> {
    let text = std::fs::read_to_string(&path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    let number = number.ok_or_else(|| format!("{} has no {name}", path.display()))?;
    Ok(number.parse()?)
}
