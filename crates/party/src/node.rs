//! A node: this process's part in one directory. All handles that a process opens on a directory share one node.
//!
//! The node owns the session (calls), and the elector thread that keeps finding a leader or becomes it. A
//! [`Handle`] is what a caller opened: its own limits, and its own `close`.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use level_party_os::process::fork_generation;
use level_party_os::{DataDir, Stream};
use parking_lot::Mutex;
use serde_bytes::Bytes;

use crate::alarm::Alarm;
use crate::batch::{WriteBatch, check_batch, check_key};
use crate::election::Elector;
use crate::error::{Error, ErrorKind, Result};
use crate::options::Options;
use crate::protocol::{Answer, Entries, Failure, Request, Scan, unexpected};
use crate::registry;
pub(crate) use crate::session::Tenure;
use crate::session::{Limits, PinId, Session};
use crate::status::{LeaderStatus, Role, Status};

/// This process's part in one directory.
pub(crate) struct Node {
    pub dir: DataDir,
    /// Where the directory is, in full.
    pub path: PathBuf,
    pub options: Options,
    pub session: Session,
    /// Wakes the elector; with `closing` set it leaves.
    pub alarm: Arc<Alarm>,
    closing: AtomicBool,
    /// Why the node can never serve, once the elector has found that out while opening.
    failure: Mutex<Option<Failure>>,
    /// The connection over which this node is being greeted, so that closing can end the wait.
    handshake: Mutex<Option<Arc<Stream>>>,
    /// Where this node's settings differ from the leader's.
    pub differing_options: Mutex<Vec<String>>,
    fork_generation: u64,
}

impl Node {
    pub fn new(dir: DataDir, options: Options) -> Result<Arc<Node>> {
        let context = |error| Error::io("cannot set up this process's part", error);
        let alarm = Arc::new(Alarm::new().map_err(context)?);
        Ok(Arc::new(Node {
            path: dir.path().to_path_buf(),
            session: Session::new(alarm.clone()).map_err(context)?,
            alarm,
            dir,
            options,
            closing: AtomicBool::new(false),
            failure: Mutex::new(None),
            handshake: Mutex::new(None),
            differing_options: Mutex::new(Vec::new()),
            fork_generation: fork_generation(),
        }))
    }

    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Has the elector leave.
    pub fn begin_closing(&self) {
        self.closing.store(true, Ordering::SeqCst);
        if let Some(stream) = &*self.handshake.lock() {
            // Where it ended already there is nothing to do.
            let _ = stream.shutdown();
        }
        self.alarm.ring();
    }

    /// The elector waits for a greeting over `stream`. False: the node is closing.
    pub fn begin_handshake(&self, stream: &Arc<Stream>) -> bool {
        *self.handshake.lock() = Some(stream.clone());
        !self.is_closing()
    }

    pub fn end_handshake(&self) {
        *self.handshake.lock() = None;
    }

    /// With `create_if_missing` off nothing is made in a directory that holds no database, not even `LOCK`.
    pub fn check_database_exists(&self) -> Result<()> {
        if self.options.create_if_missing {
            return Ok(());
        }
        let current = self.path.join("CURRENT");
        match current.try_exists() {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "{} holds no LevelDB database (it has no CURRENT)",
                    self.path.display()
                ),
            )),
            Err(error) => Err(Error::io(
                format_args!("cannot look at {}", current.display()),
                error,
            )),
        }
    }

    /// This node will never serve: whoever opens it is told why.
    pub fn fail(&self, error: Error) {
        *self.failure.lock() = Some(Failure::from(&error));
        self.session.close();
    }

    /// Whether a handle can still join.
    pub fn is_usable(&self) -> bool {
        !self.is_closing() && self.failure.lock().is_none()
    }

    fn failure(&self) -> Option<Error> {
        self.failure.lock().clone().map(Error::from)
    }
}

/// What one `open` returned.
pub(crate) struct Handle {
    elector: Arc<Elector>,
    timeout: Duration,
    retry: bool,
    opened: AtomicBool,
    closed: AtomicBool,
}

