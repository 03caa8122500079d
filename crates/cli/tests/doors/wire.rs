//! The protocol of docs/PROTOCOL.md spoken by hand, well or badly: by a peer that runs as our user and means no good.

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use level_party_testkit::PATIENCE;
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

/// Bytes of a session page.
pub const PAGE_BYTES: u64 = 256 * 64;
/// The seals that a session page must have.
pub const SEALS: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);

/// What a leader said.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    Recovering,
    Welcome,
    /// Why, as text.
    Refused(String),
    /// The id of the call that is answered.
    Reply(u64),
    /// Nothing: the connection is over.
    End,
}

/// A connection to a leader.
pub struct Wire {
    pub socket: UnixStream,
    inbox: Vec<u8>,
    /// The newest version that the leader speaks, once it was heard.
    version: Option<u16>,
}

impl Wire {
    /// A connection on which nothing was said.
    pub fn connect(dir: &Path) -> io::Result<Self> {
        let socket = UnixStream::connect(dir.join("level-party.sock"))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Wire {
            socket,
            inbox: Vec::new(),
            version: None,
        })
    }

    /// A connection on which all was said that must be, and the hello heard.
    pub fn attach(dir: &Path) -> io::Result<Self> {
        let page = page(PAGE_BYTES, SEALS);
        Self::attach_with(dir, 1, &page)
    }

    /// The same, for a session and with a page of its own.
    pub fn attach_with(dir: &Path, session: u64, page: &OwnedFd) -> io::Result<Self> {
        let mut wire = Self::connect(dir)?;
        wire.introduce(&File::open(dir)?, page)?;
        wire.send(&frame(&hello(session, &[])))?;
        Ok(wire)
    }

    /// Sends a right preamble with two handles.
    pub fn introduce(&mut self, dir: &impl AsFd, page: &impl AsFd) -> io::Result<()> {
        let preamble = self.preamble();
        self.send_handles(&preamble, &[dir.as_fd(), page.as_fd()])
    }

    /// A preamble with the leader's version, which it says without being asked. (What is spoken below has the same
    /// shape in all of them.)
    pub fn preamble(&mut self) -> [u8; 16] {
        let version = self.version().expect("the leader says its preamble");
        preamble(version, version)
    }

    fn version(&mut self) -> Option<u16> {
        if self.version.is_none() && self.fill(16) {
            assert_eq!(self.inbox[..8], *b"lvlparty");
            let said: Vec<u8> = self.inbox.drain(..16).collect();
            self.version = Some(u16::from_le_bytes([said[10], said[11]]));
        }
        self.version
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    pub fn send_handles(&mut self, bytes: &[u8], handles: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(200))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(handles)));
        let slices = [IoSlice::new(bytes)];
        rustix::net::sendmsg(&self.socket, &slices, &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// What the leader says next.
    pub fn next(&mut self) -> Said {
        if self.version().is_none() {
            return Said::End;
        }
        if !self.fill(4) {
            return Said::End;
        }
        let length = u32::from_le_bytes(self.inbox[..4].try_into().expect("four bytes")) as usize;
        if !self.fill(4 + length) {
            return Said::End;
        }
        let message: Vec<u8> = self.inbox.drain(..4 + length).skip(4).collect();
        match message[0] {
            0 => Said::Recovering,
            1 => Said::Welcome,
            // A kind, the text's length, and the text.
            2 => Said::Refused(String::from_utf8_lossy(&message[3..]).into_owned()),
            3 => Said::Reply(read_varint(&message[1..])),
            other => panic!("the leader said message {other}"),
        }
    }

    /// Whether the leader ended the connection, whatever it said before.
    pub fn is_ended(&mut self) -> bool {
        loop {
            match self.next() {
                Said::End => return true,
                Said::Reply(_) | Said::Recovering | Said::Welcome | Said::Refused(_) => {}
            }
        }
    }

    /// Reads until that many bytes are there.
    fn fill(&mut self, count: usize) -> bool {
        let mut bytes = [0; 4096];
        while self.inbox.len() < count {
            match self.socket.read(&mut bytes) {
                Ok(0) => return false,
                Ok(read) => self.inbox.extend_from_slice(&bytes[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return false,
                Err(error) => panic!("the leader neither spoke nor ended: {error}"),
            }
        }
        true
    }
}

/// A memory file of `len` bytes with some seals.
pub fn page(len: u64, seals: SealFlags) -> OwnedFd {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = rustix::fs::memfd_create("a peer's page", flags).expect("memory");
    rustix::fs::ftruncate(&file, len).expect("memory");
    rustix::fs::fcntl_add_seals(&file, seals).expect("sealed");
    file
}

pub fn preamble(oldest: u16, newest: u16) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(b"lvlparty");
    bytes[8..10].copy_from_slice(&oldest.to_le_bytes());
    bytes[10..12].copy_from_slice(&newest.to_le_bytes());
    bytes
}

pub fn frame(message: &[u8]) -> Vec<u8> {
    let mut bytes = (message.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(message);
    bytes
}

/// A number as postcard writes it.
pub fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn read_varint(bytes: &[u8]) -> u64 {
    let mut number = 0;
    for (at, byte) in bytes.iter().enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}

/// Bytes as postcard writes them.
fn counted(bytes: &[u8]) -> Vec<u8> {
    [varint(bytes.len() as u64), bytes.to_vec()].concat()
}

/// A hello up to its list of pins.
pub fn hello_before_pins(session: u64) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(varint(session));
    bytes.extend(varint(0));
    bytes.push(0); // no place among the sessions that show signs of life
    bytes.extend(varint(std::process::id().into()));
    bytes.push(0); // it never leads
    for size in [4 << 20, 4096, 2 << 20] {
        bytes.extend(varint(size));
    }
    bytes.extend([1, 0]); // compression, no filter
    bytes.push(0); // no history for watches
    bytes.push(0); // no trouble
    bytes.push(0); // no last epoch
    bytes.push(0); // nothing unresolved
    bytes.push(0); // and no sync owed for it
    bytes
}

/// A whole hello.
pub fn hello(session: u64, pins: &[u64]) -> Vec<u8> {
    let mut bytes = hello_before_pins(session);
    bytes.extend(varint(pins.len() as u64));
    pins.iter().for_each(|pin| bytes.extend(varint(*pin)));
    bytes
}

fn call(id: u64, request: u8, fields: &[u8]) -> Vec<u8> {
    let mut bytes = vec![1];
    bytes.extend(varint(id));
    bytes.push(request);
    bytes.extend_from_slice(fields);
    bytes
}

/// A get of the newest.
pub fn get(id: u64, key: &[u8]) -> Vec<u8> {
    call(id, 0, &[counted(key), vec![0]].concat())
}

/// A write of any bytes as the session's write of that number.
pub fn write(id: u64, number: u64, batch: &[u8]) -> Vec<u8> {
    let fields = [varint(number), vec![0], counted(batch), counted(&[])];
    call(id, 3, &fields.concat())
}

/// A batch with one put.
pub fn batch(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    bytes.extend(1_u32.to_le_bytes());
    bytes.push(1);
    bytes.extend(counted(key));
    bytes.extend(counted(value));
    bytes
}
