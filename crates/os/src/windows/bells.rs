//! Two events a bell: `WaitOnAddress` does not reach other processes.
//!
//! A sleeper waits for the event of the parity that it saw. A ringer sets both. An event stays set until a sleeper finds it
//! set although the word is what it saw: that one resets it, looks at the word again, and sleeps. So a wake is lost only where a
//! sleeper of the same parity does so between another's look and its sleep, which takes two rings within that moment.
//!
//! The events have no names: names would have to be told, protected, and kept apart between sessions and rights.

use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use windows_sys::Win32::System::Threading::{ResetEvent, SetEvent};

use super::{Wake, is, nap, refused};
use crate::windows::call::{after, done, event, wait_any};

/// One for each parity.
pub(super) const HANDLES: usize = 2;

#[derive(Debug)]
pub(super) struct Bells {
    events: Vec<OwnedHandle>,
}

impl Bells {
    pub(super) fn create(count: usize) -> io::Result<Self> {
        let events = (0..HANDLES * count)
            .map(|_| event())
            .collect::<io::Result<_>>()?;
        Ok(Self { events })
    }

    /// Each is set once: only an event can be set, and a sleeper that it wakes looks again.
    pub(super) fn of_handles(events: Vec<OwnedHandle>) -> io::Result<Self> {
        for event in &events {
            // SAFETY: an open handle; another kind of object refuses it.
            done(unsafe { SetEvent(event.as_raw_handle()) }).map_err(|_| refused("no event"))?;
        }
        Ok(Self { events })
    }

    pub(super) fn handles(&self) -> Vec<BorrowedHandle<'_>> {
        self.events.iter().map(AsHandle::as_handle).collect()
    }

    pub(super) fn wait(&self, bell: usize, word: &AtomicU64, seen: u32, timeout: Duration) -> bool {
        let Some(events) = self.events.chunks_exact(HANDLES).nth(bell) else {
            return nap(word, seen, timeout);
        };
        let event = &events[seen as usize % HANDLES];
        let deadline = after(Some(timeout));
        while is(word, seen) {
            match wait_any(&[event.as_handle()], deadline) {
                Ok(None) => return false,
                Ok(Some(_)) if is(word, seen) => {
                    // SAFETY: an event that we own.
                    unsafe { ResetEvent(event.as_raw_handle()) };
                }
                Ok(Some(_)) => {}
                Err(_) => return nap(word, seen, timeout),
            }
        }
        true
    }

    pub(super) fn wake(&self, bell: usize, _word: &AtomicU64, _which: Wake) {
        let events = self.events.chunks_exact(HANDLES).nth(bell);
        for event in events.into_iter().flatten() {
            // SAFETY: an event that we own; it fails for no other reason than that it were none.
            unsafe { SetEvent(event.as_raw_handle()) };
        }
    }
}
