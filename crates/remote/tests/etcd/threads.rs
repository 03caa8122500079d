//! Calls of threads, which are made on connections that nobody drives between them.

use level_party_remote::Call;
use level_party_testkit::Etcd;

use crate::open;
use crate::suite::{call, everything, get, now, op, scan_of, walk, write};

#[test]
fn idle_connection_that_the_server_ended_fails_no_call() {
    let mut etcd = Etcd::start(1);
    let remote = open(&etcd.url());
    write(&*remote, &[op("a", Some("1"))]);
    etcd.kill(0);
    etcd.start_node(0);
    let once = Call {
        retry: false,
        ..call()
    };
    let read = now(remote.get(&once, b"a", None)).expect("not lost");
    assert_eq!(read.map(|entry| entry.value), Some(b"1".to_vec()));
    etcd.kill(0);
    etcd.start_node(0);
    write(&*remote, &[op("a", Some("2"))]);
    assert_eq!(get(&*remote, "a", None).as_deref(), Some("2"));
}

#[test]
fn more_threads_than_connections_read_and_write() {
    let etcd = Etcd::start(1);
    let remote = open(&etcd.url());
    std::thread::scope(|scope| {
        for thread in 0..30 {
            let remote = &*remote;
            scope.spawn(move || {
                for n in 0..10 {
                    let (key, value) = (format!("{thread:02}/{n}"), n.to_string());
                    write(remote, &[op(&key, Some(&value))]);
                    assert_eq!(get(remote, &key, None), Some(value));
                }
            });
        }
    });
    assert_eq!(walk(&*remote, scan_of(everything(), 1000), None).len(), 300);
}

#[test]
fn thread_of_somebodys_runtime_may_call_and_close() {
    let etcd = Etcd::start(1);
    let remote = open(&etcd.url());
    write(&*remote, &[op("a", Some("1"))]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async move {
        assert_eq!(get(&*remote, "a", None).as_deref(), Some("1"));
        write(&*remote, &[op("a", Some("2"))]);
        assert_eq!(get(&*remote, "a", None).as_deref(), Some("2"));
        drop(remote);
    });
    let remote = open(&etcd.url());
    assert_eq!(get(&*remote, "a", None).as_deref(), Some("2"));
}
