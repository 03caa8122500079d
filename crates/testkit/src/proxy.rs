//! A TCP proxy that stands between a client and a server on loopback, and can lose what a network can lose.
//!
//! What it promises: bytes are delivered in order or not at all. A dropped acknowledgement is exact: the server has begun its
//! answer, so the request was done, and not one byte of the answer reaches the client. What it must not know: what the bytes
//! mean, beyond where an answer begins and ends ([`Wire`]).
//!
//! ```
//! use level_party_testkit::{Proxy, Wire};
//! use std::io::{Read, Write};
//! use std::net::{TcpListener, TcpStream};
//!
//! let server = TcpListener::bind("127.0.0.1:0")?;
//! let proxy = Proxy::start(server.local_addr()?, Wire::AnyBytes);
//! proxy.drop_next_answer();
//! let mut client = TcpStream::connect(proxy.address())?;
//! client.write_all(b"write")?;
//! let (mut at_server, _) = server.accept()?;
//! let mut request = [0; 5];
//! at_server.read_exact(&mut request)?; // the server has it,
//! at_server.write_all(b"done")?;
//! assert_eq!(client.read(&mut [0; 4]).unwrap_or(0), 0); // and the client is not told
//! assert_eq!(proxy.dropped(), 1);
//! # Ok::<(), std::io::Error>(())
//! ```

mod wire;

pub use wire::Wire;

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::PATIENCE;
use wire::{Part, Tracker};

/// Bytes that are taken at a time.
const CHUNK: usize = 64 * 1024;

/// A proxy. Dropping it cuts its connections and ends it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    wire: Wire,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    connections: HashMap<u64, [TcpStream; 2]>,
    accepted: u64,
    /// New connections are cut at once.
    refusing: bool,
    /// Answers stay here.
    holding: bool,
    /// Chunks of the server that are held back now.
    held: usize,
    /// Answers yet to be dropped.
    to_drop: usize,
    dropped: usize,
    delay: Duration,
    ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

impl State {
    fn cut(&mut self, connection: u64) {
        for stream in self.connections.remove(&connection).iter().flatten() {
            // What can fail is that the other side has cut it already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Proxy {
    /// A proxy before `server`, on a port of its own.
    ///
    /// # Panics
    /// If there is no port.
    pub fn start(server: SocketAddr, wire: Wire) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            server,
            wire,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &accepting));
        Proxy { address, shared }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next answer that a server begins on any connection is lost: the connection is cut before a byte of it reaches the
    /// client. Called again, one more is.
    pub fn drop_next_answer(&self) {
        self.shared.change(|state| state.to_drop += 1);
    }

    /// How many answers were dropped.
    pub fn dropped(&self) -> usize {
        self.shared.lock().dropped
    }

    /// Waits until so many answers were dropped in all.
    ///
    /// # Panics
    /// If they are not within a minute.
    pub fn wait_for_dropped(&self, count: usize) {
        self.wait_until("a dropped answer", |state| state.dropped >= count);
    }

    /// From now on what servers say stays here, until [`Proxy::release`] delivers it or [`Proxy::cut`] loses it.
    pub fn hold_answers(&self) {
        self.shared.change(|state| state.holding = true);
    }

    /// Waits until something of a server is held back.
    ///
    /// # Panics
    /// If nothing is within a minute.
    pub fn wait_for_held(&self) {
        self.wait_until("something of the server to hold back", |state| {
            state.held > 0
        });
    }

    /// Delivers what is held back, and what comes after it.
    pub fn release(&self) {
        self.shared.change(|state| state.holding = false);
    }

    /// Cuts every connection; what is held back is lost. New ones are accepted.
    pub fn cut(&self) {
        self.shared.change(|state| {
            let all: Vec<u64> = state.connections.keys().copied().collect();
            all.into_iter().for_each(|connection| state.cut(connection));
        });
    }

    /// Whether new connections are cut at once.
    pub fn refuse(&self, refuse: bool) {
        self.shared.change(|state| state.refusing = refuse);
    }

    /// Delivers each chunk so much later than it came, in both directions.
    pub fn delay(&self, by: Duration) {
        self.shared.change(|state| state.delay = by);
    }

    /// How many connections there were.
    pub fn accepted(&self) -> u64 {
        self.shared.lock().accepted
    }

    fn wait_until(&self, what: &str, reached: impl Fn(&State) -> bool) {
        let until = Instant::now() + PATIENCE;
        let mut state = self.shared.lock();
        while !reached(&state) {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {what}");
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.change(|state| state.ended = true);
        self.cut();
        // The listener's thread looks whether it has ended when a connection comes.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        let (refusing, ended) = {
            let state = shared.lock();
            (state.refusing, state.ended)
        };
        if ended {
            return;
        }
        // A connection that cannot be made is cut: the client sees what it would of a dead server.
        if let Ok(client) = client
            && !refusing
        {
            let _ = join(client, shared);
        }
    }
}

/// Connects to the server, and lets two threads carry the bytes.
fn join(client: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    let server = TcpStream::connect(shared.server)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ends = [client.try_clone()?, server.try_clone()?];
    let number = {
        let mut state = shared.lock();
        state.accepted += 1;
        let number = state.accepted;
        state.connections.insert(number, ends);
        number
    };
    shared.changed.notify_all();
    let (from_client, to_server) = (client.try_clone()?, server.try_clone()?);
    let requests = Arc::clone(shared);
    std::thread::spawn(move || carry(number, from_client, to_server, &requests, None));
    let tracker = Tracker::new(shared.wire);
    let answers = Arc::clone(shared);
    std::thread::spawn(move || carry(number, server, client, &answers, Some(tracker)));
    Ok(())
}

/// Carries bytes one way until either side ends; then the connection is cut. What the server says has a tracker.
fn carry(
    connection: u64,
    mut from: TcpStream,
    mut to: TcpStream,
    shared: &Shared,
    mut answers: Option<Tracker>,
) {
    let mut chunk = vec![0; CHUNK];
    let mut waiting = Vec::new();
    while let Ok(length @ 1..) = from.read(&mut chunk) {
        let bytes = &chunk[..length];
        let delay = shared.lock().delay;
        if !delay.is_zero() {
            std::thread::sleep(delay); // what is asked for, and nothing is waited for
        }
        waiting.extend_from_slice(bytes);
        if let Some(tracker) = &mut answers {
            match pass(connection, tracker.next(bytes), shared) {
                Pass::Now => {}
                Pass::WithNext => continue,
                Pass::Never => return,
            }
        }
        if to.write_all(&waiting).is_err() {
            break;
        }
        waiting.clear();
    }
    shared.change(|state| state.cut(connection));
}

/// Whether bytes of a server go to the client.
enum Pass {
    Now,
    /// An answer to be dropped is not complete yet.
    WithNext,
    /// The connection was cut.
    Never,
}

fn pass(connection: u64, part: Part, shared: &Shared) -> Pass {
    let mut state = shared.lock();
    if state.to_drop > 0 {
        match part {
            Part::Other => {}
            Part::Begun => return Pass::WithNext,
            Part::Complete => {
                state.to_drop -= 1;
                state.dropped += 1;
                state.cut(connection);
                shared.changed.notify_all();
                return Pass::Never;
            }
        }
    }
    if state.holding {
        state.held += 1;
        shared.changed.notify_all();
        while state.holding && state.connections.contains_key(&connection) {
            state = shared.wait(state);
        }
        state.held -= 1;
    }
    match state.connections.contains_key(&connection) {
        true => Pass::Now,
        false => Pass::Never,
    }
}

#[cfg(test)]
mod tests;
