use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::{Proxy, Wire};
use crate::PATIENCE;

/// A server that answers each byte with the next one, and tells the test what it was asked.
fn server() -> (std::net::SocketAddr, Receiver<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    let (asked, seen) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, asked) = (stream.expect("a client"), asked.clone());
            std::thread::spawn(move || {
                let mut byte = [0];
                while matches!(stream.read(&mut byte), Ok(1)) {
                    asked.send(byte[0]).expect("the test goes on");
                    if stream.write_all(&[byte[0] + 1]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, seen)
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    stream
}

/// What the server answers, `None` where the connection was cut.
fn ask(stream: &mut TcpStream, byte: u8) -> Option<u8> {
    stream.write_all(&[byte]).ok()?;
    let mut answer = [0];
    stream.read_exact(&mut answer).ok()?;
    Some(answer[0])
}

#[test]
fn bytes_pass_both_ways_and_the_end_too() {
    let (address, _seen) = server();
    let proxy = Proxy::start(address, Wire::AnyBytes);
    let mut client = connect(&proxy);
    assert_eq!(ask(&mut client, 1), Some(2));
    assert_eq!(ask(&mut client, 7), Some(8));
    assert_eq!(proxy.accepted(), 1);
    client.shutdown(std::net::Shutdown::Write).expect("open");
    assert_eq!(client.read(&mut [0]).expect("an end"), 0);
}

#[test]
fn dropped_answer_reached_the_server_once() {
    let (address, seen) = server();
    let proxy = Proxy::start(address, Wire::AnyBytes);
    let mut client = connect(&proxy);
    assert_eq!(ask(&mut client, 1), Some(2));
    proxy.drop_next_answer();
    assert_eq!(ask(&mut client, 5), None);
    proxy.wait_for_dropped(1);
    let mut next = connect(&proxy);
    assert_eq!(ask(&mut next, 9), Some(10));
    let all: Vec<u8> = seen.try_iter().collect();
    assert_eq!(all, [1, 5, 9]);
    assert_eq!(proxy.dropped(), 1);
}

#[test]
fn held_answer_is_delivered_by_release() {
    let (address, seen) = server();
    let proxy = Proxy::start(address, Wire::AnyBytes);
    let mut client = connect(&proxy);
    proxy.hold_answers();
    client.write_all(&[3]).expect("open");
    proxy.wait_for_held();
    assert_eq!(seen.try_iter().collect::<Vec<u8>>(), [3]);
    proxy.release();
    let mut answer = [0];
    client.read_exact(&mut answer).expect("it was held only");
    assert_eq!(answer, [4]);
}

#[test]
fn held_answer_is_lost_by_a_cut() {
    let (address, seen) = server();
    let proxy = Proxy::start(address, Wire::AnyBytes);
    let mut client = connect(&proxy);
    proxy.hold_answers();
    client.write_all(&[3]).expect("open");
    proxy.wait_for_held();
    proxy.cut();
    assert!(client.read_exact(&mut [0]).is_err());
    proxy.release();
    assert_eq!(ask(&mut connect(&proxy), 6), Some(7));
    assert_eq!(seen.try_iter().collect::<Vec<u8>>(), [3, 6]);
}

#[test]
fn refused_connections_end_without_an_answer() {
    let (address, seen) = server();
    let proxy = Proxy::start(address, Wire::AnyBytes);
    proxy.refuse(true);
    assert_eq!(ask(&mut connect(&proxy), 1), None);
    proxy.refuse(false);
    assert_eq!(ask(&mut connect(&proxy), 2), Some(3));
    assert_eq!(seen.try_iter().collect::<Vec<u8>>(), [2]);
}

#[test]
fn delayed_bytes_come_whole_and_in_order() {
    let (address, _seen) = server();
    let proxy = Proxy::start(address, Wire::AnyBytes);
    proxy.delay(Duration::from_millis(2));
    let mut client = connect(&proxy);
    client.write_all(&[1, 10, 20, 30]).expect("open");
    let mut answers = [0; 4];
    client.read_exact(&mut answers).expect("late, but whole");
    assert_eq!(answers, [2, 11, 21, 31]);
}

#[test]
fn server_that_is_away_is_a_cut() {
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = gone.local_addr().expect("its address");
    drop(gone);
    let proxy = Proxy::start(address, Wire::AnyBytes);
    assert_eq!(ask(&mut connect(&proxy), 1), None);
}
