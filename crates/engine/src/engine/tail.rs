//! [`Engine::tail_from`].

use level_party_format::Sequence;

use super::Engine;
use crate::base::error::{Error, ErrorKind, Result};
use crate::follow::tail::Tail;

impl Engine {
    /// The batches committed from a sequence on, that of its first operation included, by whichever member of the segment,
    /// and those to come. Batches that are in tables are given as long as the logs that hold them are kept
    /// ([`Options::tail_bytes`](crate::Options::tail_bytes)), those of earlier openings too, unless another program may have
    /// written since ([`Options::foreign_logs`](crate::Options::foreign_logs)). Writes that were committed together come as
    /// one batch. A [`Gap`](crate::Gap) stands for those that are gone. A sequence beyond the last one waits for it. A batch
    /// may be given before it is on stable storage, also if its write asked for `sync`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if that option is 0: then nothing is kept.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use level_party_engine::{Engine, MemFs, Op, Options, TailItem, Write, WriteBatch};
    ///
    /// let options = Options { tail_bytes: 1 << 20, ..Options::default() };
    /// let engine = Engine::open(Arc::new(MemFs::new()), options)?;
    /// let mut tail = engine.tail_from(1)?;
    /// assert!(tail.try_next().unwrap().is_none());
    /// let mut batch = WriteBatch::new();
    /// batch.put(b"colour", b"green");
    /// engine.write(Write::new(batch))?;
    /// let Some(TailItem::Batch(committed)) = tail.wait_next()? else { panic!("a batch was committed") };
    /// let ops: Vec<_> = committed.ops().collect();
    /// assert_eq!(ops, [(1, Op::Put { key: b"colour", value: b"green" })]);
    /// # Ok::<(), level_party_engine::Error>(())
    /// ```
    pub fn tail_from(&self, sequence: Sequence) -> Result<Tail> {
        if self.shared.options.tail_bytes == 0 {
            let message = "no tail is kept: open the database with the option tail_bytes";
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        Ok(Tail::new(&self.shared.tails, sequence))
    }
}
