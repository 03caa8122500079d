//! What a wait for a peer's end ends with.

/// Why a wait for the peer's end is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hangup {
    /// The connection is closed or shut down: the peer ended it, or died. Data it sent before may
    /// still wait to be read.
    PeerGone,
    /// The waker was woken.
    Woken,
}
