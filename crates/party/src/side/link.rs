//! The follower's end of a side connection.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use level_party_engine::with_descriptors;
use level_party_os::Stream;

use super::{Ender, Waits};
use crate::epoch::Epoch;
use crate::error::{Error, ErrorKind, Result};
use crate::leader::Told;
use crate::node::Node;
use crate::protocol::{
    Changes, ClientMessage, FrameBuffer, News, Outcome, PREAMBLE_BYTES, Preamble, ServerMessage,
    Side, Task, decode, encode_frame, max_reply_frame,
};
use crate::session::describe_process;

/// How long a leader may leave the first bytes of a connection unread.
const SEND_LIMIT: Duration = Duration::from_secs(1);

/// A side connection, from the asking to the answer.
pub(crate) struct SideLink {
    stream: Arc<Stream>,
    greeted: bool,
    received: FrameBuffer,
    leader_pid: Option<u32>,
}

/// What the leader says.
pub(crate) enum Heard {
    /// Nothing until the deadline.
    Silence,
    Recovering,
    Begun {
        epoch: Epoch,
        leader_pid: u32,
    },
    Working,
    Changes(Told),
    Done(Result<Outcome>),
}

impl SideLink {
    /// Asks the leader for `task` over a new connection; `ender` ends it from here on.
    ///
    /// # Errors
    /// Nobody serves the endpoint, or not for long.
    pub fn open(node: &Node, ender: &Ender, task: Task) -> io::Result<Self> {
        let stream = Arc::new(with_descriptors(|| Stream::connect(&node.dir))?);
        ender.wait_for(Waits::Link(stream.clone()));
        let leader_pid = stream.peer().ok().and_then(|peer| peer.pid);
        stream.set_write_timeout(Some(SEND_LIMIT))?;
        stream.send_handles(&Preamble::ours().encode(), &[node.dir.as_handle()])?;
        let side = Side {
            session: node.session.id(),
            pid: std::process::id(),
            task,
        };
        let mut frame = Vec::new();
        encode_frame(&ClientMessage::Side(side), &mut frame);
        (&*stream).write_all(&frame)?;
        Ok(SideLink {
            stream,
            greeted: false,
            received: FrameBuffer::new(max_reply_frame()),
            leader_pid,
        })
    }

    /// What the leader says next, if it does until `deadline`.
    ///
    /// # Errors
    /// The connection has ended; or `Protocol`.
    pub fn next(&mut self, deadline: Instant) -> Result<Heard> {
        let context = |error| Error::io("the leader went", error);
        loop {
            if self.greeted
                && let Some(frame) = self.received.next_frame()?
            {
                return heard(frame);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if !self.stream.wait_readable(Some(left)).map_err(context)? {
                return Ok(Heard::Silence);
            }
            if !self.greeted {
                let mut preamble = [0; PREAMBLE_BYTES];
                io::Read::read_exact(&mut &*self.stream, &mut preamble).map_err(context)?;
                Preamble::decode(&preamble)?.check()?;
                self.greeted = true;
            } else if self.received.fill(&*self.stream).map_err(context)? == 0 {
                return Err(context(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// What a caller is told who waited in vain for a sign of life.
    pub fn silence(&self, limit: Duration) -> Error {
        let who = self
            .leader_pid
            .map_or(String::new(), |pid| format!(" ({})", describe_process(pid)));
        Error::new(
            ErrorKind::Timeout,
            format!("the leader{who} gave no sign of life for {limit:?}"),
        )
    }
}

impl Drop for SideLink {
    fn drop(&mut self) {
        // The stream may be shared with an ender: the leader is to see the end now.
        let _ = self.stream.shutdown();
    }
}

fn heard(frame: &[u8]) -> Result<Heard> {
    Ok(match decode(frame)? {
        ServerMessage::Recovering => Heard::Recovering,
        ServerMessage::Refused(failure) => Heard::Done(Err(failure.into())),
        ServerMessage::Side(News::Begun { epoch, leader_pid }) => {
            Heard::Begun { epoch, leader_pid }
        }
        ServerMessage::Side(News::Working) => Heard::Working,
        ServerMessage::Side(News::Changes(piece))
            if piece.gap.is_some_and(|gap| gap.resume == 0) =>
        {
            return Err(Error::protocol("a gap that ends before the first change"));
        }
        ServerMessage::Side(News::Changes(piece)) => Heard::Changes(Told {
            gap: piece.gap,
            through: piece.through,
            changes: Changes::from_packed(piece.packed),
        }),
        ServerMessage::Side(News::Done(done)) => Heard::Done(done.map_err(Error::from)),
        ServerMessage::Welcome(_) | ServerMessage::Reply { .. } => {
            return Err(Error::protocol(
                "an answer to a call over a side connection",
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Missing, Piece, frame_message};

    /// Found by review: the watch took one from it.
    #[test]
    fn a_gap_that_ends_before_the_first_change_is_refused() {
        let told = |resume| {
            let mut frame = Vec::new();
            let piece = Piece {
                gap: Some(Missing { from: 1, resume }),
                through: 0,
                packed: serde_bytes::Bytes::new(b""),
            };
            encode_frame(&ServerMessage::Side(News::Changes(piece)), &mut frame);
            heard(frame_message(&frame))
        };
        assert!(matches!(told(1), Ok(Heard::Changes(_))));
        assert!(matches!(told(0), Err(error) if error.kind() == ErrorKind::Protocol));
    }
}
