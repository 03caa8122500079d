//! One HTTP question to a server on loopback: what the readiness of etcd is asked by.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::PATIENCE;

/// Asks `path` at a port of loopback, with a body as `POST` and without one as `GET`; the answer's JSON.
///
/// # Errors
/// Nobody listens, the answer is cut off, or it is not of status 200.
pub(super) fn ask(port: u16, path: &str, body: Option<&Value>) -> io::Result<Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let head = match body {
        Some(_) => "POST",
        None => "GET",
    };
    let body = body.map(Value::to_string).unwrap_or_default();
    // HTTP/1.0: the answer is not in chunks, and its end is the connection's.
    write!(
        stream,
        "{head} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let refused = || io::Error::other(format!("{path} was answered by {answer:?}"));
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(refused)?;
    match head.split(' ').nth(1) {
        Some("200") => serde_json::from_str(body).map_err(|_| refused()),
        _ => Err(refused()),
    }
}
