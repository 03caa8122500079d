//! One connection: bytes both ways, handles beside them, and the certainty of who is there.
//!
//! Several threads may use one stream at once through `&Stream`; bytes of two concurrent writers may
//! interleave, so whoever frames messages locks around them.
//!
//! Pipes tell no readiness. So one read is always under way, into a buffer of the stream's own: its event says that
//! something has come, or the end. And what is written is copied, and written from the copy: the event of that call says
//! that there is room again.
//!
//! **Invariants.** A read is under way, or its event is set. A write is under way, or its event is set. Neither lock is
//! held while a thread waits. `gone` is set once the end was met, in either direction, and stays set.

use std::io::{self, Read, Write};
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use windows_sys::Wdk::Storage::FileSystem::{
    FILE_PIPE_CONNECTED_STATE, FILE_PIPE_LOCAL_INFORMATION, FilePipeLocalInformation,
    NtQueryInformationFile,
};
use windows_sys::Win32::Foundation::{ERROR_OPERATION_ABORTED, HANDLE};
use windows_sys::Win32::Storage::FileSystem::{ReadFile, WriteFile};
use windows_sys::Win32::System::IO::IO_STATUS_BLOCK;
use windows_sys::Win32::System::Pipes::{GetNamedPipeClientProcessId, GetNamedPipeServerProcessId};
use windows_sys::Win32::System::Threading::{OpenProcess, PROCESS_SYNCHRONIZE};
use windows_sys::core::BOOL;

use super::call::{after, done, is_set, made, wait_any};
use super::credentials::OwnersOnly;
use super::handles::{self, HEADER_BYTES, Header};
use super::overlapped::Call;
use super::pipe::{self, Waiting};
use super::{endpoint, waker::Waker};
use crate::credentials::Peer;
use crate::data_dir::DataDir;
use crate::hangup::Hangup;

/// Read at once.
const READ_BYTES: usize = 32 << 10;
/// Written at once.
const WRITE_BYTES: usize = 64 << 10;
/// How long a peer may take to bring the block that tells of handles.
const BLOCK_LIMIT: Duration = Duration::from_secs(10);
/// While others read, a wait for the end looks this often: woken by each arrival it would be a second thread that each
/// message wakes.
const GLANCE: Duration = Duration::from_millis(10);

/// A connection to another process of the same user, or another thread. Blocking, unless timeouts are
/// set. Dropping it closes it.
#[derive(Debug)]
pub struct Stream {
    reading: Mutex<Reading>,
    writing: Mutex<Writing>,
    readable: OwnedHandle,
    writable: OwnedHandle,
    gone: Arc<Waker>,
    peer: Peer,
    /// Set when the peer's process ends, if it lets us know.
    peer_process: Option<OwnedHandle>,
    /// Nanoseconds; 0 for none.
    read_timeout: AtomicU64,
    write_timeout: AtomicU64,
}

#[derive(Debug)]
struct Reading {
    pipe: Option<Arc<OwnedHandle>>,
    call: Call,
    buffer: Box<[u8]>,
    /// What came and was not taken.
    start: usize,
    end: usize,
    /// Nothing will come.
    over: bool,
    /// How often something was taken.
    taken: u64,
    /// Bytes that belong to the handles' block that came last, and were not taken.
    announced: u64,
    gone: Arc<Waker>,
}

#[derive(Debug)]
struct Writing {
    pipe: Option<Arc<OwnedHandle>>,
    call: Call,
    buffer: Vec<u8>,
    /// How many writes were begun.
    begun: u64,
    over: bool,
    gone: Arc<Waker>,
}

impl Reading {
    /// Takes note of what came, and has a read under way again if all was taken.
    fn advance(&mut self) {
        while !self.over && self.start == self.end {
            let Some(pipe) = self.pipe.as_deref().map(AsRawHandle::as_raw_handle) else {
                return self.finish();
            };
            if self.call.is_under_way() {
                match self.call.result(pipe) {
                    None => return,
                    Some(Ok(count)) => (self.start, self.end) = (0, count.min(self.buffer.len())),
                    // Its thread has ended, and the system with it the call.
                    Some(Err(error)) if is_aborted(&error) => {}
                    Some(Err(_)) => self.finish(),
                }
                continue;
            }
            let (buffer, room) = (self.buffer.as_mut_ptr(), self.buffer.len() as u32);
            // SAFETY: the buffer is on the heap, as long as it says, and neither moved nor touched while the call is under
            // way (`start == end`); drop and `end` end the call first.
            let begun = unsafe {
                self.call
                    .begin(|overlapped| ReadFile(pipe, buffer, room, null_mut(), overlapped))
            };
            if begun.is_err() {
                self.finish();
            }
        }
    }

