//! What level-party's tests are made of: real child processes, driven and killed from the outside.
//!
//! What it promises: every wait has a limit, after which the test fails with what was waited for; a child that is
//! missing, or has ended when it should not, fails the test with its own words from standard error; no child outlives
//! the test. What it must not know: the database from the inside. It speaks to the program `level-party` as anybody
//! could, by `exec`'s lines of JSON (`docs/EXEC.md`), and makes databases by their bytes alone (`crates/format`):
//! damaged ones are in [`damage`].
//!
//! ```no_run
//! use level_party_testkit::{ExecChild, find_leader};
//! use serde_json::json;
//!
//! let dir = std::path::Path::new("data");
//! let program = "target/debug/level-party"; // in the program's own tests: env!("CARGO_BIN_EXE_level-party")
//! let mut party: Vec<ExecChild> = (0..3).map(|_| ExecChild::spawn(program, dir)).collect();
//! party[0].put("a", "1");
//! assert_eq!(party[1].get("a").as_deref(), Some("1"));
//!
//! let leader = find_leader(&mut party);
//! party.remove(leader).kill();
//! assert_eq!(party[0].get("a").as_deref(), Some("1"));
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod client;
pub mod damage;
mod exec_child;
#[cfg(unix)]
mod foreign_lock;
mod history;
mod kills;
pub mod linear;
mod lines;
mod load;
mod many_tables;
mod model;
mod peer;
mod program;
mod proxy;
mod reading;
mod script;
#[cfg(target_os = "linux")]
mod servers;

pub use client::{Asked, Client, Reply, Target};
pub use exec_child::{ExecChild, find_leader};
#[cfg(unix)]
pub use foreign_lock::{ForeignLock, LockKind};
pub use history::History;
pub use kills::{READERS, Record, kill_under_load, run_load};
pub use lines::{Line, Lines};
pub use load::Load;
pub use load::counter::{Written, check, counter_prefix};
pub use load::shared::SharedCounter;
pub use many_tables::ManyTables;
pub use model::{Entries, Entry, Model, Op, difference};
pub use peer::{Peer, PeerChild, PeerOptions};
#[cfg(unix)]
pub use program::script;
pub use program::{Finished, example, run, run_with_input};
pub use proxy::{Proxy, Wire};
pub use reading::{Readable, read_everything};
pub use script::Script;
#[cfg(target_os = "linux")]
pub use servers::{Certificates, Etcd, Pooler, Postgres};

use std::time::Duration;

/// How long a helper waits before the test fails: far beyond what anything takes, so that only a hang meets it.
pub const PATIENCE: Duration = Duration::from_secs(60);
