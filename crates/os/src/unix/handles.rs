//! Open files passed to another process beside a stream's bytes (`SCM_RIGHTS`, unix(7)).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage,
};

use crate::stream::no_signal;

/// Most handles that travel at once: enough for a view's regions, few enough that a hostile peer
/// can't fill our descriptor table with one message.
pub const MAX_HANDLES: usize = 16;

/// Sends the handles with as many bytes as the socket takes at once.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    handles: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    if handles.is_empty() {
        return Ok(0);
    }
    if bytes.is_empty() || handles.len() > MAX_HANDLES {
        let what = "handles travel with at least one byte, and no more than sixteen at once";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_HANDLES))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fits = control.push(SendAncillaryMessage::ScmRights(handles));
    debug_assert!(fits, "the space is for MAX_HANDLES");
    loop {
        match rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, no_signal()) {
            Ok(sent) => return Ok(sent),
            Err(Errno::INTR) => {}
            Err(Errno::NOTSOCK) => return Err(io::ErrorKind::BrokenPipe.into()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads bytes and the handles that came with them, all close-on-exec.
pub(crate) fn recv(socket: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    #[cfg(not(target_vendor = "apple"))]
    let flags = RecvFlags::CMSG_CLOEXEC;
    #[cfg(target_vendor = "apple")]
    let flags = RecvFlags::empty();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_HANDLES))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match rustix::net::recvmsg(socket, &mut [IoSliceMut::new(buf)], &mut control, flags) {
            Ok(received) => break received,
            Err(Errno::INTR) => {}
            Err(Errno::NOTSOCK) => return Ok((0, Vec::new())), // a forked child's ended stream
            Err(error) => return Err(error.into()),
        }
    };
    let mut handles = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            handles.extend(fds);
        }
    }
    #[cfg(target_vendor = "apple")]
    for handle in &handles {
        rustix::io::fcntl_setfd(handle, rustix::io::FdFlags::CLOEXEC)?;
    }
    if received.flags.contains(ReturnFlags::CTRUNC) || handles.len() > MAX_HANDLES {
        // What did arrive is closed here.
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "too many handles at once",
        ));
    }
    Ok((received.bytes, handles))
}
