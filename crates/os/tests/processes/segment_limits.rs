//! The shared segment under the limits of a process, and across forks.

use std::sync::atomic::{AtomicU64, Ordering};

use level_party_os::{SegmentError, SharedSegment};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Outcome::{self, Impossible, Passed};
use crate::peer::Peer;
use crate::roles::say;
use crate::{Test, tests};

pub const TESTS: &[Test] = tests![
    file_size_limit_refuses_making_and_spares_reserving,
    address_space_limit_refuses_making_and_mapping,
    locking_process_maps_a_segment_without_its_memory,
    locked_memory_limit_is_named,
    reserving_ends_under_a_frequent_timer_signal,
    forked_child_finds_zeros_and_its_stores_reach_nobody,
    child_whose_memory_is_limited_reads_zeros_and_can_not_store,
];

const LEN: usize = if cfg!(target_pointer_width = "64") {
    4 << 30
} else {
    256 << 20
};
const SMALL: usize = 8 << 20;
const AT: usize = LEN - 4096;

fn word(segment: &SharedSegment, at: usize) -> &AtomicU64 {
    &segment.words()[at / 8]
}

fn again(segment: &SharedSegment) -> Result<SharedSegment, SegmentError> {
    let handle = segment.as_handle().try_clone_to_owned();
    SharedSegment::from_handle(handle.expect("descriptors"), segment.len())
}

/// What is memory of it, in bytes.
fn allocated(segment: &SharedSegment) -> u64 {
    let stat = rustix::fs::fstat(segment.as_handle()).expect("it is open");
    stat.st_blocks as u64 * 512
}

/// What a process says that plays the role.
fn outcome_of(role: &str) -> Outcome {
    let tmp = tempfile::tempdir().expect("a directory for tests");
    match Peer::start(role, [tmp.path()]).line().as_str() {
        "as expected" => Passed,
        "impossible" => Impossible("the system has no such limit"),
        other => panic!("{other}"),
    }
}

fn limit(resource: Resource, bytes: u64) {
    let maximum = getrlimit(resource).maximum;
    let current = Some(bytes);
    setrlimit(resource, Rlimit { current, maximum }).expect("a soft limit can be lowered");
}

fn file_size_limit_refuses_making_and_spares_reserving() -> Outcome {
    outcome_of("segment-fsize")
}

pub fn with_a_file_size_limit() {
    if cfg!(not(target_os = "linux")) {
        return say("impossible");
    }
    let segment = SharedSegment::create(LEN).expect("address space");
    limit(Resource::Fsize, SMALL as u64 - 1);
    match SharedSegment::create(SMALL) {
        Err(SegmentError::FileSizeLimit { needed, limit }) => {
            assert_eq!((needed, limit), (SMALL as u64, SMALL as u64 - 1));
        }
        other => return say(&format!("{other:?}")),
    }
    SharedSegment::create(SMALL - 8).expect("at the limit");
    let joined = again(&segment).expect("a joiner sets no length");
    joined.reserve(AT, 4096).expect("nor does a reservation");
    say("as expected");
}

fn address_space_limit_refuses_making_and_mapping() -> Outcome {
    outcome_of("segment-as")
}

pub fn with_an_address_space_limit() {
    if cfg!(not(target_os = "linux")) {
        return say("impossible");
    }
    let segment = SharedSegment::create(LEN).expect("address space");
    let bytes = LEN as u64;
    limit(Resource::As, bytes);
    for result in [SharedSegment::create(LEN), again(&segment)] {
        match result {
            Err(SegmentError::AddressSpaceLimit { needed, limit }) => {
                assert_eq!((needed, limit), (bytes, bytes));
            }
            other => return say(&format!("{other:?}")),
        }
    }
    say("as expected");
}

fn locking_process_maps_a_segment_without_its_memory() -> Outcome {
    outcome_of("segment-mlockall")
}

pub fn that_locks_its_memory() {
    // SAFETY: plain system call.
    let locks = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) } == 0;
    let made = SharedSegment::create(LEN);
    if !locks || matches!(made, Err(SegmentError::LockedMemoryLimit { .. })) {
        return say("impossible"); // neither root nor a high limit
    }
    let segment = made.expect("address space");
    let joined = again(&segment).expect("address space");
    word(&joined, 0).store(1, Ordering::Relaxed);
    let most = 2 * rustix::param::page_size() as u64;
    if allocated(&segment) > most {
        return say(&format!("{} bytes are memory", allocated(&segment)));
    }
    match locked_bytes() {
        Some(locked) if locked >= LEN as u64 => say(&format!("{locked} bytes are locked")),
        _ => say("as expected"),
    }
}

fn locked_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmLck:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes << 10)
}

