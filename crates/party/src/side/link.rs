//! The asking end of a side connection.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use level_party_engine::with_descriptors;
use level_party_os::Stream;

use super::{Ender, Waits};
use crate::error::{Error, ErrorKind, Result};
use crate::node::Node;
use crate::place::KnownLeader;
use crate::process::describe_process;
use crate::protocol::{
    ClientMessage, FrameBuffer, MAX_ANSWER_FRAME, News, PREAMBLE_BYTES, Preamble, ServerMessage,
    Side, Task, TaskResult, decode, encode_frame,
};

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
    Begun(KnownLeader),
    Working,
    Done(Result<TaskResult>),
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
            pid: std::process::id(),
            task,
        };
        let mut frame = Vec::new();
        encode_frame(&ClientMessage::Side(side), &mut frame);
        (&*stream).write_all(&frame)?;
        Ok(SideLink {
            stream,
            greeted: false,
            received: FrameBuffer::new(MAX_ANSWER_FRAME),
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
        ServerMessage::Refused(failure) => Heard::Done(Err(failure.into())),
        ServerMessage::Side(News::Begun {
            leadership,
            leader_pid: pid,
        }) => Heard::Begun(KnownLeader { pid, leadership }),
        ServerMessage::Side(News::Working) => Heard::Working,
        ServerMessage::Side(News::Done(done)) => Heard::Done(done.map_err(Error::from)),
        ServerMessage::Welcome(_) => {
            return Err(Error::protocol("a welcome over a side connection"));
        }
    })
}
