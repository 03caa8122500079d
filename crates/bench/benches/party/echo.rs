//! The floor of all that goes between two processes: fixed messages over a bare unix socket, blocking threads.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use level_party_bench::{Child, Result};

use crate::roles::wait_for_end_of_input;
use crate::settings::argument;

/// Bytes of one round trip's two messages.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub request: u32,
    pub answer: u32,
}

/// A get of the workload's keys and values: a frame with the key, a frame with the value.
pub const GET: Shape = Shape {
    request: 28,
    answer: 112,
};
/// A put: a frame with key and value, a short answer.
pub const PUT: Shape = Shape {
    request: 146,
    answer: 14,
};

/// How a side waits for bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It sleeps in `read`.
    Block,
    /// It asks again and again.
    Spin,
}

/// The server: a thread a connection, each answering every request of the shape that the connection begins with.
pub fn serve(path: &Path) -> Result<()> {
    let listener = UnixListener::bind(path)?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // The client's end is this connection's.
            std::thread::spawn(move || drop(answer_all(stream)));
        }
    });
    println!("listening");
    wait_for_end_of_input()
}

fn answer_all(mut stream: UnixStream) -> io::Result<()> {
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let shape = Shape {
        request: word(0),
        answer: word(4),
    };
    let wait = if word(8) == 0 {
        Wait::Block
    } else {
        Wait::Spin
    };
    stream.set_nonblocking(wait == Wait::Spin)?;
    let mut request = vec![0; shape.request as usize];
    let answer = vec![0; shape.answer as usize];
    loop {
        receive(&stream, &mut request, wait)?;
        stream.write_all(&answer)?;
    }
}

fn receive(mut stream: &UnixStream, message: &mut [u8], wait: Wait) -> io::Result<()> {
    if wait == Wait::Block {
        return stream.read_exact(message);
    }
    let mut got = 0;
    while got < message.len() {
        match stream.read(&mut message[got..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => got += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::hint::spin_loop(),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A client's connection to a server in another process.
pub struct Floor {
    stream: UnixStream,
    request: Vec<u8>,
    answer: Vec<u8>,
    wait: Wait,
}

impl Floor {
    /// Starts a server at `path`.
    pub fn start(path: &Path) -> Result<Child> {
        let mut server = Child::myself(&["--role", "echo", argument(path)?])?;
        server.hear()?;
        Ok(server)
    }

    pub fn connect(path: &Path, shape: Shape, wait: Wait) -> Result<Floor> {
        let mut stream = UnixStream::connect(path)?;
        let spin = u32::from(wait == Wait::Spin);
        let head = [shape.request, shape.answer, spin].map(u32::to_le_bytes);
        stream.write_all(head.as_flattened())?;
        stream.set_nonblocking(wait == Wait::Spin)?;
        Ok(Floor {
            stream,
            request: vec![1; shape.request as usize],
            answer: vec![0; shape.answer as usize],
            wait,
        })
    }

    /// One request and its answer.
    pub fn round_trip(&mut self) -> Result<()> {
        self.stream.write_all(&self.request)?;
        receive(&self.stream, &mut self.answer, self.wait)?;
        Ok(())
    }
}