fn locked_memory_limit_is_named() -> Outcome {
    outcome_of("segment-memlock")
}

pub fn with_a_locked_memory_limit() {
    if cfg!(not(target_os = "linux")) {
        return say("impossible");
    }
    limit(Resource::Memlock, 1 << 20);
    // SAFETY: plain system calls; this process has one thread. Root is above this limit, so it becomes somebody else.
    let locks = unsafe {
        (libc::geteuid() != 0 || libc::setuid(12_345) == 0) && libc::mlockall(libc::MCL_FUTURE) == 0
    };
    if !locks {
        return say("impossible");
    }
    match SharedSegment::create(LEN) {
        Err(SegmentError::LockedMemoryLimit { needed, limit }) => {
            assert_eq!((needed, limit), (LEN as u64, 1 << 20));
            say("as expected");
        }
        other => say(&format!("{other:?}")),
    }
}

fn reserving_ends_under_a_frequent_timer_signal() -> Outcome {
    outcome_of("segment-timer")
}

/// On many kernels a call that takes longer than the timer's period never ends: each one is interrupted and undone.
pub fn with_a_timer() {
    extern "C" fn nothing(_signal: libc::c_int) {}
    let every = libc::timeval {
        tv_sec: 0,
        tv_usec: 40,
    };
    let timer = libc::itimerval {
        it_interval: every,
        it_value: every,
    };
    let segment = SharedSegment::create(LEN).expect("address space");
    // SAFETY: the handler does nothing; the structures are plain integers, and a zeroed set of signals is empty.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
        assert_eq!(
            libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()),
            0
        );
        let none = std::ptr::null_mut();
        assert_eq!(
            libc::setitimer(libc::ITIMER_REAL, &raw const timer, none),
            0
        );
    }
    let reserved = segment.reserve(4096, 64 << 20);
    // SAFETY: a zeroed timer is no timer.
    unsafe {
        let none = std::mem::zeroed();
        libc::setitimer(libc::ITIMER_REAL, &raw const none, std::ptr::null_mut());
    }
    reserved.expect("memory");
    assert!(cfg!(not(target_os = "linux")) || allocated(&segment) == 64 << 20);
    say("as expected");
}

/// The status with which a forked child ends that does this, unless a signal ends it.
fn in_a_child(does: impl FnOnce() -> bool) -> i32 {
    // SAFETY: this process has one thread; the child ends without unwinding or running what is the parent's to run.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let code = i32::from(!does());
        // SAFETY: as above.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: waits for our child; the status is a local.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    status
}

fn forked_child_finds_zeros_and_its_stores_reach_nobody() -> Outcome {
    let segment = SharedSegment::create(LEN).expect("address space");
    segment.reserve(0, 4096).expect("memory");
    let words = segment.words();
    words[0].store(7, Ordering::SeqCst);
    let status = in_a_child(|| {
        let zeros =
            words[0].load(Ordering::SeqCst) == 0 && words[LEN / 8 - 1].load(Ordering::SeqCst) == 0;
        words[0].store(8, Ordering::SeqCst);
        let own = segment.words()[0].load(Ordering::SeqCst) == 8;
        let handle_is_dead = segment.reserve(4096, 4096).is_err() && again(&segment).is_err();
        // A fork of the child is a child again.
        let grandchild = in_a_child(|| words[0].load(Ordering::SeqCst) == 0);
        zeros && own && handle_is_dead && grandchild == 0
    });
    assert_eq!(status, 0);
    assert_eq!(words[0].load(Ordering::SeqCst), 7);
    let late = again(&segment).expect("its own handle still leads to it");
    assert_eq!(word(&late, 0).load(Ordering::SeqCst), 7);
    Passed
}

fn child_whose_memory_is_limited_reads_zeros_and_can_not_store() -> Outcome {
    outcome_of("segment-fork-data")
}

pub fn that_forks_under_a_data_limit() {
    if cfg!(not(target_os = "linux")) {
        return say("impossible");
    }
    let segment = SharedSegment::create(LEN).expect("address space");
    let words = segment.words();
    words[0].store(7, Ordering::SeqCst);
    let before = getrlimit(Resource::Data);
    limit(Resource::Data, 64 << 20);
    let reads = in_a_child(|| words[0].load(Ordering::SeqCst) == 0);
    let stores = in_a_child(|| {
        words[0].store(8, Ordering::SeqCst);
        true
    });
    setrlimit(Resource::Data, before).expect("it was so");
    assert_eq!(reads, 0);
    assert!(libc::WIFSIGNALED(stores) && libc::WTERMSIG(stores) == libc::SIGSEGV);
    assert_eq!(words[0].load(Ordering::SeqCst), 7);
    say("as expected");
}
