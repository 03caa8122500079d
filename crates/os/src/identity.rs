//! Which directory it is, and what kind of filesystem it lies on.

/// Which directory it is, however it is named: device and inode (on Windows volume and file id). Equal in every process of the host
/// as long as somebody holds the directory open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DirIdentity {
    /// Device number of the filesystem, as `stat` tells it; the volume's serial number.
    pub dev: u64,
    /// Inode number in that filesystem; the file id, in 64 bits.
    pub ino: u64,
}

/// The kind of filesystem a directory lives on, with its usual name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filesystem {
    /// On this host's own storage or memory; also every kind this crate doesn't know.
    Local(String),
    /// Shared with other hosts, or with the host of a virtual machine: locks don't exclude everybody.
    Network(String),
    /// Answered by a program in user space (FUSE, and virtiofs, which calls itself the same).
    Fuse(String),
}

impl Filesystem {
    /// Its name, such as `ext4`.
    pub fn name(&self) -> &str {
        match self {
            Self::Local(name) | Self::Network(name) | Self::Fuse(name) => name,
        }
    }

    /// Whether locks and sockets can be relied on here.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Local(_))
    }
}
