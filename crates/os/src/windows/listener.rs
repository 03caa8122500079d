//! The serving side of the endpoint.
//!
//! **Invariant.** Only the holder of the directory's lock, or the one member that serves, tells an endpoint's name, so
//! whatever is told when it arrives is stale. Until [`Listener::close`] some of its pipe's ends always wait for clients: for each that is taken a new one
//! is made first.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use super::call::wait_any;
use super::credentials::OwnersOnly;
use super::endpoint;
use super::pipe::Waiting;
use crate::data_dir::DataDir;
use crate::identity::DirIdentity;
use crate::lock::{DirLock, MemberLock};
use crate::stream::Stream;
use crate::waker::Waker;

/// Ends that wait for clients at one time. A client that finds none tries again; one wait takes 64 objects.
const ENDS: usize = 16;

/// An endpoint that is told and listens. Dropping it closes the pipe but leaves its name told: see [`Listener::unlink`].
///
/// ```
/// use std::io::{Read, Write};
/// use level_party_os::{DataDir, DirLock, Listener, Stream};
/// let tmp = tempfile::tempdir()?;
/// let dir = DataDir::open(tmp.path())?;
/// let lock = DirLock::try_acquire(&dir)?;
/// let listener = Listener::bind(&dir, &lock)?;
/// let client = Stream::connect(&dir)?;
/// let server = listener.accept()?;
/// (&client).write_all(b"hello")?;
/// let mut heard = [0; 5];
/// (&server).read_exact(&mut heard)?;
/// assert_eq!(&heard, b"hello");
/// listener.close();
/// listener.unlink()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Listener {
    name: String,
    path: PathBuf,
    security: OwnersOnly,
    ends: Mutex<Vec<Waiting>>,
    waker: Waker,
    closed: AtomicBool,
    /// The directory, opened for ourselves: the caller's may be dropped before us.
    dir: DataDir,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Listener {
    /// Binds the directory's endpoint. The lock shows that nobody else serves it.
    ///
    /// # Errors
    /// `InvalidInput` if the lock is another directory's; `AlreadyExists` if something that is no file is in the place of
    /// the endpoint's (it is left alone); whatever the system says.
    pub fn bind(dir: &DataDir, lock: &DirLock) -> io::Result<Self> {
        Self::bind_with(dir, lock.identity())
    }

    /// The same as a member. Of all members only one may: the caller has shown by a lock of its own, such as a
    /// [`crate::ByteLock`], that it is the one.
    ///
    /// # Errors
    /// As [`Self::bind`].
    pub fn bind_as_member(dir: &DataDir, lock: &MemberLock) -> io::Result<Self> {
        Self::bind_with(dir, lock.identity())
    }

    fn bind_with(dir: &DataDir, locked: DirIdentity) -> io::Result<Self> {
        if locked != dir.identity() {
            let what = "the lock is not this directory's";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let name = endpoint::draw(dir.identity())?;
        let security = OwnersOnly::new()?;
        let mut ends = vec![Waiting::new(&name, &security, true)?];
        while ends.len() < ENDS {
            ends.push(Waiting::new(&name, &security, false)?);
        }
        endpoint::tell(dir, &name)?;
        Ok(Self {
            path: PathBuf::from(&name),
            name,
            security,
            ends: Mutex::new(ends),
            waker: Waker::new()?,
            closed: AtomicBool::new(false),
            dir: dir.try_clone()?,
        })
    }

    /// The pipe's name, for people.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the next connection, of our own user: the system lets nobody else in.
    ///
    /// # Errors
    /// `ConnectionAborted` once [`Self::close`] was called, in every thread; otherwise whatever the system says when it
    /// has no more ends.
    pub fn accept(&self) -> io::Result<Stream> {
        let mut ends = self.ends();
        loop {
            if self.closed.load(Ordering::Acquire) {
                return Err(closed());
            }
            while ends.len() < ENDS {
                match Waiting::new(&self.name, &self.security, false) {
                    Ok(end) => ends.push(end),
                    Err(error) if ends.is_empty() => return Err(error),
                    Err(_) => break,
                }
            }
            let came = {
                let mut objects = vec![self.waker.event()];
                objects.extend(ends.iter().map(|end| end.call().event_ref()));
                wait_any(&objects, None)?
            };
            let Some(came) = came.and_then(|first| first.checked_sub(1)) else {
                continue;
            };
            let end = ends.swap_remove(came);
            // Before the client is heard: the next one need not wait. Without an end to spare it may have to.
            if let Ok(next) = Waiting::new(&self.name, &self.security, false) {
                ends.push(next);
            }
            // A client that went again was none.
            if let Ok(stream) = end.take().and_then(Stream::of_server) {
                return Ok(stream);
            }
        }
    }

    /// Stops listening: connections that were not accepted are closed, new ones are refused, and
    /// every `accept` ends. The name stays told. Calling it again does nothing.
    pub fn close(&self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            self.waker.wake();
            self.ends().clear();
        }
    }

    /// Tells the name no more, if it is still this listener's. Call it while the lock is held: a
    /// successor may be binding otherwise.
    ///
    /// # Errors
    /// Whatever the system says; a file that is gone, or tells another name, is no error.
    pub fn unlink(&self) -> io::Result<()> {
        endpoint::untell(&self.dir, &self.name)
    }

    fn ends(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.ends
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the listener is closed")
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};

    use super::*;

    fn fixture() -> (tempfile::TempDir, DataDir, DirLock) {
        let tmp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(tmp.path()).unwrap();
        let lock = DirLock::try_acquire(&dir).unwrap();
        (tmp, dir, lock)
    }

    #[test]
    fn more_clients_than_ends_come_at_once_and_all_are_served() {
        let (_tmp, dir, lock) = fixture();
        let listener = Listener::bind(&dir, &lock).unwrap();
        let clients = 3 * ENDS;
        std::thread::scope(|scope| {
            for n in 0..clients {
                let dir = &dir;
                scope.spawn(move || {
                    let client = loop {
                        match Stream::connect(dir) {
                            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                            connected => break connected.unwrap(),
                        }
                    };
                    (&client).write_all(&[n as u8]).unwrap();
                    assert_eq!((&client).read(&mut [0]).unwrap(), 1);
                });
            }
            let mut seen = Vec::new();
            for _ in 0..clients {
                let server = listener.accept().unwrap();
                let mut byte = [0];
                (&server).read_exact(&mut byte).unwrap();
                (&server).write_all(&byte).unwrap();
                seen.push(usize::from(byte[0]));
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..clients).collect::<Vec<_>>());
        });
    }

    #[test]
    fn closing_ends_an_accept_and_refuses_who_comes() {
        let (_tmp, dir, lock) = fixture();
        let listener = Listener::bind(&dir, &lock).unwrap();
        std::thread::scope(|scope| {
            let accepting = scope.spawn(|| listener.accept().unwrap_err().kind());
            listener.close();
            assert_eq!(accepting.join().unwrap(), ErrorKind::ConnectionAborted);
        });
        assert_eq!(
            Stream::connect(&dir).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        listener.unlink().unwrap();
        assert_eq!(
            Stream::connect(&dir).unwrap_err().kind(),
            ErrorKind::NotFound
        );
    }

    #[test]
    fn successor_binds_beside_its_predecessors_connections() {
        let (_tmp, dir, lock) = fixture();
        let old = Listener::bind(&dir, &lock).unwrap();
        let _client = Stream::connect(&dir).unwrap();
        let _server = old.accept().unwrap();
        drop(old);
        let new = Listener::bind(&dir, &lock).unwrap();
        let _next = Stream::connect(&dir).unwrap();
        new.accept().unwrap();
    }

    #[test]
    fn the_lock_of_another_directory_binds_nothing() {
        let ((_one, dir, _lock), (_two, _other, lock)) = (fixture(), fixture());
        let error = Listener::bind(&dir, &lock).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn directories_whose_paths_begin_alike_do_not_cross() {
        let tmp = tempfile::tempdir().unwrap();
        let long = std::fs::canonicalize(tmp.path())
            .unwrap()
            .join("x".repeat(200));
        let bind = |name: &str| {
            let path = long.join(name);
            std::fs::create_dir_all(&path).unwrap();
            let dir = DataDir::open(&path).unwrap();
            let lock = DirLock::try_acquire(&dir).unwrap();
            (Listener::bind(&dir, &lock).unwrap(), dir, lock)
        };
        let (one, two) = (bind("one"), bind("two"));
        let client = Stream::connect(&two.1).unwrap();
        (&client).write_all(b"2").unwrap();
        let mut byte = [0];
        (&two.0.accept().unwrap()).read_exact(&mut byte).unwrap();
        assert_ne!(one.0.path(), two.0.path());
    }
}
