//! Leading: what only one member does for all: it serves the endpoint, compacts, copies and looks at the whole database. (What
//! of this the engine does by itself, in its own thread, begins and ends with the leadership too.)
//!
//! Promises: while a leadership lasts, its process has the leader's byte. A leadership ends without the stay ending: reads and
//! commits go on.
//!
//! Order of an end, also of one whose beginning failed: no new work begins; connections are told by their end; the endpoint is unlinked; the engine stops
//! leading; the byte is given back last.

mod server;
mod side;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use level_party_locks::Mutex;
use level_party_os::{ByteLock, DataDir, Listener};

use crate::alarm::Alarm;
use crate::error::{Error, Result};
use crate::faults;
use crate::member::Member;
use crate::place::KnownLeader;
use server::Server;

/// How long after a takeover the members of the last leader may take to come, before it is said that nobody is here.
const GATHERING: Duration = Duration::from_millis(500);

/// One leadership of this process, or its keeping the door while nobody may lead.
pub(crate) struct Leadership {
    member: Arc<Member>,
    /// `None`: it only keeps the door.
    number: Option<u64>,
    since: Instant,
    server: Mutex<Option<Server>>,
    leaving: AtomicBool,
    yielding: AtomicBool,
    elector: Arc<Alarm>,
    /// The leader's byte, or the door's.
    byte: Mutex<Option<ByteLock>>,
}

impl Leadership {
    /// Begins to serve the endpoint. The caller has made the engine lead, unless `number` is `None`.
    ///
    /// # Errors
    /// The endpoint can't be served. The engine does not lead any more, and the byte is given back.
    pub fn begin(
        dir: &DataDir,
        member: &Arc<Member>,
        number: Option<u64>,
        byte: Option<ByteLock>,
        elector: &Arc<Alarm>,
    ) -> Result<Arc<Self>> {
        let leadership = Arc::new(Leadership {
            member: Arc::clone(member),
            number,
            since: Instant::now(),
            server: Mutex::new(None),
            leaving: AtomicBool::new(false),
            yielding: AtomicBool::new(false),
            elector: Arc::clone(elector),
            byte: Mutex::new(byte),
        });
        if let Err(error) = leadership.serve(dir) {
            // Before the byte is given back, with which another member would lead beside this one.
            leadership.stop();
            return Err(error);
        }
        faults::point("serving");
        Ok(leadership)
    }

    fn serve(self: &Arc<Self>, dir: &DataDir) -> Result<()> {
        // Where nothing is shared nobody can join: whoever comes finds the lock's holder.
        let Some(lock) = self.member.member_lock() else {
            return Ok(());
        };
        let listener = Listener::bind_as_member(dir, lock)
            .map_err(|error| Error::io("cannot serve the directory's endpoint", error))?;
        faults::point("bound");
        let server = Server::start(listener, dir.identity(), self)?;
        *self.server.lock() = Some(server);
        Ok(())
    }

    pub fn member(&self) -> &Arc<Member> {
        &self.member
    }

    /// The leadership's number. `None`: it only keeps the door.
    pub fn number(&self) -> Option<u64> {
        self.number
    }

    /// This process as the leader. `None`: it only keeps the door.
    pub fn known(&self) -> Option<KnownLeader> {
        Some(KnownLeader {
            pid: std::process::id(),
            leadership: self.number?,
        })
    }

    /// Whether work is to end: the leadership does.
    fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Has this leadership end so that another process takes over. False: there is none that would.
    pub fn give_way(&self) -> bool {
        let until = self.since + GATHERING;
        let followed = match &*self.server.lock() {
            Some(server) => server.has_successor(until),
            None => false,
        };
        if followed {
            self.yielding.store(true, Ordering::Release);
            self.elector.ring();
        }
        followed
    }

    /// Whether it ends because it gives way.
    pub fn is_yielding(&self) -> bool {
        self.yielding.load(Ordering::Acquire)
    }

    /// Ends the leadership; the stay goes on.
    pub fn stop(&self) {
        self.leaving.store(true, Ordering::Release);
        let server = self.server.lock().take();
        if let Some(server) = server {
            server.stop();
        }
        faults::point("endpoint-unlinked");
        if self.number.is_some() {
            self.member.engine().stop_leading();
        }
        faults::point("stopped-leading");
        *self.byte.lock() = None;
    }
}