    fn finish(&mut self) {
        self.over = true;
        self.call.set();
        self.gone.wake();
    }

    fn has_come(&self) -> bool {
        self.start < self.end || self.over
    }

    /// What has come; nothing if `over`.
    fn take(&mut self, buf: &mut [u8]) -> usize {
        let count = buf.len().min(self.end - self.start);
        buf[..count].copy_from_slice(&self.buffer[self.start..self.start + count]);
        self.start += count;
        self.taken += 1;
        self.announced = self.announced.saturating_sub(count as u64);
        self.advance();
        count
    }

    /// Ends it for good.
    fn end(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            self.call.end(pipe.as_raw_handle());
        }
        (self.start, self.end) = (0, 0);
        self.finish();
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.end();
    }
}

impl Writing {
    /// Takes note of whether the write under way is over.
    fn advance(&mut self) {
        let Some(pipe) = self.pipe.as_deref().map(AsRawHandle::as_raw_handle) else {
            return self.finish();
        };
        match self.call.result(pipe) {
            Some(Ok(count)) if count == self.buffer.len() => {}
            // How much of it the peer has read nobody can tell.
            Some(_) => self.finish(),
            None => {}
        }
    }

    fn is_free(&self) -> bool {
        !self.call.is_under_way()
    }

    /// Begins to write as much of `bytes` as is written at once; says how much.
    fn begin(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let pipe = self.pipe.as_deref().map(AsRawHandle::as_raw_handle);
        let Some(pipe) = pipe.filter(|_| !self.over) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let count = bytes.len().min(WRITE_BYTES);
        self.buffer.clear();
        self.buffer.extend_from_slice(&bytes[..count]);
        let buffer = self.buffer.as_ptr();
        // SAFETY: the buffer is on the heap and neither moved nor changed until the call is over (`is_free`); drop and
        // `end` end the call first.
        let begun = unsafe {
            self.call
                .begin(|overlapped| WriteFile(pipe, buffer, count as u32, null_mut(), overlapped))
        };
        self.begun += 1;
        if begun.is_err() {
            self.finish();
        }
        self.advance();
        match self.over {
            true => Err(io::ErrorKind::BrokenPipe.into()),
            false => Ok(count),
        }
    }

    fn finish(&mut self) {
        self.over = true;
        self.call.set();
        self.gone.wake();
    }

    /// Ends it for good. What the peer had no room for is lost.
    fn end(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            self.call.end(pipe.as_raw_handle());
        }
        self.finish();
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.end();
    }
}

impl Stream {
    /// Connects to whoever serves the directory. Waits for a tenth of a second at most.
    ///
    /// # Errors
    /// - `NotFound`: no endpoint, or a stale one: nobody serves now.
    /// - `WouldBlock`: so many are waiting to be accepted that we can't queue up.
    /// - `AlreadyExists`: something that is no file is in the place of the endpoint's.
    /// - `PermissionDenied`: the endpoint is another user's.
    pub fn connect(dir: &DataDir) -> io::Result<Self> {
        Self::new(
            pipe::connect(&endpoint::told(dir)?)?,
            GetNamedPipeServerProcessId,
        )
    }

    /// Two connected ends in this process.
    ///
    /// # Errors
    /// When the system has no handle left.
    pub fn pair() -> io::Result<(Self, Self)> {
        let nowhere = crate::identity::DirIdentity { dev: 0, ino: 0 };
        let name = endpoint::draw(nowhere)?;
        let waiting = Waiting::new(&name, &OwnersOnly::new()?, true)?;
        let client = pipe::connect(&name)?;
        wait_any(&[waiting.call().event_ref()], None)?;
        let client = Self::new(client, GetNamedPipeServerProcessId)?;
        Ok((client, Self::of_server(waiting.take()?)?))
    }

    pub(crate) fn of_server(pipe: OwnedHandle) -> io::Result<Self> {
        Self::new(pipe, GetNamedPipeClientProcessId)
    }

