//! What happens to us when the process forks without exec.
//!
//! A forked child shares its parent's open file descriptions: it would keep the directory's lock and
//! every connection alive after the parent's death, so nobody would notice that death. Therefore
//! each descriptor that must die with its process is a [`GuardedFd`]: a `pthread_atfork` handler puts
//! an inert pipe in its place in the child. The number stays owned, so later drops in the child close
//! what they own; a stream reads as ended, a lock is not there. Memory that only members may write is a
//! [`GuardedMapping`], in whose place the child finds zeros of its own.
//!
//! **Invariant.** No fork can fall between a guarded descriptor's birth (or death) and its entry in
//! the table: both happen under the table's mutex, and the handlers hold that mutex across the fork.
//!
//! Children made without libc's `fork` (raw `clone`) see no handler; what is explicit about such
//! children (unlocking) compares process ids instead.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, Once};

use crate::lock::{self, Opened};

mod mapping;

pub(crate) use mapping::GuardedMapping;

/// Forks between the process that first asked and this one.
static GENERATION: AtomicU64 = AtomicU64::new(0);

struct Table {
    /// Guarded descriptors.
    guarded: BTreeSet<RawFd>,
    /// Guarded mappings: where each begins, and its length.
    mapped: BTreeMap<usize, usize>,
    /// The read end of a pipe nobody writes to: what a child finds in place of a guarded descriptor.
    inert: Option<OwnedFd>,
}

static TABLE: Mutex<Table> = Mutex::new(Table {
    guarded: BTreeSet::new(),
    mapped: BTreeMap::new(),
    inert: None,
});

/// All of this crate's mutexes that outlive a call: a child that forked while another thread had one could never lock
/// it again.
struct AllLocks {
    table: MutexGuard<'static, Table>,
    _kept: MutexGuard<'static, Vec<Opened>>,
}

thread_local! {
    /// The locks while this thread is inside `fork`.
    static ACROSS_FORK: Cell<Option<AllLocks>> = const { Cell::new(None) };
}

/// A number that is larger in a forked child than it was in its parent before. Whoever keeps state
/// that a fork breaks stores it when the state is made, and refuses to go on when it has changed.
pub fn fork_generation() -> u64 {
    install_handlers();
    GENERATION.load(Ordering::Relaxed)
}

fn table() -> MutexGuard<'static, Table> {
    TABLE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn install_handlers() {
    // Not in the libc crate for Linux; POSIX.1-2001, <pthread.h>.
    type Handler = unsafe extern "C" fn();
    unsafe extern "C" {
        fn pthread_atfork(before: Handler, parent: Handler, child: Handler) -> libc::c_int;
    }
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        // SAFETY: the signature is POSIX's; the handlers are functions of this program that don't
        // unwind (extern "C" aborts) and keep to what a forked child may do.
        let failed = unsafe { pthread_atfork(before_fork, after_in_parent, after_in_child) };
        assert_eq!(failed, 0, "pthread_atfork has no memory left");
    });
}

unsafe extern "C" fn before_fork() {
    // In the order in which closing a kept descriptor takes them.
    let kept = lock::kept();
    let locks = AllLocks {
        table: table(),
        _kept: kept,
    };
    // A thread whose locals are gone already can't carry the locks: it forks without them.
    let _ = ACROSS_FORK.try_with(|held| held.set(Some(locks)));
}

unsafe extern "C" fn after_in_parent() {
    let _ = ACROSS_FORK.try_with(Cell::take);
}

/// Async-signal-safe as far as it must be: this thread owns the table, nothing is allocated.
unsafe extern "C" fn after_in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    let Ok(Some(AllLocks { table, _kept })) = ACROSS_FORK.try_with(Cell::take) else {
        return;
    };
    if let Some(inert) = &table.inert {
        for fd in &table.guarded {
            replace(*fd, inert.as_fd());
        }
    }
    for (start, len) in &table.mapped {
        mapping::replace_with_zeros(*start, *len);
    }
}

/// Makes the number `fd` mean what `inert` means, atomically.
fn replace(fd: RawFd, inert: BorrowedFd<'_>) {
    // SAFETY: plain system calls on descriptors; the number stays open and owned by its owner, who
    // from now on finds an ended pipe behind it. They can't fail: both are open.
    unsafe {
        #[cfg(target_os = "linux")]
        libc::dup3(inert.as_raw_fd(), fd, libc::O_CLOEXEC);
        #[cfg(not(target_os = "linux"))]
        {
            libc::dup2(inert.as_raw_fd(), fd);
            libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
}

fn enter(table: &mut Table, fd: RawFd) -> io::Result<()> {
    if table.inert.is_none() {
        table.inert = Some(ended_pipe()?);
    }
    table.guarded.insert(fd);
    Ok(())
}

fn ended_pipe() -> io::Result<OwnedFd> {
    let (read_end, _dropped_write_end) = crate::waker::pipe()?;
    Ok(read_end)
}

/// A descriptor that a forked child doesn't keep.
#[derive(Debug)]
pub(crate) struct GuardedFd {
    fd: ManuallyDrop<OwnedFd>,
}

impl GuardedFd {
    /// Runs `open`, which must be short and must not touch other guarded descriptors.
    pub(crate) fn open(open: impl FnOnce() -> io::Result<OwnedFd>) -> io::Result<Self> {
        install_handlers();
        let mut table = table();
        let fd = open()?;
        enter(&mut table, fd.as_raw_fd())?;
        Ok(Self {
            fd: ManuallyDrop::new(fd),
        })
    }

    /// As [`Self::open`], for two descriptors that are made together.
    pub(crate) fn open_pair(
        open: impl FnOnce() -> io::Result<(OwnedFd, OwnedFd)>,
    ) -> io::Result<(Self, Self)> {
        install_handlers();
        let mut table = table();
        let (one, two) = open()?;
        enter(&mut table, one.as_raw_fd())?;
        if let Err(error) = enter(&mut table, two.as_raw_fd()) {
            table.guarded.remove(&one.as_raw_fd());
            return Err(error);
        }
        Ok((
            Self {
                fd: ManuallyDrop::new(one),
            },
            Self {
                fd: ManuallyDrop::new(two),
            },
        ))
    }

    /// Closes what is behind the descriptor now, also for threads that are using it, and leaves an
    /// ended pipe under its number until it is dropped.
    pub(crate) fn end(&self) {
        if let Some(inert) = &table().inert {
            replace(self.fd.as_raw_fd(), inert.as_fd());
        }
    }
}

impl AsFd for GuardedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for GuardedFd {
    fn drop(&mut self) {
        let mut table = table();
        let fd = self.fd.as_raw_fd();
        table.guarded.remove(&fd);
        // SAFETY: `self.fd` is not used again, so this is the number's one owner. It is closed while
        // the table is locked, so that a fork sees it either guarded or closed.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
    }
}
