//! Who is connected: accepting, one thread a connection, and the way out.
//!
//! A thread a connection means that a follower's call is made by the thread that reads it and answered by the same:
//! no hand-over between threads on the way, which would cost more than the call.
//!
//! Invariant: a connection is in the table until its thread touches the engine no more. So when
//! [`Server::stop`] returns, no request of a follower is under way, and a session's new connection is welcomed only
//! after the old one has finished what it had begun.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use level_party_engine::with_descriptors;
use level_party_os::{DirIdentity, Listener, Stream, descriptors, process};
use parking_lot::{Condvar, Mutex};

use super::absent::Absent;
use super::connection;
use super::grants::Grants;
use super::service::Service;
use crate::error::{Error, Result};
use crate::protocol::Hello;
use crate::state::StateFile;
use crate::status::{LastTrouble, MemberStatus};

/// Connections at one time. Each costs a thread; a process of the same user could open any number.
const MAX_CONNECTIONS: usize = 4096;
/// Connections at one time where this process may have few descriptors: each costs two (the socket and the session
/// page), and half of them are for the engine's files and for whatever else the program does.
const FEWEST_CONNECTIONS: usize = 16;
/// How long a leaving leader waits for followers to take the answers it has for them.
const FAREWELL_LIMIT: Duration = Duration::from_secs(2);
/// How long accepting rests after an error of the system (no descriptors are left, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The endpoint's server side.
pub(super) struct Server {
    shared: Arc<Shared>,
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

/// What connections share with the server.
pub(super) struct Shared {
    listener: Listener,
    pub directory: DirIdentity,
    most_connections: usize,
    table: Mutex<Table>,
    /// The phase changed, or a connection ended.
    changed: Condvar,
}

struct Table {
    phase: Phase,
    /// What had gone wrong last in this process's part.
    own_trouble: Option<Noted>,
    next: u64,
    connections: BTreeMap<u64, Entry>,
}

/// What connections serve with.
#[derive(Clone)]
pub(super) struct Serving {
    pub service: Arc<Service>,
    pub state: Arc<StateFile>,
    pub absent: Arc<Absent>,
    /// What this process's own handles hold.
    pub own: Arc<Grants>,
}

/// Whether there is something to serve with.
pub(super) enum Attendance {
    Ready(Serving),
    NotYet,
    Leaving,
}

#[derive(Clone)]
enum Phase {
    Recovering,
    Serving(Serving),
    Leaving,
}

struct Entry {
    stream: Arc<Stream>,
    /// Known once it has said hello.
    follower: Option<Follower>,
}

/// A trouble, and when it was told.
#[derive(Clone)]
struct Noted {
    trouble: LastTrouble,
    at: Instant,
}

impl Noted {
    fn new(trouble: LastTrouble) -> Self {
        Noted {
            trouble: trouble.told(),
            at: Instant::now(),
        }
    }

    /// As of now.
    fn aged(self) -> LastTrouble {
        LastTrouble {
            ago: self.trouble.ago.saturating_add(self.at.elapsed()),
            ..self.trouble
        }
    }
}

struct Follower {
    trouble: Option<Noted>,
    session: [u64; 2],
    pid: u32,
    may_lead: bool,
    since: Instant,
    grants: Weak<Grants>,
}

impl Server {
    /// Begins to accept; whoever comes is told that recovery is under way.
    pub fn start(listener: Listener, directory: DirIdentity) -> Result<Self> {
        let shared = Arc::new(Shared {
            listener,
            directory,
            most_connections: most_connections(descriptors::limit()),
            table: Mutex::new(Table {
                phase: Phase::Recovering,
                own_trouble: None,
                next: 0,
                connections: BTreeMap::new(),
            }),
            changed: Condvar::new(),
        });
        let server = Server {
            shared: shared.clone(),
            acceptor: Mutex::new(None),
        };
        let acceptor = std::thread::Builder::new()
            .name("level-party-accept".into())
            .spawn(move || accept(&shared));
        match acceptor {
            Ok(thread) => {
                *server.acceptor.lock() = Some(thread);
                Ok(server)
            }
            Err(error) => {
                server.stop();
                Err(Error::io("cannot start a thread", error))
            }
        }
    }