    fn new(
        pipe: OwnedHandle,
        peer: unsafe extern "system" fn(HANDLE, *mut u32) -> BOOL,
    ) -> io::Result<Self> {
        let mut pid = 0;
        // SAFETY: an open pipe; the number is written to a local.
        let told = done(unsafe { peer(pipe.as_raw_handle(), &mut pid) });
        let pid = told.ok().map(|()| pid).filter(|pid| *pid != 0);
        // SAFETY: no inheritance; the handle is new.
        let open = |pid| unsafe { made(OpenProcess(PROCESS_SYNCHRONIZE, 0, pid)) };
        let gone = Arc::new(Waker::new()?);
        let pipe = Arc::new(pipe);
        let mut reading = Reading {
            pipe: Some(pipe.clone()),
            call: Call::new()?,
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            start: 0,
            end: 0,
            over: false,
            taken: 0,
            announced: 0,
            gone: gone.clone(),
        };
        let writing = Writing {
            pipe: Some(pipe),
            call: Call::new()?,
            buffer: Vec::new(),
            begun: 0,
            over: false,
            gone: gone.clone(),
        };
        writing.call.set();
        let (readable, writable) = (reading.call.event()?, writing.call.event()?);
        reading.advance();
        Ok(Self {
            reading: Mutex::new(reading),
            writing: Mutex::new(writing),
            readable,
            writable,
            gone,
            peer: Peer { pid },
            peer_process: pid.and_then(|pid| open(pid).ok()),
            read_timeout: AtomicU64::new(0),
            write_timeout: AtomicU64::new(0),
        })
    }

    /// Who is at the other end.
    ///
    /// # Errors
    /// None on this system.
    pub fn peer(&self) -> io::Result<Peer> {
        Ok(self.peer)
    }

    /// Who is at the other end, which is our own user: [`Self::connect`] and the system, for
    /// [`crate::Listener::accept`], have made sure of it.
    ///
    /// # Errors
    /// None on this system.
    pub fn check_peer(&self) -> io::Result<Peer> {
        self.peer()
    }

