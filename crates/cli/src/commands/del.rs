//! `del`: remove keys.

use clap::Args;
use level_party::{WriteBatch, WriteOptions};

use crate::args::{ByteArg, Syncing, Target, bytes};
use crate::failure::Result;

/// Remove keys.
///
/// Several are one batch, which takes effect as a whole or not at all. It is no error when a key is not there.
#[derive(Args, Debug)]
pub struct Del {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    syncing: Syncing,

    /// The keys
    #[arg(required = true, value_name = "KEY", value_parser = bytes())]
    keys: Vec<ByteArg>,
}

impl Del {
    /// Removes the keys.
    pub fn run(self) -> Result<()> {
        let mut batch = WriteBatch::new();
        for ByteArg(key) in &self.keys {
            batch.delete(key);
        }
        let db = self.target.open_existing()?;
        db.write(&batch, WriteOptions::default().sync(self.syncing.sync))?;
        Ok(db.close()?)
    }
}