impl Handle {
    pub fn open(path: &Path, options: Options) -> Result<Self> {
        let (timeout, retry) = (options.timeout, options.retry);
        let limits = Limits::new(options.open_timeout, true);
        let error_if_exists = options.error_if_exists;
        let elector = registry::join(path, options)?;
        // From here on an error drops the handle, which leaves the node.
        let handle = Handle {
            elector,
            timeout,
            retry,
            opened: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        };
        let node = handle.node();
        node.session.wait_for_leader(&limits, || node.failure())?;
        handle.opened.store(true, Ordering::Release);
        let created = handle.elector.created_here();
        if error_if_exists && !created {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!(
                    "{} holds a database already (error_if_exists is set)",
                    node.path.display()
                ),
            ));
        }
        Ok(handle)
    }

    fn node(&self) -> &Node {
        self.elector.node()
    }

    pub fn path(&self) -> &Path {
        &self.node().path
    }

    pub fn role(&self) -> Role {
        self.node().session.role()
    }

    pub fn close(&self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            self.elector
                .handle_closed(self.opened.load(Ordering::Acquire));
        }
    }

    fn limits(&self) -> Result<Limits> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::closed());
        }
        if fork_generation() != self.node().fork_generation {
            return Err(Error::new(
                ErrorKind::Forked,
                "this handle was opened before fork; open the database again in the child process",
            ));
        }
        Ok(Limits::new(self.timeout, self.retry))
    }

    fn call(&self, request: &Request<'_>, limits: &Limits) -> Result<crate::session::Answered> {
        self.node().session.call(request, limits)
    }

    pub fn get(&self, key: &[u8], at: Option<&Pinned>) -> Result<Option<Vec<u8>>> {
        check_key(key)?;
        let limits = self.limits()?;
        if let Some(pin) = at {
            self.node().session.check_pin(pin.id)?;
        }
        let request = Request::Get {
            key: Bytes::new(key),
            at: at.map(Pinned::sequence),
        };
        match self.call(&request, &limits)?.answer {
            Answer::Value(value) => Ok(value),
            other => Err(unexpected(&other)),
        }
    }

    pub fn write(&self, batch: &WriteBatch, sync: bool) -> Result<u64> {
        check_batch(batch)?;
        let limits = self.limits()?;
        let request = Request::Write {
            number: 0,
            sync,
            batch: Bytes::new(batch.as_bytes()),
        };
        match self.call(&request, &limits)?.answer {
            Answer::Written { sequence } => Ok(sequence),
            other => Err(unexpected(&other)),
        }
    }

    /// One chunk of a range; the pin of its moment where this chunk granted one; and who answered.
    pub fn scan(
        self: &Arc<Self>,
        scan: &Scan<'_>,
        pin: Option<&Pinned>,
        begun: Option<Tenure>,
    ) -> Result<(Entries, Option<Pinned>, Tenure)> {
        for bound in [scan.lower, scan.upper] {
            if let Bound::Included(key) | Bound::Excluded(key) = bound {
                check_key(key)?;
            }
        }
        let mut limits = self.limits()?;
        limits.only = begun.filter(|_| !self.retry);
        if let Some(pin) = pin {
            self.node().session.check_pin(pin.id)?;
        }
        let scan = Scan {
            at: pin.map(Pinned::sequence),
            ..*scan
        };
        let answered = self.call(&Request::Scan(scan), &limits)?;
        match answered.answer {
            Answer::Entries {
                sequence, entries, ..
            } => {
                let pin = answered.pin.map(|id| Pinned {
                    handle: self.clone(),
                    id,
                    sequence,
                });
                Ok((entries, pin, answered.tenure))
            }
            other => Err(unexpected(&other)),
        }
    }

    pub fn pin(self: &Arc<Self>) -> Result<Pinned> {
        let answered = self.call(&Request::Pin, &self.limits()?)?;
        match (answered.answer, answered.pin) {
            (Answer::Pinned { sequence }, Some(id)) => Ok(Pinned {
                handle: self.clone(),
                id,
                sequence,
            }),
            (other, _) => Err(unexpected(&other)),
        }
    }

    pub fn status(&self) -> Result<Status> {
        let leader: LeaderStatus = match self.call(&Request::Status, &self.limits()?)?.answer {
            Answer::Status(status) => *status,
            other => return Err(unexpected(&other)),
        };
        Ok(Status {
            role: self.role(),
            pid: std::process::id(),
            leader,
            differing_options: self.node().differing_options.lock().clone(),
        })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

/// A moment that this handle holds; dropping it gives it back.
pub(crate) struct Pinned {
    handle: Arc<Handle>,
    id: PinId,
    sequence: u64,
}

impl Pinned {
    pub fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.handle.node().session.unpin(self.id);
    }
}
