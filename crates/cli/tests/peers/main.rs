//! Beside programs that must be installed: C++ LevelDB (`ci/peers/install`) and Debian's `apt-cache`.
//!
//! `cargo test -p level-party-cli --features peers --test peers`

mod cpp_leveldb;
mod killed;
mod packages;
mod sublevels;

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");
