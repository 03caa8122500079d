//! Open files passed to another process beside a stream's bytes: by `DuplicateHandle`, announced in the stream.
//!
//! Bytes that come with handles are preceded by a block: the magic number, a byte that says who duplicates, the number of
//! handles, two bytes of zeros, the number of bytes that follow the block (u32), and each handle (u64), all little-endian.
//!
//! The receiver *pulls*: it duplicates out of the sender's process, so nothing is left anywhere if it never comes to it.
//! A process without an administrator's rights can't do that to one that has them; then the sender *pushes*. A receiver
//! with those rights takes nothing that was pushed: a number of a weaker process could mean any of its own handles.

use std::io;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, OwnedHandle};
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::{DUPLICATE_SAME_ACCESS, DuplicateHandle, HANDLE};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcess, PROCESS_DUP_HANDLE};

use super::call::{done, made};
use super::credentials::{is_elevated, is_process_elevated};

/// Most handles that travel at once: enough for a view's regions, few enough that a hostile peer
/// can't fill our table with one message.
pub const MAX_HANDLES: usize = 16;

pub(super) const HEADER_BYTES: usize = 12;
const MAGIC: [u8; 4] = *b"LPH1";
const PULL: u8 = 0;
const PUSHED: u8 = 1;

/// What comes before the bytes: written by [`announce`], read by [`Header::decode`].
pub(super) struct Header {
    pushed: bool,
    pub(super) handles: usize,
    pub(super) bytes: u32,
}

impl Header {
    pub(super) fn decode(bytes: &[u8; HEADER_BYTES]) -> io::Result<Self> {
        let handles = usize::from(bytes[5]);
        if bytes[..4] != MAGIC
            || bytes[4] > PUSHED
            || handles > MAX_HANDLES
            || bytes[6..8] != [0, 0]
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "handles were expected here, and something else came",
            ));
        }
        Ok(Self {
            pushed: bytes[4] == PUSHED,
            handles,
            bytes: u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]),
        })
    }
}

/// The block before as many bytes, for a receiver in the process `peer`.
pub(super) fn announce(
    peer: u32,
    bytes: usize,
    handles: &[BorrowedHandle<'_>],
) -> io::Result<Vec<u8>> {
    // A process that can't be asked is no weaker than ours.
    let push = is_elevated()? && !is_process_elevated(peer).unwrap_or(true);
    announce_as(push, peer, bytes, handles)
}

fn announce_as(
    push: bool,
    peer: u32,
    bytes: usize,
    handles: &[BorrowedHandle<'_>],
) -> io::Result<Vec<u8>> {
    let too_much = "handles travel with at least one byte, and no more than sixteen at once";
    let length = u32::try_from(bytes).ok().filter(|length| *length > 0);
    let (Some(length), true) = (length, handles.len() <= MAX_HANDLES) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, too_much));
    };
    let mut block = Vec::with_capacity(HEADER_BYTES + handles.len() * 8);
    block.extend(MAGIC);
    block.extend([if push { PUSHED } else { PULL }, handles.len() as u8, 0, 0]);
    block.extend(length.to_le_bytes());
    let receiver = if push { Some(open(peer)?) } else { None };
    for handle in handles {
        let handle = match &receiver {
            // SAFETY: this process's own number for itself.
            Some(receiver) => unsafe {
                duplicate(
                    GetCurrentProcess(),
                    handle.as_raw_handle(),
                    receiver.as_raw_handle(),
                )?
            },
            None => handle.as_raw_handle(),
        };
        block.extend((handle.addr() as u64).to_le_bytes());
    }
    Ok(block)
}

/// The handles that a block tells of, which came from the process `peer`.
pub(super) fn fetch(peer: u32, header: &Header, numbers: &[u8]) -> io::Result<Vec<OwnedHandle>> {
    if header.pushed && is_elevated()? {
        let what = "a process with fewer rights would push handles into this one";
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    if header.handles == 0 {
        return Ok(Vec::new());
    }
    let sender = if header.pushed {
        None
    } else {
        Some(open(peer)?)
    };
    let mut handles = Vec::new();
    for number in numbers.chunks_exact(8) {
        let number = u64::from_le_bytes(number.try_into().expect("eight"));
        let number: HANDLE = std::ptr::without_provenance_mut(number as usize);
        let ours = match &sender {
            // SAFETY: our own number for ourselves; the other is what the sender says, in its process.
            Some(sender) => unsafe {
                duplicate(sender.as_raw_handle(), number, GetCurrentProcess())?
            },
            None => number,
        };
        // SAFETY: it was made for us, now by this call or before by a sender with at least our rights.
        handles.push(unsafe { made(ours)? });
    }
    Ok(handles)
}

fn open(process: u32) -> io::Result<OwnedHandle> {
    // SAFETY: no inheritance; the handle is new.
    unsafe { made(OpenProcess(PROCESS_DUP_HANDLE, 0, process)) }
}

/// The number of the new handle in the process `to`.
///
/// # Safety
/// Both are handles on processes.
unsafe fn duplicate(from: HANDLE, handle: HANDLE, to: HANDLE) -> io::Result<HANDLE> {
    let mut new: HANDLE = null_mut();
    // SAFETY: the number is written to a local; a `handle` that is none is refused.
    done(unsafe { DuplicateHandle(from, handle, to, &mut new, 0, 0, DUPLICATE_SAME_ACCESS) })?;
    Ok(new)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Seek, Write};
    use std::os::windows::io::AsHandle;

    use super::*;

    #[test]
    fn handle_is_not_pushed_into_a_stronger_process() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"inside").unwrap();
        let me = std::process::id();
        for push in [false, true] {
            let block = announce_as(push, me, 3, &[file.as_handle()]).unwrap();
            let header = Header::decode(block[..HEADER_BYTES].try_into().unwrap()).unwrap();
            assert_eq!((header.handles, header.bytes, header.pushed), (1, 3, push));
            let fetched = fetch(me, &header, &block[HEADER_BYTES..]);
            if push && is_elevated().unwrap() {
                assert_eq!(fetched.unwrap_err().kind(), io::ErrorKind::InvalidData);
                continue;
            }
            let mut passed = File::from(fetched.unwrap().pop().unwrap());
            passed.rewind().unwrap();
            let mut content = String::new();
            passed.read_to_string(&mut content).unwrap();
            assert_eq!(content, "inside");
        }
    }

    #[test]
    fn bad_block_and_bad_handle_are_refused() {
        let mut block: [u8; HEADER_BYTES] = *b"LPH1\0\x01\0\0\x01\0\0\0";
        let header = Header::decode(&block).unwrap();
        assert!(fetch(std::process::id(), &header, &[0xF0; 8]).is_err());
        for at in [0, 4, 5, 6] {
            let before = std::mem::replace(&mut block[at], 200);
            assert!(Header::decode(&block).is_err(), "{at}");
            block[at] = before;
        }
    }
}
