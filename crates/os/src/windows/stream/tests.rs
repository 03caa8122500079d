use std::fs::File;

use super::*;

#[test]
fn the_peer_of_a_pair_is_this_very_process() {
    let (one, _two) = Stream::pair().unwrap();
    let pid = Some(std::process::id());
    assert_eq!(one.check_peer().unwrap(), Peer { pid });
}

#[test]
fn handles_arrive_with_their_bytes_and_plain_bytes_are_none() {
    let (one, two) = Stream::pair().unwrap();
    let tmp = tempfile::tempdir().unwrap();
    let dir = DataDir::open(tmp.path()).unwrap();
    let file = tempfile::tempfile().unwrap();
    one.send_handles(b"two files", &[dir.as_handle(), file.as_handle()])
        .unwrap();
    let mut buf = [0; 4];
    let (read, handles) = two.recv_handles(&mut buf).unwrap();
    assert_eq!(&buf[..read], b"two ");
    let identity = crate::DirIdentity::of(&handles[0]).unwrap();
    assert_eq!((identity, handles.len()), (dir.identity(), 2));
    let mut buf = [0; 64];
    let (read, more) = two.recv_handles(&mut buf).unwrap();
    assert_eq!((&buf[..read], more.len()), (&b"files"[..], 0));
    (&one).write_all(b"no block of handles").unwrap();
    let refused = two.recv_handles(&mut buf).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    drop(one);
    assert_eq!((&two).read(&mut buf).unwrap(), 7, "what came after it");
    assert_eq!(two.recv_handles(&mut buf).unwrap().0, 0);
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
}

#[test]
fn written_bytes_are_read_after_the_end() {
    let (one, two) = Stream::pair().unwrap();
    let sent = vec![7; 3 * WRITE_BYTES];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (&one).write_all(&sent).unwrap();
            one.shutdown().unwrap();
            assert!((&one).write(b"x").is_err());
            assert_eq!((&one).read(&mut [0]).unwrap(), 0);
        });
        let mut got = Vec::new();
        (&two).read_to_end(&mut got).unwrap();
        assert!(got == sent);
    });
}

#[test]
fn a_read_that_a_thread_began_outlives_the_thread() {
    let (one, two) = Stream::pair().unwrap();
    (&two).write_all(b"a").unwrap();
    std::thread::scope(|scope| {
        // It takes all that came, so the next read is begun by it.
        let reader = scope.spawn(|| (&one).read(&mut [0; 8]).unwrap());
        assert_eq!(reader.join().unwrap(), 1);
    });
    (&two).write_all(b"b").unwrap();
    let mut byte = [0; 8];
    assert_eq!((&one).read(&mut byte).unwrap(), 1);
    assert_eq!(byte[0], b'b');
}

#[test]
fn a_full_pipe_takes_no_more_until_it_is_read() {
    let (one, two) = Stream::pair().unwrap();
    let bytes: Vec<u8> = (0..1_u32 << 20).map(|n| (n % 251) as u8).collect();
    let mut sent = 0;
    one.set_write_timeout(Some(Duration::from_millis(1)))
        .unwrap();
    let full = loop {
        match (&one).write(&bytes[sent..]) {
            Ok(count) => sent += count,
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
    assert!(sent < bytes.len());
    let mut got = vec![0; sent];
    (&two).read_exact(&mut got).unwrap();
    assert!(got == bytes[..sent]);
    one.set_write_timeout(None).unwrap();
    (&one).write_all(b"more").unwrap();
}

#[test]
fn a_file_is_no_pipe() {
    let file = File::open(std::env::current_exe().unwrap()).unwrap();
    assert!(!is_ended(file.as_handle()));
}
