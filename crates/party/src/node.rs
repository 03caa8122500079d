//! A node: this process's part in one directory. All handles that a process opens on a directory share one node.
//!
//! The node owns its place (calls), and what it knows of who leads; its thread (`election`) changes both.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use level_party_engine::{StdFs, check_no_orphans, refuse_foreign};
use level_party_locks::Mutex;
use level_party_os::process::fork_generation;
use level_party_os::{DataDir, LOCK_NAME, Stream};

use crate::alarm::Alarm;
use crate::error::{Error, ErrorKind, Result};
use crate::events::Hub;
use crate::leader::Leadership;
use crate::member::Member;
use crate::options::{Compression, Options, into_engine_options};
use crate::place::Place;
use crate::protocol::Failure;
use crate::state_file::STATE_NAME;

/// This process's part in one directory.
pub(crate) struct Node {
    pub dir: DataDir,
    /// Where the directory is, in full.
    pub path: PathBuf,
    pub options: Options,
    pub place: Arc<Place>,
    pub events: Hub,
    /// Wakes the elector; with `closing` set it leaves.
    pub alarm: Arc<Alarm>,
    closing: AtomicBool,
    /// Why the node can never serve, once the elector has found that out while opening.
    failure: Mutex<Option<Failure>>,
    /// The connection over which this node is being welcomed, so that closing can end the wait.
    handshake: Mutex<Option<Arc<Stream>>>,
    /// That of this process, while it leads.
    leadership: Mutex<Weak<Leadership>>,
    /// That of the process that opened it.
    fork_generation: u64,
}

impl Node {
    pub fn new(dir: DataDir, options: Options) -> Result<Arc<Node>> {
        let context = |error| Error::io("cannot set up this process's part", error);
        let alarm = Arc::new(Alarm::new().map_err(context)?);
        Ok(Arc::new(Node {
            path: dir.path().to_path_buf(),
            place: Arc::new(Place::new()),
            events: Hub::new(dir.path().to_string_lossy()),
            alarm,
            dir,
            options,
            closing: AtomicBool::new(false),
            failure: Mutex::new(None),
            handshake: Mutex::new(None),
            leadership: Mutex::new(Weak::new()),
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

    /// This process leads from here on.
    pub fn set_leadership(&self, leadership: &Arc<Leadership>) {
        *self.leadership.lock() = Arc::downgrade(leadership);
    }

    /// It does not lead any more.
    pub fn clear_leadership(&self) {
        *self.leadership.lock() = Weak::new();
    }

    /// That of this process, while it leads.
    pub fn leadership(&self) -> Option<Arc<Leadership>> {
        let leadership = self.leadership.lock().upgrade();
        leadership.filter(|leadership| leadership.number().is_some())
    }

    /// With `create_if_missing` off nothing is made in a directory that holds no database, not even `LOCK`.
    ///
    /// # Errors
    /// `NotFound`: there is no database; `Corruption`: there is what is left of one.
    pub fn check_database_exists(&self) -> Result<()> {
        if self.options.create_if_missing {
            return Ok(());
        }
        let files = self.dir.anchored_path();
        let context = |what: &str, error| {
            Error::io(
                format_args!("cannot look {what} in {}", self.path.display()),
                error,
            )
        };
        let current = files.join("CURRENT").try_exists();
        if current.map_err(|error| context("at CURRENT", error))? {
            return Ok(());
        }
        match check_no_orphans(&StdFs::new(&files)) {
            Ok(()) => Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "{} holds no LevelDB database (it has no CURRENT)",
                    self.path.display()
                ),
            )),
            Err(error) => Err(Error::engine(error).cannot_open(&self.path)),
        }
    }

    /// Another product's directory is left as it is: not even `LOCK` is made in it. Where a party was before there is
    /// nothing more to make, and the engine's own look is enough.
    pub fn check_not_foreign(&self) -> Result<()> {
        let dir = self.dir.anchored_path();
        if dir.join(STATE_NAME).exists() {
            return Ok(());
        }
        let fs = StdFs::new(dir);
        let checked = refuse_foreign(
            &fs,
            &into_engine_options(&self.options, &self.options.engine),
        );
        checked.map_err(|error| {
            Error::engine(error).context(format_args!("cannot open {}", self.path.display()))
        })
    }

    /// Refuses a handle that writes to a world of Minecraft Bedrock without having asked for its compression. The segment
    /// may have been founded by somebody who only reads.
    pub fn check_compression(&self, member: &Member, asked: Compression) -> Result<()> {
        let zlib_raw = Compression::ZlibRaw;
        let in_force = member.options().compression;
        if asked == zlib_raw || in_force != zlib_raw.number() {
            return Ok(());
        }
        let error = Error::engine(level_party_engine::Error::needs_zlib_raw());
        Err(error.context(format_args!("cannot open {}", self.path.display())))
    }

    /// Whether some process has taken the directory's lock once. It need not hold it now.
    pub fn has_lock_file(&self) -> bool {
        let lock = self.dir.anchored_path().join(LOCK_NAME);
        lock.try_exists().unwrap_or(false)
    }

    /// This node will never serve: whoever opens it is told why.
    pub fn fail(&self, error: Error) {
        *self.failure.lock() = Some(Failure::from(&error));
        self.place.close();
    }

    /// Whether a handle can still join.
    pub fn is_usable(&self) -> bool {
        !self.is_forked() && !self.is_closing() && self.failure.lock().is_none()
    }

    /// Whether this is a forked child's copy of its parent's node: its threads and connections are not here, and its
    /// mutexes may be locked by threads that are not.
    pub fn is_forked(&self) -> bool {
        fork_generation() != self.fork_generation
    }

    pub fn failure(&self) -> Option<Error> {
        self.failure.lock().clone().map(Error::from)
    }
}
