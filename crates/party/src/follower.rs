//! A link to a leader: the follower's end of one connection.
//!
//! It connects, proves to both sides that they mean the same directory, and then moves frames. What the frames are
//! for, and what happens when the link breaks, is the session's business.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use level_party_os::{DataDir, Ready, Stream, Waker};
use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::page::Page;
use crate::protocol::{
    Answer, ClientMessage, FrameBuffer, Hello, PREAMBLE_BYTES, Preamble, ServerMessage, Welcome,
    decode, encode_frame, max_reply_frame,
};

/// A blocked read or send looks at its deadline this often. (Setting the exact time for each call costs a system
/// call more.)
const SLICE: Duration = Duration::from_millis(100);

/// The follower's end of a connection.
pub(crate) struct Link {
    stream: Arc<Stream>,
    leader_pid: u32,
    received: Mutex<FrameBuffer>,
}

/// What a read brought.
pub(crate) enum Received {
    Replies(Vec<(u64, Result<Answer>)>),
    /// None has come.
    Nothing,
}

/// Why a frame was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendError {
    /// The connection takes no more now.
    Full,
    /// The link ended.
    Broken,
}

/// A connection before the leader's welcome.
pub(crate) struct Greeted {
    stream: Arc<Stream>,
    received: FrameBuffer,
}

/// What a leader says before its welcome.
pub(crate) enum Reception {
    /// The welcome is still to come, over the same connection.
    Recovering(Greeted),
    Welcome(Link, Welcome),
}

impl Greeted {
    /// Says hello over a new connection.
    ///
    /// # Errors
    /// The connection broke, or the other side is no level-party of a version that understands us.
    pub fn greet(stream: Arc<Stream>, dir: &DataDir, page: &Page, hello: Hello) -> Result<Self> {
        let io = |error| Error::io("the leader went during the handshake", error);
        stream.set_read_timeout(None).map_err(io)?;
        stream
            .send_handles(
                &Preamble::ours().encode(),
                &[dir.as_handle(), page.as_handle()],
            )
            .map_err(io)?;
        let mut frame = Vec::new();
        encode_frame(&ClientMessage::Hello(hello), &mut frame);
        (&*stream).write_all(&frame).map_err(io)?;
        let mut preamble = [0; PREAMBLE_BYTES];
        io::Read::read_exact(&mut &*stream, &mut preamble).map_err(io)?;
        Preamble::decode(&preamble)?.check()?;
        Ok(Greeted {
            stream,
            received: FrameBuffer::new(max_reply_frame()),
        })
    }

