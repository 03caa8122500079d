//! What a stream does on every system.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::sync::mpsc;
use std::time::Duration;

use crate::{BorrowedHandle, Hangup, MAX_HANDLES, Stream, Waker};

fn borrow(file: &File) -> BorrowedHandle<'_> {
    #[cfg(unix)]
    {
        std::os::fd::AsFd::as_fd(file)
    }
    #[cfg(windows)]
    {
        std::os::windows::io::AsHandle::as_handle(file)
    }
}

#[test]
fn bytes_go_both_ways_and_dropping_one_end_ends_the_other() {
    let (one, two) = Stream::pair().unwrap();
    (&one).write_all(b"ping").unwrap();
    let mut heard = [0; 4];
    (&two).read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"ping");
    drop(two);
    assert_eq!((&one).read(&mut heard).unwrap(), 0);
    assert_eq!(
        (&one).write(b"x").unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
}

#[test]
fn handles_without_bytes_or_too_many_of_them_are_not_sent() {
    let (one, _two) = Stream::pair().unwrap();
    let file = tempfile::tempfile().unwrap();
    let many = vec![borrow(&file); MAX_HANDLES + 1];
    assert_eq!(
        one.send_handles(b"", &many[..1]).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        one.send_handles(b"x", &many).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    one.send_handles(b"x", &many[..MAX_HANDLES]).unwrap();
    one.send_handles(b"", &[]).unwrap();
}

#[test]
fn a_large_message_with_handles_arrives_whole() {
    let (one, two) = Stream::pair().unwrap();
    let file = tempfile::tempfile().unwrap();
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| one.send_handles(&sent, &[borrow(&file)]).unwrap());
        let mut got = vec![0; sent.len()];
        let (mut at, mut handles) = (0, 0);
        while at < got.len() {
            let (read, some) = two.recv_handles(&mut got[at..]).unwrap();
            assert_ne!(read, 0);
            at += read;
            handles += some.len();
        }
        assert!(got == sent);
        assert_eq!(handles, 1);
    });
}

#[test]
fn data_does_not_end_a_wait_for_the_hangup_but_a_shutdown_does() {
    let (one, two) = Stream::pair().unwrap();
    let waker = Waker::new().unwrap();
    (&two).write_all(b"unread").unwrap();
    waker.wake();
    assert_eq!(one.wait_hangup(&waker).unwrap(), Hangup::Woken);
    assert_eq!(
        one.wait_hangup(&waker).unwrap(),
        Hangup::Woken,
        "it stays woken"
    );
    waker.reset();
    two.shutdown().unwrap();
    assert_eq!(one.wait_hangup(&waker).unwrap(), Hangup::PeerGone);
    let mut heard = [0; 16];
    assert_eq!(
        (&one).read(&mut heard).unwrap(),
        6,
        "what was sent before is still there"
    );
}

#[test]
fn bounded_wait_for_the_hangup_ends_by_each_of_its_causes() {
    let (one, two) = Stream::pair().unwrap();
    let waker = Waker::new().unwrap();
    let (short, long) = (Duration::from_millis(2), Duration::MAX);
    (&two).write_all(b"unread").unwrap();
    for timeout in [Duration::ZERO, short] {
        assert_eq!(one.wait_hangup_within(&waker, timeout).unwrap(), None);
    }
    std::thread::scope(|scope| {
        scope.spawn(|| waker.wake());
        let woken = one.wait_hangup_within(&waker, long).unwrap();
        assert_eq!(woken, Some(Hangup::Woken));
    });
    waker.reset();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(two));
        let gone = one.wait_hangup_within(&waker, long).unwrap();
        assert_eq!(gone, Some(Hangup::PeerGone));
    });
    waker.wake();
    let both = one.wait_hangup_within(&waker, Duration::ZERO).unwrap();
    assert_eq!(both, Some(Hangup::PeerGone));
}

#[test]
fn hangup_is_seen_while_another_thread_reads() {
    let (one, two) = Stream::pair().unwrap();
    let waker = Waker::new().unwrap();
    let (heard, hears) = mpsc::channel();
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| one.wait_hangup(&waker).unwrap());
        scope.spawn(|| {
            let mut buf = [0; 1];
            while (&one).read(&mut buf).unwrap() == 1 {
                heard.send(buf[0]).unwrap();
            }
        });
        for n in 0..100 {
            (&two).write_all(&[n]).unwrap();
            assert_eq!(hears.recv().unwrap(), n);
        }
        assert!(!watcher.is_finished());
        drop(two);
        assert_eq!(watcher.join().unwrap(), Hangup::PeerGone);
    });
}

#[test]
fn one_waker_ends_the_waits_of_many_threads() {
    let (one, _two) = Stream::pair().unwrap();
    let waker = Waker::new().unwrap();
    std::thread::scope(|scope| {
        let waits: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| one.wait_hangup(&waker)))
            .collect();
        waker.wake();
        for wait in waits {
            assert_eq!(wait.join().unwrap().unwrap(), Hangup::Woken);
        }
    });
}

#[test]
fn wait_readable_tells_data_and_the_end_from_nothing() {
    let (one, two) = Stream::pair().unwrap();
    assert!(!one.wait_readable(Some(Duration::ZERO)).unwrap());
    assert!(!one.wait_readable(Some(Duration::from_millis(1))).unwrap());
    (&two).write_all(b"x").unwrap();
    assert!(one.wait_readable(None).unwrap());
    assert!(one.wait_readable(Some(Duration::MAX)).unwrap());
    (&one).read_exact(&mut [0]).unwrap();
    drop(two);
    assert!(one.wait_readable(None).unwrap());
}

#[test]
fn timeouts_bound_reads_and_writes() {
    let (one, _two) = Stream::pair().unwrap();
    one.set_read_timeout(Some(Duration::ZERO)).unwrap();
    assert_eq!(
        (&one).read(&mut [0]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    one.set_write_timeout(Some(Duration::from_millis(1)))
        .unwrap();
    let endless = (&one).write_all(&vec![0; 64 << 20]).unwrap_err();
    assert_eq!(endless.kind(), ErrorKind::WouldBlock);
}
