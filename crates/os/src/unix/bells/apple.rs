//! `os_sync_wait_on_address` (macOS 14.4, <os/os_sync_wait_on_address.h>), looked up at run time; short naps before it.

use std::ffi::CStr;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::{Wake, nap};

/// The word is all that is needed.
pub(super) const HANDLES: usize = 0;

/// `OS_CLOCK_MACH_ABSOLUTE_TIME` of <os/clock.h>.
const CLOCK: u32 = 32;
/// `OS_SYNC_WAIT_ON_ADDRESS_SHARED` and `OS_SYNC_WAKE_BY_ADDRESS_SHARED`.
const SHARED: u32 = 1;
/// The low half of a word; these machines are little-endian, so it begins where the word does.
const BYTES: usize = 4;

type WaitCall = unsafe extern "C" fn(*mut libc::c_void, u64, usize, u32, u32, u64) -> libc::c_int;
type WakeCall = unsafe extern "C" fn(*mut libc::c_void, usize, u32) -> libc::c_int;

#[derive(Clone, Copy)]
struct Calls {
    wait: WaitCall,
    wake_any: WakeCall,
    wake_all: WakeCall,
}

fn calls() -> Option<Calls> {
    static CALLS: OnceLock<Option<Calls>> = OnceLock::new();
    fn find(name: &CStr) -> Option<*mut libc::c_void> {
        // SAFETY: a name that ends with zero, looked up among what is loaded.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        (!found.is_null()).then_some(found)
    }
    *CALLS.get_or_init(|| {
        let wait = find(c"os_sync_wait_on_address_with_timeout")?;
        let wake_any = find(c"os_sync_wake_by_address_any")?;
        let wake_all = find(c"os_sync_wake_by_address_all")?;
        // SAFETY: functions of the system under these names, with the signatures of its header.
        unsafe {
            Some(Calls {
                wait: std::mem::transmute::<*mut libc::c_void, WaitCall>(wait),
                wake_any: std::mem::transmute::<*mut libc::c_void, WakeCall>(wake_any),
                wake_all: std::mem::transmute::<*mut libc::c_void, WakeCall>(wake_all),
            })
        }
    })
}

#[derive(Debug)]
pub(super) struct Bells;

impl Bells {
    pub(super) fn create(_count: usize) -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) fn of_handles(_none: Vec<OwnedFd>) -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) fn handles(&self) -> Vec<BorrowedFd<'_>> {
        Vec::new()
    }

    pub(super) fn wait(
        &self,
        _bell: usize,
        word: &AtomicU64,
        seen: u32,
        timeout: Duration,
    ) -> bool {
        let Some(calls) = calls() else {
            return nap(word, seen, timeout);
        };
        let left = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        // SAFETY: the address of a word that lives on; the kernel loads its low half.
        let result = unsafe {
            let address = word.as_ptr().cast();
            (calls.wait)(address, seen.into(), BYTES, SHARED, CLOCK, left)
        };
        if result >= 0 {
            return true;
        }
        match io::Error::last_os_error().raw_os_error() {
            Some(libc::ETIMEDOUT) => false,
            Some(libc::EINTR | libc::EFAULT) => true,
            _ => nap(word, seen, timeout),
        }
    }

    pub(super) fn wake(&self, _bell: usize, word: &AtomicU64, which: Wake) {
        let Some(calls) = calls() else { return };
        let wake = match which {
            Wake::One => calls.wake_any,
            Wake::All => calls.wake_all,
        };
        // SAFETY: an address to look up; that nobody sleeps there is no error of ours.
        unsafe { wake(word.as_ptr().cast(), BYTES, SHARED) };
    }
}