    /// Recovery is done: followers are welcome.
    pub fn serve(&self, serving: Serving) {
        let mut table = self.shared.table.lock();
        if matches!(table.phase, Phase::Recovering) {
            table.phase = Phase::Serving(serving);
            self.shared.changed.notify_all();
        }
    }

    /// Who is attached, this process first.
    pub fn members(&self) -> Vec<MemberStatus> {
        self.shared.members()
    }

    pub fn tell_own_trouble(&self, trouble: Option<LastTrouble>) {
        self.shared.table.lock().own_trouble = trouble.map(Noted::new);
    }

    /// Whether a process is attached that would lead; one may still come until `until`.
    pub fn has_successor(&self, until: Instant) -> bool {
        self.shared.has_successor(until)
    }

    /// Accepts no more, lets every connection finish what it has read, and removes the endpoint.
    pub fn stop(&self) {
        self.shared.listener.close();
        let mut table = self.shared.table.lock();
        table.phase = Phase::Leaving;
        self.shared.changed.notify_all();
        for connection in table.connections.values() {
            // Where it ended already there is nothing to do.
            let _ = connection.stream.shutdown_read();
        }
        let deadline = Instant::now() + FAREWELL_LIMIT;
        while !table.connections.is_empty() {
            if self
                .shared
                .changed
                .wait_until(&mut table, deadline)
                .timed_out()
            {
                break;
            }
        }
        for connection in table.connections.values() {
            // Whoever does not take his answers learns what became of his calls from the next leader.
            let _ = connection.stream.shutdown();
        }
        while !table.connections.is_empty() {
            self.shared.changed.wait(&mut table);
        }
        drop(table);
        if let Some(acceptor) = self.acceptor.lock().take() {
            // It ends by itself once the listener is closed; a panic in it has been reported by the panic hook.
            let _ = acceptor.join();
        }
        // A leftover socket is replaced by the next leader.
        let _ = self.shared.listener.unlink();
    }
}

impl Shared {
    /// Who is attached, this process first.
    pub fn members(&self) -> Vec<MemberStatus> {
        let mut members = Vec::new();
        {
            let table = self.table.lock();
            if let Phase::Serving(serving) = &table.phase {
                let own = Arc::downgrade(&serving.own);
                let trouble = table.own_trouble.clone();
                members.push((std::process::id(), serving.service.since(), own, trouble));
            }
            let followers = table.connections.values();
            members.extend(
                followers
                    .filter_map(|c| c.follower.as_ref())
                    .map(|f| (f.pid, f.since, f.grants.clone(), f.trouble.clone())),
            );
        }
        // Not under the lock: the system is asked.
        type Known = (u32, Instant, Weak<Grants>, Option<Noted>);
        let told = |(pid, since, grants, trouble): Known| {
            let (pins, oldest) = grants.upgrade().map_or((0, None), |grants| grants.told());
            MemberStatus {
                pid,
                program: process::describe(pid).program,
                attached_for: since.elapsed(),
                pins,
                oldest_pin: oldest.map(|(sequence, _)| sequence),
                oldest_pin_held_for: oldest.map(|(_, held_for)| held_for),
                last_trouble: trouble.map(Noted::aged),
            }
        };
        members.into_iter().map(told).collect()
    }

    /// The session of that connection holds these.
    pub fn holds(&self, id: u64, grants: &Arc<Grants>) {
        let mut table = self.table.lock();
        let follower = table
            .connections
            .get_mut(&id)
            .and_then(|c| c.follower.as_mut());
        if let Some(follower) = follower {
            follower.grants = Arc::downgrade(grants);
        }
    }

    /// Ends the older connection of the same session, if there is one, and waits until its thread has let go of the
    /// engine. False: there is a newer one, or the leader is leaving.
    pub fn take_session(&self, id: u64, hello: &Hello) -> bool {
        let session = hello.session;
        let mut table = self.table.lock();
        if let Some(entry) = table.connections.get_mut(&id) {
            entry.follower = Some(Follower {
                trouble: hello.trouble.clone().map(Noted::new),
                session,
                pid: hello.pid,
                may_lead: hello.may_lead,
                since: Instant::now(),
                grants: Weak::new(),
            });
            self.changed.notify_all();
        }
        loop {
            if matches!(table.phase, Phase::Leaving) {
                return false;
            }
            let is_same = |(_, other): &(&u64, &Entry)| {
                other
                    .follower
                    .as_ref()
                    .is_some_and(|follower| follower.session == session)
            };
            if table
                .connections
                .range(id + 1..)
                .any(|other| is_same(&other))
            {
                return false;
            }
            let Some((_, older)) = table.connections.range(..id).find(is_same) else {
                return true;
            };
            let _ = older.stream.shutdown();
            self.changed.wait(&mut table);
        }
    }

