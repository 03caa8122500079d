//! The reference of an open beside a leader: a connection to a bare unix socket whose server starts a thread for it, and one answer.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use level_party_bench::{Child, Result};

use crate::roles::wait_for_end_of_input;
use crate::settings::argument;

/// Bytes of a greeting and of its answer, about.
const MESSAGE: usize = 100;

/// The server: a thread a connection, which answers once.
pub fn serve(path: &Path) -> Result<()> {
    let listener = UnixListener::bind(path)?;
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut message = [0; MESSAGE];
                // The client's end is this connection's.
                let _ = stream
                    .read_exact(&mut message)
                    .and_then(|()| stream.write_all(&message));
            });
        }
    });
    println!("listening");
    wait_for_end_of_input()
}

/// Starts a server at `path`.
pub fn start(path: &Path) -> Result<Child> {
    let mut server = Child::myself(&["--role", "echo", argument(path)?])?;
    server.hear()?;
    Ok(server)
}

/// Connects to it, and has an answer.
pub fn connect(path: &Path) -> Result<()> {
    let mut stream = UnixStream::connect(path)?;
    let mut message = [1; MESSAGE];
    stream.write_all(&message)?;
    Ok(stream.read_exact(&mut message)?)
}