    /// Sends all of `bytes`, and with their first byte the handles. They must stay open until the peer has answered:
    /// it takes them out of this process when it reads.
    ///
    /// # Errors
    /// `InvalidInput` if there are handles without bytes or more than [`crate::MAX_HANDLES`];
    /// `BrokenPipe` and the like if the peer is gone; `WouldBlock` if a write timeout passed, with
    /// part of the bytes sent.
    pub fn send_handles(&self, bytes: &[u8], handles: &[BorrowedHandle<'_>]) -> io::Result<()> {
        if bytes.is_empty() && handles.is_empty() {
            return Ok(());
        }
        let peer = self.peer.pid.ok_or(io::ErrorKind::NotConnected)?;
        let block = handles::announce(peer, bytes.len(), handles)?;
        (&*self).write_all(&block)?;
        (&*self).write_all(bytes)
    }

    /// Reads some bytes that were sent by [`Self::send_handles`], and the handles that came with them. No bytes: the end,
    /// or an empty `buf`.
    ///
    /// # Errors
    /// `InvalidData` if other bytes came, or handles that can't be had; `TimedOut` if the block that tells of them takes
    /// more than ten seconds to come.
    pub fn recv_handles(&self, buf: &mut [u8]) -> io::Result<(usize, Vec<OwnedHandle>)> {
        let mut handles = Vec::new();
        if !buf.is_empty() && self.reading().announced == 0 {
            let deadline = Instant::now() + BLOCK_LIMIT;
            let mut header = [0; HEADER_BYTES];
            match self.read_within(&mut header, deadline)? {
                0 => return Ok((0, handles)),
                HEADER_BYTES => {}
                _ => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
            let header = Header::decode(&header)?;
            let mut numbers = vec![0; header.handles * 8];
            if self.read_within(&mut numbers, deadline)? != numbers.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let peer = self.peer.pid.ok_or(io::ErrorKind::NotConnected)?;
            handles = handles::fetch(peer, &header, &numbers)?;
            self.reading().announced = u64::from(header.bytes);
        }
        let most = usize::try_from(self.reading().announced).unwrap_or(usize::MAX);
        let most = most.min(buf.len());
        let read = (&*self).read(&mut buf[..most])?;
        Ok((read, handles))
    }

    /// Fills `buf`; fewer bytes: the end.
    fn read_within(&self, buf: &mut [u8], deadline: Instant) -> io::Result<usize> {
        let mut read = 0;
        while read < buf.len() {
            match self.read_until(&mut buf[read..], Some(deadline)) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    /// Waits until there is something to read, the end included. `Ok(false)`: the timeout passed.
    ///
    /// # Errors
    /// Whatever `WaitForMultipleObjects` says.
    pub fn wait_readable(&self, timeout: Option<Duration>) -> io::Result<bool> {
        let deadline = after(timeout);
        loop {
            if self.has_come() {
                return Ok(true);
            }
            if wait_any(&[self.readable.as_handle()], deadline)?.is_none() {
                return Ok(self.has_come());
            }
        }
    }

    /// Waits until the connection is over, or the waker is woken. Data that arrives doesn't end the
    /// wait and is not touched; other threads may read and write meanwhile. If both have happened,
    /// the answer is [`Hangup::PeerGone`].
    ///
    /// # Errors
    /// Whatever `WaitForMultipleObjects` says.
    pub fn wait_hangup(&self, waker: &Waker) -> io::Result<Hangup> {
        loop {
            // Without a deadline there is always an answer.
            if let Some(hangup) = self.wait_hangup_until(waker, None)? {
                return Ok(hangup);
            }
        }
    }

    /// Waits until the connection is over, the waker is woken, or the timeout passes: `None`. Otherwise as
    /// [`Self::wait_hangup`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use level_party_os::{Hangup, Stream, Waker};
    /// let ((ours, theirs), waker) = (Stream::pair()?, Waker::new()?);
    /// assert_eq!(ours.wait_hangup_within(&waker, Duration::from_millis(1))?, None);
    /// drop(theirs);
    /// let end = ours.wait_hangup_within(&waker, Duration::from_secs(60))?;
    /// assert_eq!(end, Some(Hangup::PeerGone));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Whatever `WaitForMultipleObjects` says.
    pub fn wait_hangup_within(
        &self,
        waker: &Waker,
        timeout: Duration,
    ) -> io::Result<Option<Hangup>> {
        self.wait_hangup_until(waker, after(Some(timeout)))
    }

    fn wait_hangup_until(
        &self,
        waker: &Waker,
        deadline: Option<Instant>,
    ) -> io::Result<Option<Hangup>> {
        let mut glance = Glance::default();
        loop {
            let idle = match glance.at(&mut self.reading()) {
                Seen::End => return Ok(Some(Hangup::PeerGone)),
                Seen::Idle => true,
                Seen::Use => false,
            };
            if is_set(self.gone.event())? {
                return Ok(Some(Hangup::PeerGone));
            }
            if is_set(waker.event())? {
                return Ok(Some(Hangup::Woken));
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok(None);
            }
            let mut objects = vec![self.gone.event(), waker.event()];
            objects.extend(
                self.peer_process
                    .as_ref()
                    .map(|process| process.as_handle()),
            );
            let process = objects.len() - 1;
            let next_glance = match idle {
                // The next arrival, or the end, wakes us.
                true => {
                    objects.push(self.readable.as_handle());
                    None
                }
                false => Some(Instant::now() + GLANCE),
            };
            let next = next_glance.into_iter().chain(deadline).min();
            if wait_any(&objects, next)? == Some(process) && process == 2 {
                return Ok(Some(Hangup::PeerGone));
            }
        }
    }

    /// Bounds each blocking read; then it fails with `WouldBlock`. `None` waits for ever. Zero is
    /// rounded up to the shortest wait there is.
    ///
    /// # Errors
    /// None on this system.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_timeout
            .store(in_nanos(timeout), Ordering::Relaxed);
        Ok(())
    }

    /// Bounds each blocking write; then it fails with `WouldBlock`. `None` waits for ever.
    ///
    /// # Errors
    /// None on this system.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.write_timeout
            .store(in_nanos(timeout), Ordering::Relaxed);
        Ok(())
    }

    /// Ends our reading: blocked reads return the end. Our writes go on; the peer's, until there is no more room for what
    /// nobody reads.
    ///
    /// # Errors
    /// None on this system.
    pub fn shutdown_read(&self) -> io::Result<()> {
        self.reading().end();
        Ok(())
    }

    /// Ends the connection both ways, for all who share it. The peer still reads what was sent; what
    /// there was no room for when a write's timeout passed is lost.
    ///
    /// # Errors
    /// None on this system.
    pub fn shutdown(&self) -> io::Result<()> {
        // With the last of the two the pipe is closed.
        self.reading().end();
        self.writing().end();
        Ok(())
    }

    /// Reads what has come, without waiting: `WouldBlock` where nothing has.
    fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut reading = self.reading();
        reading.advance();
        match reading.has_come() || buf.is_empty() {
            true => Ok(reading.take(buf)),
            false => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn read_until(&self, buf: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        loop {
            match self.try_read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            if wait_any(&[self.readable.as_handle()], deadline)?.is_none() {
                return self.try_read(buf);
            }
        }
    }

    fn has_come(&self) -> bool {
        let mut reading = self.reading();
        reading.advance();
        reading.has_come()
    }

    fn has_room(&self) -> bool {
        let mut writing = self.writing();
        writing.advance();
        writing.is_free() || writing.over
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.reading
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Read for &Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_until(buf, deadline_in(&self.read_timeout))
    }
}

impl Write for &Stream {
    /// Waits for room for what it says it has written, so that it is not lost if the connection is then ended; after a
    /// timeout it may be.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let deadline = deadline_in(&self.write_timeout);
        let writable = [self.writable.as_handle()];
        let (count, begun) = loop {
            {
                let mut writing = self.writing();
                writing.advance();
                if writing.is_free() || writing.over {
                    match bytes.is_empty() {
                        true => return Ok(0),
                        false => break (writing.begin(bytes)?, writing.begun),
                    }
                }
            }
            if wait_any(&writable, deadline)?.is_none() && !self.has_room() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        };
        loop {
            {
                let mut writing = self.writing();
                writing.advance();
                if writing.begun != begun || (writing.is_free() && !writing.over) {
                    return Ok(count);
                }
                if writing.over {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
            }
            if wait_any(&writable, deadline)?.is_none() {
                return Ok(count);
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Looks for the end of a stream that others may be reading.
#[derive(Default)]
struct Glance {
    taken: Option<u64>,
}

enum Seen {
    /// The end; `gone` is set.
    End,
    /// Nobody has taken anything since the last look, and nothing lies there: the next arrival, or the end, may wake us.
    Idle,
    /// What comes is for others.
    Use,
}

impl Glance {
    fn at(&mut self, reading: &mut Reading) -> Seen {
        reading.advance();
        let unread = reading.start < reading.end;
        let ended = || {
            let pipe = reading.pipe.as_deref();
            pipe.is_none_or(|pipe| is_ended(pipe.as_handle()))
        };
        if reading.over || (unread && ended()) {
            reading.gone.wake();
            return Seen::End;
        }
        let idle = !unread && self.taken == Some(reading.taken);
        self.taken = Some(reading.taken);
        if idle { Seen::Idle } else { Seen::Use }
    }
}

fn is_aborted(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ERROR_OPERATION_ABORTED as i32)
}

fn in_nanos(timeout: Option<Duration>) -> u64 {
    timeout.map_or(0, |timeout| {
        u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX).max(1)
    })
}

fn deadline_in(timeout: &AtomicU64) -> Option<Instant> {
    match timeout.load(Ordering::Relaxed) {
        0 => None,
        nanos => after(Some(Duration::from_nanos(nanos))),
    }
}

/// Whether the other end of a pipe is closed, whatever of it is still to be read.
fn is_ended(pipe: BorrowedHandle<'_>) -> bool {
    // SAFETY: integers and a null pointer; then integers.
    let (mut status, mut info): (IO_STATUS_BLOCK, FILE_PIPE_LOCAL_INFORMATION) =
        unsafe { std::mem::zeroed() };
    // SAFETY: the buffer is as long as it says; both outlive the call, which is over when it returns.
    let result = unsafe {
        NtQueryInformationFile(
            pipe.as_raw_handle(),
            &mut status,
            (&raw mut info).cast(),
            size_of::<FILE_PIPE_LOCAL_INFORMATION>() as u32,
            FilePipeLocalInformation,
        )
    };
    result >= 0 && info.NamedPipeState != FILE_PIPE_CONNECTED_STATE
}

#[cfg(test)]
mod tests;
