//! What travels between the processes of a directory: joining, and work that only the leader does. Keys and values of calls do
//! not. The byte table is `docs/PROTOCOL.md`.
//!
//! A connection begins with a fixed preamble from each side, so that any two versions can tell each other apart; the
//! joiner's carries the handle of the data directory. After it come frames: a length and one message in postcard's encoding.
//! The answer to a [`Hello`] brings the handles of the shared memory, or none.
//!
//! This module knows bytes only; who sends what when is in `member`, `leader` and `side`.

mod frame;
mod side;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::epoch::Epoch;
use crate::error::{Error, ErrorKind};
use crate::options::EngineOptions;

pub(crate) use frame::{FrameBuffer, PREAMBLE_BYTES, Preamble, decode, encode_frame};
pub(crate) use side::{Checkpoint, News, Side, Task, TaskResult};

/// A bound of a range in the first message of a side connection.
pub(crate) const MAX_SIDE_BOUND: usize = 1 << 20;
/// The frame of a first message: a side connection's request with two bounds, and the message around it.
pub(crate) const MAX_FIRST_FRAME: usize = 2 * MAX_SIDE_BOUND + 4096;
/// The frame of whatever a server says: sentences, of which each kind is bounded.
pub(crate) const MAX_ANSWER_FRAME: usize = 64 << 20;
/// The version of the messages below. A change of meaning or shape, also of the shared memory, raises it.
pub(crate) const VERSION: u16 = 10;
/// Over a side connection the leader says at least this often that it is at work.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(1);

/// What a process sends first.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ClientMessage {
    /// It is a member, or is to become one. The connection stays, and nothing more is sent: its end says that one of both
    /// has gone.
    Hello(Hello),
    /// This is a side connection, for this one piece of work.
    Side(Side),
}

/// Who comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub pid: u32,
    /// Whether it leads when nobody else does.
    pub may_lead: bool,
    /// Of what it is a member already.
    pub member_of: Option<Epoch>,
}

/// What whoever serves answers a [`Hello`] with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Welcome {
    /// The founding that made the segment.
    pub epoch: Epoch,
    /// The leadership's number, counted over all epochs. `None`: this member only keeps the door, and nobody leads.
    pub leadership: Option<u64>,
    pub pid: u32,
    /// The incarnation of who answers.
    pub sender: u64,
    /// The state file that all members have open.
    pub state_file: Option<(u64, u64)>,
    /// The segment's.
    pub options: EngineOptions,
    /// What recovery left out when the segment was founded, a sentence each.
    pub dropped: Vec<String>,
}

/// What a server sends.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ServerMessage {
    Welcome(Welcome),
    /// Instead of a welcome: the connection ends.
    Refused(Failure),
    /// Over a side connection.
    Side(News),
}

/// An error as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    kind: u8,
    message: String,
}

macro_rules! kinds {
    ($($kind:ident = $number:literal,)*) => {
        fn number_of(kind: ErrorKind) -> u8 {
            match kind {
                $(ErrorKind::$kind => $number,)*
            }
        }

        fn kind_of(number: u8) -> Option<ErrorKind> {
            match number {
                $($number => Some(ErrorKind::$kind),)*
                _ => None,
            }
        }
    };
}

// The numbers by which kinds travel.
kinds! {
    NotFound = 0,
    AlreadyExists = 1,
    NotADirectory = 2,
    PermissionDenied = 3,
    Locked = 4,
    UnsupportedFilesystem = 5,
    IncompatibleVersion = 6,
    Timeout = 7,
    ConnectionLost = 8,
    OutcomeUnknown = 9,
    SnapshotLost = 10,
    Corruption = 11,
    InvalidArgument = 12,
    OutOfSpace = 13,
    Closed = 14,
    Forked = 15,
    Protocol = 16,
    Io = 17,
    Conflict = 18,
    Busy = 19,
    ReadOnly = 20,
    Encoding = 21,
    NoLeader = 22,
    Unsupported = 23,
    Moved = 24,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Failure {
            kind: number_of(error.kind()),
            message: error.message().to_string(),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        // A newer version may know more kinds.
        let kind = kind_of(failure.kind).unwrap_or(ErrorKind::Io);
        Error::new(kind, failure.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever comes over a connection is decoded or refused, never more.
    #[test]
    fn messages_cut_short_or_too_long_are_refused() {
        let hello = ClientMessage::Hello(Hello {
            pid: 77,
            may_lead: true,
            member_of: Some(Epoch {
                number: 3,
                random: [1, 2],
            }),
        });
        let mut frame = Vec::new();
        encode_frame(&hello, &mut frame);
        let message = &frame[4..];
        assert!(decode::<ClientMessage>(message).is_ok());
        for cut in 0..message.len() {
            assert!(decode::<ClientMessage>(&message[..cut]).is_err(), "{cut}");
        }
        let longer = [message, &[0]].concat();
        assert!(decode::<ClientMessage>(&longer).is_err());
    }

    #[test]
    fn error_kinds_survive_the_wire() {
        let mut kinds = 0;
        for number in 0..=u8::MAX {
            if let Some(kind) = kind_of(number) {
                assert_eq!(number_of(kind), number);
                kinds += 1;
            }
        }
        assert_eq!(kinds, 25);
        let error = Error::new(ErrorKind::Busy, "why");
        assert_eq!(Error::from(Failure::from(&error)).kind(), ErrorKind::Busy);
    }

    #[test]
    fn frame_over_the_limit_breaks_the_connection_before_it_is_read() {
        let mut buffer = FrameBuffer::new(8);
        buffer.fill(&[9, 0, 0, 0, 1][..]).unwrap();
        assert_eq!(buffer.next_frame().unwrap_err().kind(), ErrorKind::Protocol);
        let mut buffer = FrameBuffer::new(8);
        buffer.fill(&[2, 0, 0, 0, 1][..]).unwrap();
        assert!(buffer.next_frame().unwrap().is_none());
        buffer.fill(&[7][..]).unwrap();
        assert_eq!(buffer.next_frame().unwrap(), Some(&[1, 7][..]));
    }
}
