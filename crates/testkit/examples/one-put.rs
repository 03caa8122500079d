//! One put, between two stops: for whoever has it killed at some instruction of the put (`tests/instructions.rs`).

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use level_party::Db;
    use nix::sys::ptrace;
    use nix::sys::signal::{Signal, raise};

    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("one-put DIR KEY");
    let (dir, key) = (next()?, next()?);
    let db = Db::open(dir)?;
    // The first put of a process does more; that is behind it.
    db.put("before", "1")?;
    ptrace::traceme()?;
    raise(Signal::SIGSTOP)?;
    db.put(key, "1")?;
    raise(Signal::SIGSTOP)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() {}
