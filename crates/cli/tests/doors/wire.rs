//! The protocol of docs/PROTOCOL.md spoken by hand, well or badly: by a peer that runs as our user and means no good.

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use level_party_testkit::PATIENCE;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

/// What a leader said.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    Welcome,
    /// Why, as text.
    Refused(String),
    /// Over a side connection.
    News,
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
        let socket = UnixStream::connect(dir.join("level-party.endpoint"))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Wire {
            socket,
            inbox: Vec::new(),
            version: None,
        })
    }

    /// A connection on which all was said that must be, and the hello heard.
    pub fn attach(dir: &Path) -> io::Result<Self> {
        let mut wire = Self::connect(dir)?;
        wire.introduce(&File::open(dir)?)?;
        wire.send(&frame(&hello()))?;
        Ok(wire)
    }

    /// Sends a right preamble with the directory.
    pub fn introduce(&mut self, dir: &impl AsFd) -> io::Result<()> {
        let preamble = self.preamble();
        self.send_handles(&preamble, &[dir.as_fd()])
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
            0 => Said::Welcome,
            // A kind, the text's length, and the text.
            1 => Said::Refused(String::from_utf8_lossy(&message[3..]).into_owned()),
            2 => Said::News,
            other => panic!("the leader said message {other}"),
        }
    }

    /// Whether the leader ended the connection, whatever it said before.
    pub fn is_ended(&mut self) -> bool {
        loop {
            match self.next() {
                Said::End => return true,
                Said::News | Said::Welcome | Said::Refused(_) => {}
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

/// A hello of a process that is no member yet.
pub fn hello() -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(varint(std::process::id().into()));
    bytes.push(0); // it never leads
    bytes.push(0); // and is a member of nothing
    bytes
}

/// A side connection's request for a task of that number, with its fields.
pub fn side(task: u8, fields: &[u8]) -> Vec<u8> {
    let mut bytes = vec![1];
    bytes.extend(varint(std::process::id().into()));
    bytes.push(task);
    bytes.extend_from_slice(fields);
    bytes
}
