//! [`Engine::checkpoint`].

use level_party_format::Sequence;

use super::Engine;
use crate::base::error::Result;
use crate::base::fs::Fs;
use crate::base::health::not_leading;

impl Engine {
    /// Copies the database as it is at this moment into another directory, which must exist and hold no database, and
    /// gives the moment's sequence. Tables are hard links where that is possible, else copies. Writing goes on.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`](crate::ErrorKind::AlreadyExists) if the target has database files;
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed); [`ErrorKind::NotLeading`](crate::ErrorKind::NotLeading) for a member
    /// that does not lead; or the system's error. Files made before an error stay in the
    /// target, without the one that makes a database of them.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use level_party_engine::{Engine, MemFs, Options, Write, WriteBatch};
    ///
    /// let engine = Engine::open(Arc::new(MemFs::new()), Options::default())?;
    /// let mut batch = WriteBatch::new();
    /// batch.put(b"colour", b"green");
    /// engine.write(Write::new(batch))?;
    /// let copy = MemFs::new();
    /// assert_eq!(engine.checkpoint(&copy)?, 1);
    /// let copy = Engine::open(Arc::new(copy), Options::default())?;
    /// assert_eq!(copy.get(b"colour")?.unwrap().value, b"green");
    /// # Ok::<(), level_party_engine::Error>(())
    /// ```
    pub fn checkpoint(&self, target: &dyn Fs) -> Result<Sequence> {
        let copied = self.checkpoint_while(target, &|| true)?;
        Ok(copied.expect("nobody breaks it off"))
    }

    /// As [`Engine::checkpoint`], for as long as `go_on`, asked before each table, says so. `None`: it was broken off.
    ///
    /// # Errors
    /// As [`Engine::checkpoint`].
    pub fn checkpoint_while(
        &self,
        target: &dyn Fs,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<Sequence>> {
        self.shared.health.check_open()?;
        if !self.is_leading() {
            return Err(not_leading());
        }
        let moment = self.shared.moment()?;
        let whole = moment.copy_to(self.shared.fs.as_ref(), target, go_on)?;
        Ok(whole.then_some(moment.last))
    }
}
