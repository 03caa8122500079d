use std::io::{ErrorKind, Seek, SeekFrom};

use super::*;

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
