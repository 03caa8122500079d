//! One connection: bytes both ways, handles beside them, and the certainty of who is there.
//!
//! Several threads may use one stream at once through `&Stream`; bytes of two concurrent writers may
//! interleave, so whoever frames messages locks around them.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, Shutdown, SocketType};

use crate::credentials::Peer;
use crate::data_dir::DataDir;
use crate::endpoint::Spot;
use crate::fork::GuardedFd;
use crate::handles;
use crate::hangup::Hangup;
use crate::unix::hangup;
use crate::waker::Waker;

/// A connection to another process of the same user, or another thread. Blocking, unless timeouts are
/// set. Dropping it closes it; in a forked child it is an ended stream.
#[derive(Debug)]
pub struct Stream {
    socket: GuardedFd,
}

impl Stream {
    /// Connects to whoever serves the directory. Doesn't wait.
    ///
    /// # Errors
    /// - `NotFound`: no endpoint. `ConnectionRefused`: a stale one, or one that doesn't listen yet.
    ///   Both mean "nobody serves now".
    /// - `WouldBlock`: so many are waiting to be accepted that we can't queue up.
    /// - `AlreadyExists`: something that is no socket is in its place.
    /// - `PermissionDenied`: the socket, or the process behind it, is another user's.
    pub fn connect(dir: &DataDir) -> io::Result<Self> {
        match Self::connect_at(&Spot::in_data_dir(dir)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let spot = Spot::in_existing_runtime_dir(dir).map_err(|_| error)?;
                Self::connect_at(&spot)
            }
            result => result,
        }
    }

    pub(crate) fn connect_at(spot: &Spot<'_>) -> io::Result<Self> {
        let socket = GuardedFd::open(|| socket_with(AddressFamily::UNIX, SocketType::STREAM))?;
        // A blocking connect to a full queue waits for ever if its owner is stopped.
        rustix::io::ioctl_fionbio(&socket, true)?;
        spot.connect(|address| Ok(rustix::net::connect(&socket, address)?))?;
        rustix::io::ioctl_fionbio(&socket, false)?;
        let stream = Self::from_socket(socket)?;
        stream.check_peer()?;
        Ok(stream)
    }

    /// Two connected ends in this process.
    ///
    /// # Errors
    /// When descriptors run out.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, two) = GuardedFd::open_pair(socket_pair)?;
        Ok((Self::from_socket(one)?, Self::from_socket(two)?))
    }

    pub(crate) fn from_socket(socket: GuardedFd) -> io::Result<Self> {
        #[cfg(target_vendor = "apple")]
        rustix::net::sockopt::set_socket_nosigpipe(&socket, true)?;
        Ok(Self { socket })
    }

    /// Who is at the other end.
    ///
    /// # Errors
    /// Whatever `getsockopt(2)` says.
    pub fn peer(&self) -> io::Result<Peer> {
        Peer::of(self.socket.as_fd())
    }

    /// Who is at the other end, if it is our own user. [`Self::connect`] and
    /// [`crate::Listener::accept`] have made sure of it already.
    ///
    /// # Errors
    /// `PermissionDenied` if it is another user, root included, or one that can't be told apart from
    /// others (the overflow uid in a user namespace).
    pub fn check_peer(&self) -> io::Result<Peer> {
        self.peer()?.check()
    }

    /// Sends all of `bytes`, and with their first byte the handles.
    ///
    /// # Errors
    /// `InvalidInput` if there are handles without bytes or more than [`crate::MAX_HANDLES`];
    /// `BrokenPipe` and the like if the peer is gone; `WouldBlock` if a write timeout passed, with
    /// part of the bytes sent.
    pub fn send_handles(&self, bytes: &[u8], handles: &[BorrowedFd<'_>]) -> io::Result<()> {
        let sent = handles::send(self.socket.as_fd(), bytes, handles)?;
        Write::write_all(&mut &*self, &bytes[sent..])
    }

    /// Reads some bytes, and the handles that came with them. No bytes: the end, or an empty `buf`.
    /// Plain reads lose handles (they are closed), so read this way where they may come.
    ///
    /// # Errors
    /// `InvalidData` if more than [`crate::MAX_HANDLES`] came at once: all are closed.
    pub fn recv_handles(&self, buf: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        handles::recv(self.socket.as_fd(), buf)
    }

    /// Waits until there is something to read, the end included. `Ok(false)`: the timeout passed.
    ///
    /// # Errors
    /// Whatever `poll(2)` says.
    pub fn wait_readable(&self, timeout: Option<Duration>) -> io::Result<bool> {
        wait_input(self.socket.as_fd(), timeout)
    }

    /// Waits until the connection is over, or the waker is woken. Data that arrives doesn't end the
    /// wait and is not touched; other threads may read and write meanwhile. If both have happened,
    /// the answer is [`Hangup::PeerGone`].
    ///
    /// # Errors
    /// Whatever `poll(2)` says.
    pub fn wait_hangup(&self, waker: &Waker) -> io::Result<Hangup> {
        loop {
            // Without a timeout there is always an answer.
            if let Some(hangup) = hangup::wait(self.socket.as_fd(), waker.poll_fd(), None)? {
                return Ok(hangup);
            }
        }
    }

    /// Waits until the connection is over, the waker is woken, or the timeout passes: `None`. Otherwise as
    /// [`Self::wait_hangup`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use level_party_os::{Hangup, Stream, Waker};
    /// let ((ours, theirs), waker) = (Stream::pair()?, Waker::new()?);
    /// assert_eq!(ours.wait_hangup_within(&waker, Duration::from_millis(1))?, None);
    /// drop(theirs);
    /// let end = ours.wait_hangup_within(&waker, Duration::from_secs(60))?;
    /// assert_eq!(end, Some(Hangup::PeerGone));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Whatever `poll(2)` says.
    pub fn wait_hangup_within(
        &self,
        waker: &Waker,
        timeout: Duration,
    ) -> io::Result<Option<Hangup>> {
        hangup::wait(self.socket.as_fd(), waker.poll_fd(), Some(timeout))
    }

    /// Bounds each blocking read; then it fails with `WouldBlock`. `None` waits for ever. Zero is
    /// rounded up to the shortest wait there is.
    ///
    /// # Errors
    /// Whatever `setsockopt(2)` says.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set_timeout(Timeout::Recv, timeout)
    }

    /// Bounds each blocking write; then it fails with `WouldBlock`. `None` waits for ever.
    ///
    /// # Errors
    /// Whatever `setsockopt(2)` says.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set_timeout(Timeout::Send, timeout)
    }

    fn set_timeout(&self, which: Timeout, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.map(|timeout| timeout.max(Duration::from_micros(1)));
        Ok(set_socket_timeout(&self.socket, which, timeout)?)
    }

    /// Ends our reading: blocked reads return the end, the peer's writes fail. Ours go on.
    ///
    /// # Errors
    /// `NotConnected` where the peer is gone already (macOS).
    pub fn shutdown_read(&self) -> io::Result<()> {
        self.shut(Shutdown::Read)
    }

    /// Ends the connection both ways, for all who share it. The peer still reads what was sent.
    ///
    /// # Errors
    /// As [`Self::shutdown_read`].
    pub fn shutdown(&self) -> io::Result<()> {
        self.shut(Shutdown::Both)
    }

    fn shut(&self, which: Shutdown) -> io::Result<()> {
        Ok(rustix::net::shutdown(&self.socket, which)?)
    }
}

