//! Damaged and foreign directories, made byte by byte: what losses of power, other programs and careless copies leave.
//!
//! What it promises: each directory is made in memory, is the same in every run, and needs nothing installed. What it
//! must not know: the engine. It knows the bytes of LevelDB's files alone (`level-party-format`).

mod bytes;
pub mod cases;
mod files;
mod fixture;
mod holdings;
mod kept;
mod sweep;

pub use level_party_format::table::Compression;

pub use bytes::{Log, Manifest, TableBytes, UNKNOWN};
pub use files::Files;
pub use fixture::{KEYS, Version, key, unpack, value, versions, workload};
pub use holdings::{Holdings, Record, stored_types};
pub use kept::{Kept, KeptTable, State, kept_by_leveldb};
pub use sweep::{Damage, damages};
