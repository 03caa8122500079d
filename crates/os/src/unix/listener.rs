//! The serving side of the endpoint.
//!
//! **Invariant.** Only the holder of the directory's lock, or the one member that serves, removes a
//! socket and binds its own, so whatever socket file is there when it arrives is stale. The socket has mode 0600 before anybody can
//! connect, and every accepted peer is our own user.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};

use crate::data_dir::DataDir;
use crate::endpoint::Spot;
use crate::fork::GuardedFd;
use crate::identity::DirIdentity;
use crate::lock::{DirLock, MemberLock};
use crate::stream::{self, Stream};
use crate::waker::Waker;

/// Connections that may wait to be accepted; the kernel may lower it. Many processes come at once
/// after a failover.
const BACKLOG: i32 = 1024;

/// A bound, listening endpoint. Dropping it closes the socket but leaves its file: see
/// [`Listener::unlink`].
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
#[derive(Debug)]
pub struct Listener {
    socket: GuardedFd,
    waker: Waker,
    closed: AtomicBool,
    path: PathBuf,
    /// The directory, opened for ourselves: the caller's may be dropped before us.
    dir: DataDir,
    in_runtime_dir: bool,
    file: DirIdentity,
}

impl Listener {
    /// Binds the directory's endpoint. The lock shows that nobody else serves it.
    ///
    /// # Errors
    /// `InvalidInput` if the lock is another directory's; `AlreadyExists` if something that is no
    /// socket is in the way, `PermissionDenied` if another user's socket is (both are left alone);
    /// whatever the system says where sockets can't be made.
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
        match Self::bind_at(dir, Spot::in_data_dir(dir), false) {
            Err(error) if cannot_hold_sockets(&error) => {
                Self::bind_at(dir, Spot::in_runtime_dir(dir)?, true)
            }
            result => result,
        }
    }

    fn bind_at(dir: &DataDir, spot: Spot<'_>, in_runtime_dir: bool) -> io::Result<Self> {
        if spot.inspect()?.is_some() {
            spot.unlink()?;
        }
        let address = spot.bind_address()?;
        let socket = GuardedFd::open(socket)?;
        // On Linux the file takes over the socket's mode (man 7 unix), so it is never wider.
        #[cfg(target_os = "linux")]
        rustix::fs::fchmod(&socket, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
        rustix::net::bind(&socket, &address)?;
        // Elsewhere nobody can connect before `listen`.
        #[cfg(not(target_os = "linux"))]
        rustix::fs::chmod(spot.path(), rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
        let gone = || io::Error::other("the new socket was removed by another program");
        let file = spot.inspect()?.ok_or_else(gone)?;
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(Self {
            socket,
            waker: Waker::new()?,
            closed: AtomicBool::new(false),
            path: spot.path(),
            dir: dir.try_clone()?,
            in_runtime_dir,
            file,
        })
    }

    /// Where the socket is, for people.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the next connection of our own user; others are dropped unheard.
    ///
    /// # Errors
    /// `ConnectionAborted` once [`Self::close`] was called, in every thread; otherwise whatever
    /// `accept(2)` says (running out of descriptors, say: the connection stays waiting).
    pub fn accept(&self) -> io::Result<Stream> {
        loop {
            self.wait()?;
            if self.closed.load(Ordering::Acquire) {
                return Err(closed());
            }
            match GuardedFd::open(|| Ok(accept_now(&self.socket)?)) {
                Ok(socket) => {
                    if let Ok(stream) = Stream::from_socket(socket)
                        && stream.check_peer().is_ok()
                    {
                        return Ok(stream);
                    }
                }
                Err(_) if self.closed.load(Ordering::Acquire) => return Err(closed()),
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn wait(&self) -> io::Result<()> {
        let mut fds = [
            PollFd::new(&self.socket, PollFlags::IN),
            PollFd::from_borrowed_fd(self.waker.poll_fd(), PollFlags::IN),
        ];
        match rustix::event::poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Stops listening: connections that were not accepted are closed, new ones are refused, and
    /// every `accept` ends. The socket's file stays. Calling it again does nothing.
    pub fn close(&self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            self.socket.end();
            self.waker.wake();
        }
    }

    /// Removes the socket's file if it is still this listener's. Call it while the lock is held: a
    /// successor may be binding otherwise.
    ///
    /// # Errors
    /// As for `unlink(2)`; a file that is gone, or not ours, is no error.
    pub fn unlink(&self) -> io::Result<()> {
        let spot = if self.in_runtime_dir {
            Spot::in_runtime_dir(&self.dir)?
        } else {
            Spot::in_data_dir(&self.dir)
        };
        match spot.inspect() {
            Ok(Some(file)) if file == self.file => spot.unlink(),
            _ => Ok(()),
        }
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the listener is closed")
}

/// Not to block in `accept` when the connection that woke us went away again.
fn socket() -> io::Result<OwnedFd> {
    let socket = stream::socket_with(AddressFamily::UNIX, SocketType::STREAM)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

fn accept_now(socket: &GuardedFd) -> rustix::io::Result<OwnedFd> {
    #[cfg(target_os = "linux")]
    {
        rustix::net::accept_with(socket.as_fd(), rustix::net::SocketFlags::CLOEXEC)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let accepted = rustix::net::accept(socket.as_fd())?;
        rustix::io::fcntl_setfd(&accepted, rustix::io::FdFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&accepted, false)?;
        Ok(accepted)
    }
}

/// Errors of one connection, or of none.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
    matches!(error.kind(), Interrupted | WouldBlock | ConnectionAborted)
}

/// What filesystems without sockets, and paths without end, answer.
fn cannot_hold_sockets(error: &io::Error) -> bool {
    let unable = [
        Errno::PERM,
        Errno::OPNOTSUPP,
        Errno::NOTSUP,
        Errno::NOSYS,
        Errno::INVAL,
        Errno::NAMETOOLONG,
    ];
    error
        .raw_os_error()
        .is_some_and(|raw| unable.contains(&Errno::from_raw_os_error(raw)))
}

#[cfg(test)]
mod tests;