impl Read for &Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match rustix::net::recv(&self.socket, &mut *buf, RecvFlags::empty()) {
            Ok((read, _)) => Ok(read),
            // In a forked child: not a socket any more, and ended.
            Err(Errno::NOTSOCK) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

impl Write for &Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match rustix::net::send(&self.socket, buf, no_signal()) {
            Err(Errno::NOTSOCK) => Err(io::ErrorKind::BrokenPipe.into()),
            result => Ok(result?),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Waits until there is something to read. False: the timeout passed.
pub(crate) fn wait_input(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<bool> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        // Too long for the system is as good as for ever.
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
        match rustix::event::poll(&mut fds, left.as_ref()) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A write to a closed connection is an error, not a SIGPIPE that ends the program.
pub(crate) fn no_signal() -> SendFlags {
    #[cfg(not(target_vendor = "apple"))]
    {
        SendFlags::NOSIGNAL
    }
    #[cfg(target_vendor = "apple")]
    {
        SendFlags::empty() // the socket's option SO_NOSIGPIPE says it
    }
}

/// A socket, close-on-exec.
pub(crate) fn socket_with(family: AddressFamily, kind: SocketType) -> io::Result<OwnedFd> {
    #[cfg(target_os = "linux")]
    {
        let flags = rustix::net::SocketFlags::CLOEXEC;
        Ok(rustix::net::socket_with(family, kind, flags, None)?)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let socket = rustix::net::socket(family, kind, None)?;
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
        Ok(socket)
    }
}

fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::net::SocketFlags;
    let (family, kind) = (AddressFamily::UNIX, SocketType::STREAM);
    #[cfg(target_os = "linux")]
    {
        Ok(rustix::net::socketpair(
            family,
            kind,
            SocketFlags::CLOEXEC,
            None,
        )?)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let pair = rustix::net::socketpair(family, kind, SocketFlags::empty(), None)?;
        for end in [&pair.0, &pair.1] {
            rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
        }
        Ok(pair)
    }
}

#[cfg(test)]
mod tests;
