//! Whom we talk to: processes of our own user, and nobody else. Root is no exception on either side:
//! a root process in another user's database would leave files there that the user can't open.
//!
//! **The trap.** In a user namespace, every user that has no name there reads as one number, the
//! overflow uid (usually 65534). Two processes that both read as 65534 need not be the same user, so
//! that number proves nothing where some users have no name (user_namespaces(7)).

use std::io;
use std::os::fd::BorrowedFd;

/// The other side of a connection, as it was when it connected or began to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its effective user id, as seen in our user namespace.
    pub uid: u32,
    /// Its process, for messages. `None` if it has no number in our pid namespace; it may be gone,
    /// or have handed the connection on.
    pub pid: Option<u32>,
}

impl Peer {
    pub(crate) fn of(socket: BorrowedFd<'_>) -> io::Result<Self> {
        system::peer(socket)
    }

    /// Refuses everybody but our own user.
    pub(crate) fn check(self) -> io::Result<Self> {
        if is_us(self.uid) {
            return Ok(self);
        }
        let what = format!("the other side is {}", stranger(self.uid));
        Err(io::Error::new(io::ErrorKind::PermissionDenied, what))
    }
}

/// Whether a uid that the kernel reports is certainly our own.
pub(crate) fn is_us(uid: u32) -> bool {
    same_user(uid, crate::process::effective_uid(), system::ambiguous_uid)
}

/// Describes a peer that may not be ours, for people.
pub(crate) fn stranger(uid: u32) -> String {
    match crate::process::effective_uid() {
        ours if ours == uid => format!(
            "a user without a name in this user namespace (uid {uid} stands for all of them); give this process's user \
             a name there"
        ),
        ours => format!("user {uid}, and this process is user {ours}; run as that user"),
    }
}

fn same_user(theirs: u32, ours: u32, ambiguous: impl FnOnce() -> Option<u32>) -> bool {
    theirs == ours && ambiguous() != Some(theirs)
}

#[cfg(target_os = "linux")]
mod system {
    use std::io;
    use std::mem::{MaybeUninit, size_of};
    use std::os::fd::{AsRawFd, BorrowedFd};

    use super::Peer;

    /// `SO_PEERCRED` (unix(7)). Not by rustix: its type has no room for pid 0, which is what a peer
    /// from a foreign pid namespace has.
    pub(super) fn peer(socket: BorrowedFd<'_>) -> io::Result<Peer> {
        let mut found = MaybeUninit::<libc::ucred>::zeroed();
        let mut len = size_of::<libc::ucred>() as libc::socklen_t;
        // SAFETY: the buffer is as long as `len` says, and the call writes at most that much.
        let failed = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERCRED,
                found.as_mut_ptr().cast(),
                &raw mut len,
            )
        };
        if failed != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: plain integers, zeroed before.
        let found = unsafe { found.assume_init() };
        if found.uid == u32::MAX {
            // What a socket without a peer has.
            return Err(io::ErrorKind::NotConnected.into());
        }
        Ok(Peer {
            uid: found.uid,
            pid: u32::try_from(found.pid).ok().filter(|pid| *pid > 0),
        })
    }

    /// The overflow uid, if some users have no name in our namespace and so read as it.
    pub(super) fn ambiguous_uid() -> Option<u32> {
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        if everyone_is_mapped(&map) {
            return None;
        }
        let overflow = std::fs::read_to_string("/proc/sys/kernel/overflowuid").ok();
        Some(
            overflow
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(65534),
        )
    }

    /// As in the first namespace: one line that maps all uids (there are 2^32 - 1). A map that can't
    /// be read maps nobody.
    pub(super) fn everyone_is_mapped(map: &str) -> bool {
        let count = |line: &str| line.split_ascii_whitespace().nth(2)?.parse::<u64>().ok();
        map.lines().filter_map(count).sum::<u64>() >= u64::from(u32::MAX)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;
    use std::mem::size_of;
    use std::os::fd::{AsRawFd, BorrowedFd};

    use super::Peer;

    pub(super) fn peer(socket: BorrowedFd<'_>) -> io::Result<Peer> {
        let (mut uid, mut gid) = (0, 0);
        // SAFETY: both pointers are to locals that outlive the call.
        if unsafe { libc::getpeereid(socket.as_raw_fd(), &mut uid, &mut gid) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Peer {
            uid,
            pid: pid(socket),
        })
    }

    fn pid(socket: BorrowedFd<'_>) -> Option<u32> {
        let mut pid: libc::pid_t = 0;
        let mut len = size_of::<libc::pid_t>() as libc::socklen_t;
        // SAFETY: the buffer is as long as `len` says, and the call writes at most that much.
        let failed = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_LOCAL,
                libc::LOCAL_PEERPID,
                (&raw mut pid).cast(),
                &mut len,
            )
        };
        u32::try_from(pid)
            .ok()
            .filter(|pid| failed == 0 && *pid > 0)
    }

    /// No user namespaces here.
    pub(super) fn ambiguous_uid() -> Option<u32> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_uid_passes_and_root_is_no_exception() {
        assert!(same_user(1000, 1000, || None));
        assert!(same_user(0, 0, || None));
        assert!(!same_user(0, 1000, || None));
        assert!(!same_user(1000, 0, || None));
    }

    #[test]
    fn the_overflow_uid_proves_nothing_where_users_are_unmapped() {
        assert!(!same_user(65534, 65534, || Some(65534)));
        assert!(
            same_user(65534, 65534, || None),
            "the user nobody in the first namespace"
        );
        assert!(same_user(1000, 1000, || Some(65534)));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn only_a_map_of_all_uids_leaves_nobody_unmapped() {
        assert!(system::everyone_is_mapped(
            "         0          0 4294967295\n"
        ));
        assert!(!system::everyone_is_mapped("0 100000 65536\n"));
        assert!(!system::everyone_is_mapped(""));
        assert!(!system::everyone_is_mapped("what is this"));
    }
}
