//! The endpoint: who joins, who is connected, and the way out.
//!
//! A member's connection carries nothing after the welcome. It stays so that each side sees the end of the other one at once.
//!
//! Invariant: a connection is in the table until its thread touches the member no more. So when [`Server::stop`] returns, no
//! work for another process is under way.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use level_party_engine::with_descriptors;
use level_party_locks::{Condvar, Mutex};
use level_party_os::{DirIdentity, Listener, Stream, descriptors};

use super::{Leadership, side};
use crate::error::{Error, ErrorKind, Result};
use crate::faults;
use crate::protocol::{
    ClientMessage, Failure, FrameBuffer, Hello, MAX_FIRST_FRAME, PREAMBLE_BYTES, Preamble,
    ServerMessage, Side, Welcome, decode, encode_frame,
};
use crate::status::first_of;

/// Connections at one time. Each costs a thread; a process of the same user could open any number.
const MAX_CONNECTIONS: usize = 4096;
/// Connections at one time where this process may have few descriptors: half of them are for the engine's files and for
/// whatever else the program does.
const FEWEST_CONNECTIONS: usize = 16;
/// How long a peer may take to say who it is, however slowly its bytes come.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// How long accepting rests after an error of the system (no descriptors are left, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The endpoint's server side.
pub(super) struct Server {
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// What connections share with the server.
struct Shared {
    listener: Listener,
    directory: DirIdentity,
    leadership: Weak<Leadership>,
    most_connections: usize,
    table: Mutex<Table>,
    /// A connection came, said who it is, or ended; the server is leaving.
    changed: Condvar,
}

struct Table {
    leaving: bool,
    next: u64,
    connections: BTreeMap<u64, Connection>,
}

struct Connection {
    stream: Arc<Stream>,
    /// It is a member that leads when nobody else does.
    may_lead: bool,
}

impl Server {
    /// Begins to accept.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(
        listener: Listener,
        directory: DirIdentity,
        leadership: &Arc<Leadership>,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            listener,
            directory,
            leadership: Arc::downgrade(leadership),
            most_connections: most_connections(descriptors::limit()),
            table: Mutex::new(Table {
                leaving: false,
                next: 0,
                connections: BTreeMap::new(),
            }),
            changed: Condvar::new(),
        });
        let accepting = shared.clone();
        let acceptor = std::thread::Builder::new()
            .name("level-party-accept".into())
            .spawn(move || accept(&accepting));
        match acceptor {
            Ok(thread) => Ok(Server {
                shared,
                acceptor: Some(thread),
            }),
            Err(error) => {
                // A leftover socket is replaced by the next one that serves.
                let _ = shared.listener.unlink();
                Err(Error::io("cannot start a thread", error))
            }
        }
    }

    /// Whether a process is connected that would lead; one may still come until `until`.
    pub fn has_successor(&self, until: Instant) -> bool {
        let mut table = self.shared.table.lock();
        loop {
            if table.connections.values().any(|c| c.may_lead) {
                return true;
            }
            let late = self.shared.changed.wait_until(&mut table, until);
            if table.leaving || late.timed_out() {
                return false;
            }
        }
    }

    /// Accepts no more, ends every connection, and removes the endpoint: that first, for while its socket is open no other file
    /// has its number, so that nobody else's is taken for it.
    pub fn stop(mut self) {
        // A leftover socket is replaced by the next one that serves.
        let _ = self.shared.listener.unlink();
        self.shared.listener.close();
        let mut table = self.shared.table.lock();
        table.leaving = true;
        self.shared.changed.notify_all();
        for connection in table.connections.values() {
            // If it has ended already, there is nothing to do. The other end still reads what was sent.
            let _ = connection.stream.shutdown_read();
        }
        while !table.connections.is_empty() {
            self.shared.changed.wait(&mut table);
        }
        drop(table);
        if let Some(acceptor) = self.acceptor.take() {
            // It ends by itself once the listener is closed; a panic in it has been reported by the panic hook.
            let _ = acceptor.join();
        }
    }
}

impl Shared {
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
                if !table.leaving {
                    shared.changed.wait_for(&mut table, ACCEPT_PAUSE);
                }
                continue;
            }
        };
        let mut table = shared.table.lock();
        if table.leaving || table.connections.len() >= shared.most_connections {
            continue;
        }
        table.next += 1;
        let id = table.next;
        let connection = Connection {
            stream: stream.clone(),
            may_lead: false,
        };
        table.connections.insert(id, connection);
        drop(table);
        let registered = Registered {
            shared: shared.clone(),
            id,
        };
        // Without a thread the connection is dropped, and the other process tries again.
        let _ = std::thread::Builder::new()
            .name("level-party-serve".into())
            .spawn(move || {
                // What ends a connection is the other process's to learn: it sees the end and asks again.
                let _ = serve(&registered.shared, registered.id, &stream);
                let _ = stream.shutdown();
                drop(registered);
            });
    }
}