    /// Whether a process is attached that would lead; one may still come until `until`.
    pub fn has_successor(&self, until: Instant) -> bool {
        let mut table = self.table.lock();
        loop {
            let mut followers = table
                .connections
                .values()
                .filter_map(|c| c.follower.as_ref());
            if followers.any(|follower| follower.may_lead) {
                return true;
            }
            if matches!(table.phase, Phase::Leaving)
                || self.changed.wait_until(&mut table, until).timed_out()
            {
                return false;
            }
        }
    }

    /// Whether recovery is under way.
    pub fn is_recovering(&self) -> bool {
        matches!(self.table.lock().phase, Phase::Recovering)
    }

    /// Waits until recovery is done. `None`: the leader is leaving.
    pub fn wait_for_service(&self) -> Option<Serving> {
        let mut table = self.table.lock();
        loop {
            match &table.phase {
                Phase::Recovering => self.changed.wait(&mut table),
                Phase::Serving(serving) => return Some(serving.clone()),
                Phase::Leaving => return None,
            }
        }
    }

    /// As [`Shared::wait_for_service`], but waits no longer than `limit`.
    pub fn attend(&self, limit: Duration) -> Attendance {
        let deadline = Instant::now() + limit;
        let mut table = self.table.lock();
        loop {
            match &table.phase {
                Phase::Serving(serving) => return Attendance::Ready(serving.clone()),
                Phase::Leaving => return Attendance::Leaving,
                Phase::Recovering => {}
            }
            if self.changed.wait_until(&mut table, deadline).timed_out() {
                return Attendance::NotYet;
            }
        }
    }

    fn remove(&self, id: u64) {
        self.table.lock().connections.remove(&id);
        self.changed.notify_all();
    }
}

/// Takes a connection out of the table however its thread ends.
struct Registered {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shared.remove(self.id);
    }
}

fn most_connections(open_files: Option<u64>) -> usize {
    let quarter = open_files.and_then(|most| usize::try_from(most / 4).ok());
    quarter
        .unwrap_or(MAX_CONNECTIONS)
        .clamp(FEWEST_CONNECTIONS, MAX_CONNECTIONS)
}

fn accept(shared: &Arc<Shared>) {
    loop {
        let stream = match with_descriptors(|| shared.listener.accept()) {
            Ok(stream) => Arc::new(stream),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => return,
            Err(_) => {
                let mut table = shared.table.lock();
                if !matches!(table.phase, Phase::Leaving) {
                    shared.changed.wait_for(&mut table, ACCEPT_PAUSE);
                }
                continue;
            }
        };
        let mut table = shared.table.lock();
        if matches!(table.phase, Phase::Leaving)
            || table.connections.len() >= shared.most_connections
        {
            continue;
        }
        table.next += 1;
        let id = table.next;
        table.connections.insert(
            id,
            Entry {
                stream: stream.clone(),
                follower: None,
            },
        );
        drop(table);
        let registered = Registered {
            shared: shared.clone(),
            id,
        };
        // Without a thread the connection is dropped, and its follower tries again.
        let _ = std::thread::Builder::new()
            .name("level-party-serve".into())
            .spawn(move || {
                // What ends a connection is the follower's to learn: it sees the end and asks again.
                let _ = connection::run(&registered.shared, registered.id, &stream);
                let _ = stream.shutdown();
                drop(registered);
            });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn followers_take_at_most_half_of_the_descriptors() {
        assert_eq!(most_connections(Some(1024)), 256);
        assert_eq!(most_connections(Some(20)), FEWEST_CONNECTIONS);
        assert_eq!(most_connections(Some(u64::MAX)), MAX_CONNECTIONS);
        assert_eq!(most_connections(None), MAX_CONNECTIONS);
    }
}