    /// Waits for what the leader says next.
    ///
    /// # Errors
    /// The connection broke; what the leader refuses us for.
    pub fn next(mut self) -> Result<Reception> {
        let io = |error| Error::io("the leader went during the handshake", error);
        loop {
            if let Some(frame) = self.received.next_frame()? {
                return match decode(frame)? {
                    ServerMessage::Recovering => Ok(Reception::Recovering(self)),
                    ServerMessage::Refused(failure) => Err(failure.into()),
                    ServerMessage::Welcome(welcome) => {
                        let link = Link::new(self.stream, welcome.leader_pid, self.received)
                            .map_err(io)?;
                        Ok(Reception::Welcome(link, welcome))
                    }
                    ServerMessage::Reply { .. } | ServerMessage::Side(_) => {
                        Err(Error::protocol("a reply before the welcome"))
                    }
                };
            }
            if self.received.fill(&*self.stream).map_err(io)? == 0 {
                return Err(io(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }
}

impl Link {
    /// The follower's end of a connection on which the leader has said welcome, and what came after that.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn new(stream: Arc<Stream>, leader_pid: u32, received: FrameBuffer) -> io::Result<Link> {
        stream.set_read_timeout(Some(SLICE))?;
        let received = Mutex::new(received);
        Ok(Link {
            stream,
            leader_pid,
            received,
        })
    }

    pub fn leader_pid(&self) -> u32 {
        self.leader_pid
    }

    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Ends the connection, for whoever reads or writes it.
    pub fn shutdown(&self) {
        // Where it ended already there is nothing to do.
        let _ = self.stream.shutdown();
    }

    /// Sends `bytes`, waiting until `deadline` while the connection takes nothing (`None`: not at all), and says how
    /// many it took. Who calls holds the session's sending role. `stalled` is called when it takes nothing, as the
    /// leader may wait for its answers to be read; it says whether nobody else reads.
    pub fn send(
        &self,
        bytes: &[u8],
        deadline: Option<Instant>,
        mut stalled: impl FnMut() -> bool,
    ) -> (usize, std::result::Result<(), SendError>) {
        let mut sent = 0;
        while sent < bytes.len() {
            match self.stream.try_write(&bytes[sent..]) {
                Ok(0) => return (sent, Err(SendError::Broken)),
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let Some(deadline) = deadline else {
                        return (sent, Err(SendError::Full));
                    };
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return (sent, Err(SendError::Full));
                    }
                    let read = stalled();
                    let slice = Some(left.min(SLICE));
                    if self.stream.wait_ready(read, true, None, slice).is_err() {
                        return (sent, Err(SendError::Broken));
                    }
                }
                Err(_) => return (sent, Err(SendError::Broken)),
            }
        }
        (sent, Ok(()))
    }

    /// Waits until there are answers to be read, or room to send, or `waker` is woken, or `timeout` passes.
    ///
    /// # Errors
    /// The system's.
    pub fn wait_ready(
        &self,
        read: bool,
        write: bool,
        waker: &Waker,
        timeout: Option<Duration>,
    ) -> io::Result<Ready> {
        self.stream.wait_ready(read, write, Some(waker), timeout)
    }

    /// Waits for replies until `deadline`, or until a moment in which nothing came.
    ///
    /// # Errors
    /// The link ended, or what came is not a reply.
    pub fn receive(&self, deadline: Instant) -> Result<Received> {
        let io = |error| Error::io("the leader went", error);
        let mut received = self.received.lock();
        loop {
            if let Some(replies) = whole_replies(&mut received)? {
                return Ok(replies);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left < SLICE && !self.stream.wait_readable(Some(left)).map_err(io)? {
                return Ok(Received::Nothing);
            }
            match received.fill(&*self.stream) {
                Ok(0) => return Err(io(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                // The caller looks whether there is something to send.
                Err(error) if is_passing(&error) => return Ok(Received::Nothing),
                Err(error) => return Err(io(error)),
            }
        }
    }

    /// Takes the replies that have come, without waiting.
    ///
    /// # Errors
    /// As [`Link::receive`].
    pub fn receive_now(&self) -> Result<Received> {
        let io = |error| Error::io("the leader went", error);
        let mut received = self.received.lock();
        loop {
            if let Some(replies) = whole_replies(&mut received)? {
                return Ok(replies);
            }
            match received.fill(WhatHasCome(&self.stream)) {
                Ok(0) => return Err(io(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) if is_passing(&error) => return Ok(Received::Nothing),
                Err(error) => return Err(io(error)),
            }
        }
    }
}

/// Reads without waiting.
pub(crate) struct WhatHasCome<'a>(pub &'a Stream);

impl io::Read for WhatHasCome<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// The replies that are there whole; `None`: not one.
fn whole_replies(received: &mut FrameBuffer) -> Result<Option<Received>> {
    let mut replies = Vec::new();
    while let Some(frame) = received.next_frame()? {
        match decode(frame)? {
            ServerMessage::Reply { id, result } => {
                let answer = result.map_err(Error::from).and_then(Answer::from_response);
                replies.push((id, answer));
            }
            _ => return Err(Error::protocol("only replies follow the welcome")),
        }
    }
    Ok((!replies.is_empty()).then_some(Received::Replies(replies)))
}