/// Serves one connection until it ends.
fn serve(shared: &Shared, id: u64, stream: &Stream) -> Result<()> {
    let Some(leadership) = shared.leadership.upgrade() else {
        return Ok(());
    };
    match meet(shared, stream) {
        Ok(ClientMessage::Hello(hello)) => welcome(shared, id, &leadership, stream, &hello),
        Ok(ClientMessage::Side(Side { task, .. })) => match leadership.number() {
            Some(number) => side::run(&leadership, number, stream, task),
            None => {
                let error = Error::new(ErrorKind::NoLeader, "no process leads that would do this");
                send(stream, &ServerMessage::Refused(Failure::from(&error)))
            }
        },
        Err(error) => {
            // A peer that has gone needs no reason.
            let _ = answer(stream, &ServerMessage::Refused(Failure::from(&error)), &[]);
            Err(error)
        }
    }
}

/// Sends the preamble, and reads the peer's and its first message.
fn meet(shared: &Shared, stream: &Stream) -> Result<ClientMessage> {
    let io = |error| Error::io("the other process went during the handshake", error);
    let deadline = Instant::now() + HANDSHAKE_LIMIT;
    // Before anything can be refused: a refusal is a frame, and frames follow the preamble.
    (&*stream)
        .write_all(&Preamble::ours().encode())
        .map_err(io)?;
    let wait =
        || match stream.wait_readable(Some(deadline.saturating_duration_since(Instant::now()))) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::protocol(
                "the other process was too slow to say who it is",
            )),
            Err(error) => Err(io(error)),
        };
    let mut preamble = [0; PREAMBLE_BYTES];
    let mut handles = Vec::new();
    let mut read = 0;
    while read < PREAMBLE_BYTES {
        wait()?;
        let (count, more) = stream.recv_handles(&mut preamble[read..]).map_err(io)?;
        if count == 0 {
            return Err(io(std::io::ErrorKind::UnexpectedEof.into()));
        }
        if read == 0 {
            handles = more;
        } else if !more.is_empty() {
            // Or they would gather, some with each byte, until this process has none left.
            return Err(Error::protocol(
                "handles come with the preamble's first byte only",
            ));
        }
        read += count;
    }
    Preamble::decode(&preamble)?.check()?;
    let [directory] = &handles[..] else {
        return Err(Error::protocol("the preamble must bring one handle"));
    };
    if DirIdentity::of(directory).map_err(io)? != shared.directory {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            "this endpoint belongs to another directory (was the directory copied with its socket?)",
        ));
    }
    let mut buffer = FrameBuffer::new(MAX_FIRST_FRAME);
    loop {
        if let Some(frame) = buffer.next_frame()? {
            return decode(frame);
        }
        wait()?;
        if buffer.fill(stream).map_err(io)? == 0 {
            return Err(io(std::io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

/// Welcomes a member, or one that becomes it, and waits for the end of its connection.
fn welcome(
    shared: &Shared,
    id: u64,
    leadership: &Arc<Leadership>,
    stream: &Stream,
    hello: &Hello,
) -> Result<()> {
    let member = leadership.member();
    let leads = leadership.number().is_some();
    if leads {
        // So that those who have gone leave their places to those who come. What keeps it from that keeps nobody out.
        let _ = member.engine().clear_dead_members();
    }
    if !member.may_answer() {
        return Ok(());
    }
    let (state, epoch) = (member.state(), member.epoch());
    let welcome = Welcome {
        epoch,
        leadership: leadership.number(),
        pid: std::process::id(),
        sender: member.engine().incarnation(),
        state_file: state.identity(),
        options: member.options().clone(),
        dropped: first_of(member.dropped()),
    };
    let is_new = hello.member_of != Some(epoch);
    let memory = member.memory().filter(|_| is_new);
    let handles = memory.map(|memory| memory.handles()).unwrap_or_default();
    answer(stream, &ServerMessage::Welcome(welcome), &handles)?;
    faults::point("welcomed");
    if let Some(connection) = shared.table.lock().connections.get_mut(&id) {
        connection.may_lead = hello.may_lead;
    }
    shared.changed.notify_all();
    // It says nothing more: whatever comes is its end.
    let ended = stream.wait_readable(None);
    if leads && !leadership.is_leaving() {
        let _ = member.engine().clear_dead_members();
    }
    leadership.elector.ring();
    ended.map(drop).map_err(gone)
}

fn gone(error: std::io::Error) -> Error {
    Error::io("the other process went", error)
}

/// Answers a hello: with handles, or none.
fn answer(
    stream: &Stream,
    message: &ServerMessage,
    handles: &[level_party_os::BorrowedHandle<'_>],
) -> Result<()> {
    let mut frame = Vec::new();
    encode_frame(message, &mut frame);
    stream.send_handles(&frame, handles).map_err(gone)
}

/// Says something over a side connection.
fn send(stream: &Stream, message: &ServerMessage) -> Result<()> {
    let mut frame = Vec::new();
    encode_frame(message, &mut frame);
    (&*stream).write_all(&frame).map_err(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_take_at_most_a_quarter_of_the_descriptors() {
        assert_eq!(most_connections(Some(1024)), 256);
        assert_eq!(most_connections(Some(20)), FEWEST_CONNECTIONS);
        assert_eq!(most_connections(Some(u64::MAX)), MAX_CONNECTIONS);
        assert_eq!(most_connections(None), MAX_CONNECTIONS);
    }
}
