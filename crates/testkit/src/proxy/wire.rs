//! Where a server's answer begins and is complete, in three protocols.

/// What the bytes between client and server are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Every byte of the server is an answer; so it is where TLS hides them.
    AnyBytes,
    /// HTTP/2 without TLS, as gRPC has it (RFC 9113, section 4.1): an answer begins with a frame HEADERS, and by then the
    /// server has done what was asked. Frames that only hold the connection up are no answer.
    Http2,
    /// PostgreSQL's protocol 3.0 without TLS: an answer is complete with the message ReadyForQuery, before which a commit has
    /// been made.
    Postgres,
}

/// What a chunk of a server's bytes is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// No part of an answer.
    Other,
    /// A part of an answer that is not complete.
    Begun,
    /// The end of an answer, or all of it.
    Complete,
}

/// Follows one connection's bytes from the server.
#[derive(Debug)]
pub(super) struct Tracker {
    wire: Wire,
    /// The head of a frame or message, as far as it has come.
    head: Vec<u8>,
    /// Bytes of its body that are yet to come.
    body: usize,
}

/// A frame's head in HTTP/2: length (3), type, flags, stream (4).
const FRAME: usize = 9;
const HEADERS: u8 = 1;
/// A message's head in PostgreSQL: type, length with itself (4).
const MESSAGE: usize = 5;
const READY_FOR_QUERY: u8 = b'Z';

impl Tracker {
    pub fn new(wire: Wire) -> Self {
        Tracker {
            wire,
            head: Vec::new(),
            body: 0,
        }
    }

    /// What the next chunk is.
    pub fn next(&mut self, mut bytes: &[u8]) -> Part {
        let head = match self.wire {
            Wire::AnyBytes => return Part::Complete,
            Wire::Http2 => FRAME,
            Wire::Postgres => MESSAGE,
        };
        let mut complete = false;
        while !bytes.is_empty() {
            if self.body > 0 {
                let passed = self.body.min(bytes.len());
                self.body -= passed;
                bytes = &bytes[passed..];
                continue;
            }
            let missing = (head - self.head.len()).min(bytes.len());
            self.head.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            if self.head.len() == head {
                complete |= self.is_end();
                self.body = self.length();
                self.head.clear();
            }
        }
        match self.wire {
            _ if complete => Part::Complete,
            Wire::Postgres => Part::Begun,
            _ => Part::Other,
        }
    }

    fn is_end(&self) -> bool {
        match self.wire {
            Wire::Http2 => self.head[3] == HEADERS,
            _ => self.head[0] == READY_FOR_QUERY,
        }
    }

    fn length(&self) -> usize {
        let number = |bytes: &[u8]| bytes.iter().fold(0, |n, byte| n << 8 | usize::from(*byte));
        match self.wire {
            Wire::Http2 => number(&self.head[..3]),
            _ => number(&self.head[1..]).saturating_sub(4),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, 0, 0, 0, 0, 1];
        frame.extend(std::iter::repeat_n(HEADERS, length.into()));
        frame
    }

    #[test]
    fn http2_answers_begin_with_headers_alone() {
        let mut tracker = Tracker::new(Wire::Http2);
        assert_eq!(tracker.next(&frame(4, 30)), Part::Other);
        let mut split = frame(8, 4);
        split.extend(frame(HEADERS, 3));
        let (first, second) = split.split_at(16);
        assert_eq!(tracker.next(first), Part::Other);
        assert_eq!(tracker.next(second), Part::Complete);
        assert_eq!(tracker.next(&frame(0, 20)), Part::Other);
    }

    #[test]
    fn postgres_answers_are_complete_with_ready_for_query() {
        let mut tracker = Tracker::new(Wire::Postgres);
        let done = b"C\0\0\0\x0dINSERT 1\0";
        assert_eq!(tracker.next(done), Part::Begun);
        assert_eq!(tracker.next(b"Z\0\0"), Part::Begun);
        assert_eq!(tracker.next(b"\0\x05I"), Part::Complete);
        assert_eq!(tracker.next(b"1\0\0\0\x04Z\0\0\0\x05I"), Part::Complete);
    }
}
