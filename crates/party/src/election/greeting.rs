//! What a process says to whoever serves the endpoint, and what it is answered.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::time::Duration;

use level_party_os::{DataDir, OwnedHandle, Stream};

use crate::error::{Error, Result};
use crate::protocol::{
    ClientMessage, FrameBuffer, Hello, MAX_ANSWER_FRAME, PREAMBLE_BYTES, Preamble, ServerMessage,
    Welcome, decode, encode_frame,
};

/// Says hello over a new connection, and waits for the answer and the handles that come with it, for each part of them no longer
/// than `patience`.
///
/// # Errors
/// The connection broke; no answer came in time; the other side is no level-party of a version that understands us; what it refuses us for.
pub(super) fn greet(
    stream: &Stream,
    dir: &DataDir,
    hello: Hello,
    patience: Option<Duration>,
) -> Result<(Welcome, Vec<OwnedHandle>)> {
    let io = |error| Error::io("the leader went during the handshake", error);
    stream.set_read_timeout(patience).map_err(io)?;
    let preamble = Preamble::ours().encode();
    stream
        .send_handles(&preamble, &[dir.as_handle()])
        .map_err(io)?;
    let mut frame = Vec::new();
    encode_frame(&ClientMessage::Hello(hello), &mut frame);
    (&*stream).write_all(&frame).map_err(io)?;
    let mut preamble = [0; PREAMBLE_BYTES];
    (&*stream).read_exact(&mut preamble).map_err(io)?;
    Preamble::decode(&preamble)?.check()?;
    let source = WithHandles {
        stream,
        handles: RefCell::default(),
    };
    let mut received = FrameBuffer::new(MAX_ANSWER_FRAME);
    loop {
        if let Some(frame) = received.next_frame()? {
            return match decode(frame)? {
                ServerMessage::Welcome(welcome) => Ok((welcome, source.handles.into_inner())),
                ServerMessage::Refused(failure) => Err(failure.into()),
                ServerMessage::Side(_) => Err(Error::protocol("news before the welcome")),
            };
        }
        if received.fill(&source).map_err(io)? == 0 {
            return Err(io(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

/// A stream whose bytes come with handles.
struct WithHandles<'a> {
    stream: &'a Stream,
    handles: RefCell<Vec<OwnedHandle>>,
}

impl Read for &WithHandles<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (count, handles) = self.stream.recv_handles(buffer)?;
        let mut all = self.handles.borrow_mut();
        // They come with the first byte, or never.
        if all.is_empty() {
            *all = handles;
        }
        Ok(count)
    }
}
