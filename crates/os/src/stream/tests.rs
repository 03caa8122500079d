use std::io::{ErrorKind, Seek, SeekFrom};
use std::sync::mpsc;

use super::*;
use crate::handles::MAX_HANDLES;

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
fn the_peer_of_a_pair_is_this_very_process() {
    let (one, _two) = Stream::pair().unwrap();
    let peer = one.check_peer().unwrap();
    assert_eq!(
        peer,
        Peer {
            uid: crate::process::effective_uid(),
            pid: Some(std::process::id())
        }
    );
}

#[test]
fn handles_arrive_open_and_close_on_exec_with_their_bytes() {
    let (one, two) = Stream::pair().unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"inside").unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    let waker = Waker::new().unwrap();
    one.send_handles(b"two files", &[file.as_fd(), waker.poll_fd()])
        .unwrap();
    let mut buf = [0; 64];
    let (read, handles) = two.recv_handles(&mut buf).unwrap();
    assert_eq!(&buf[..read], b"two files");
    assert_eq!(handles.len(), 2);
    for handle in &handles {
        let flags = rustix::io::fcntl_getfd(handle).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }
    let mut passed = std::fs::File::from(handles.into_iter().next().unwrap());
    let mut content = String::new();
    passed.read_to_string(&mut content).unwrap();
    assert_eq!(content, "inside");
    drop(one);
    assert_eq!(two.recv_handles(&mut buf).unwrap().0, 0);
}

#[test]
fn handles_without_bytes_or_too_many_of_them_are_not_sent() {
    let (one, _two) = Stream::pair().unwrap();
    let file = tempfile::tempfile().unwrap();
    let many = vec![file.as_fd(); MAX_HANDLES + 1];
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
fn more_handles_than_agreed_are_refused_and_closed() {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage};
    let (one, two) = Stream::pair().unwrap();
    // A pipe's end comes only when every copy of its write end is closed.
    let (read_end, write_end) = crate::waker::pipe().unwrap();
    let many = vec![write_end.as_fd(); 100];
    let mut space = vec![std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(100))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&many)));
    let bytes = [io::IoSlice::new(b"x")];
    rustix::net::sendmsg(&one, &bytes, &mut control, no_signal()).unwrap();
    let refused = two.recv_handles(&mut [0; 8]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidData);
    drop(many);
    drop(write_end);
    assert_eq!(rustix::io::read(&read_end, &mut [0; 8][..]).unwrap(), 0);
}

#[test]
fn a_large_message_with_handles_arrives_whole() {
    let (one, two) = Stream::pair().unwrap();
    let file = tempfile::tempfile().unwrap();
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| one.send_handles(&sent, &[file.as_fd()]).unwrap());
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
fn the_hangup_is_seen_while_another_thread_reads_the_same_stream() {
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

#[test]
fn shutdown_read_ends_our_reads_only() {
    let (one, two) = Stream::pair().unwrap();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| (&one).read(&mut [0; 8]));
        one.shutdown_read().unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), 0);
    });
    (&one).write_all(b"still").unwrap();
    let mut heard = [0; 5];
    (&two).read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"still");
    assert_eq!(
        (&two).write(b"x").unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
}

#[test]
fn a_wait_tells_input_room_and_waker_apart() {
    let (ours, theirs) = Stream::pair().unwrap();
    let waker = Waker::new().unwrap();
    let now = Some(Duration::ZERO);
    let none = ours.wait_ready(true, false, Some(&waker), now).unwrap();
    assert!(!none.read && !none.write && !none.woken);
    assert!(ours.wait_ready(true, true, None, now).unwrap().write);
    (&theirs).write_all(b"x").unwrap();
    let input = ours.wait_ready(true, false, None, None).unwrap();
    assert!(input.read && !input.write);
    let mut byte = [0; 8];
    assert_eq!(ours.try_read(&mut byte).unwrap(), 1);
    assert_eq!(
        ours.try_read(&mut byte).unwrap_err().kind(),
        io::ErrorKind::WouldBlock
    );
    waker.wake();
    assert!(waker.wait(None).unwrap());
    assert!(
        ours.wait_ready(true, false, Some(&waker), None)
            .unwrap()
            .woken
    );
    drop(theirs);
    assert!(ours.wait_ready(false, false, None, None).unwrap().read);
}
