//! What waits on a stream end with.

/// What a wait found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// A read would not wait.
    pub read: bool,
    /// A write would not wait.
    pub write: bool,
    /// The waker was woken.
    pub woken: bool,
}

/// Why a wait for the peer's end is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hangup {
    /// The connection is closed or shut down: the peer ended it, or died. Data it sent before may
    /// still wait to be read.
    PeerGone,
    /// The waker was woken.
    Woken,
}
