//! Servers on which a database can lie, behind one trait.
//!
//! [`Remote`] is what a handle needs of a server: its requests and answers are plain values, and nobody who calls it needs a
//! runtime. What holds for every server, and what each one does for it, is told in `docs/REMOTE.md`.
//!
//! Must not know: handles, sublevels, types, transactions, or how a program names its databases.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod address;
mod answer;
mod call;
#[cfg(any(feature = "etcd", feature = "postgres"))]
mod certificate;
mod error;
#[cfg(feature = "etcd")]
pub mod etcd;
#[cfg(feature = "postgres")]
pub mod postgres;
mod remote;
mod request;
mod secret;
mod service;

pub use answer::{
    Change, Chunk, Entry, Gap, History, Item, Limits, Moment, ServiceState, Standby, Status, Told,
    Trouble,
};
pub use call::{Answer, Call, Wait, blocked_on};
pub use error::{Error, ErrorKind, Result};
pub use remote::{Feed, FeedWaker, Remote};
pub use request::{Conditions, KeyRange, Op, Scan, Settings, Start, Write};
pub use secret::Secret;
pub use service::SEALED;
