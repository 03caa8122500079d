//! etcd with dead and stopped nodes and lost answers: each write once, no read that is wrong, and an answer in time.

use std::time::Duration;

use level_party_remote::{Call, ErrorKind, Start, Wait};
use level_party_testkit::{Etcd, Proxy, Wire};

use crate::open;
use crate::suite::{batch, call, changes, everything, get, now, op, write};

fn proxied(etcd: &Etcd) -> (Proxy, String) {
    let port = etcd.ports().next().expect("a node");
    let proxy = Proxy::start(([127, 0, 0, 1], port).into(), Wire::Http2);
    let url = format!("etcd://{}", proxy.address());
    (proxy, url)
}

#[test]
fn write_whose_answer_is_lost_is_made_once() {
    let etcd = Etcd::start(1);
    let (proxy, url) = proxied(&etcd);
    let (remote, other) = (open(&url), open(&etcd.url()));
    write(&*remote, &[op("n", Some("0"))]);
    let mut feed = now(other.feed(&call(), Start::Now, everything())).expect("a feed");
    let mut sequences = Vec::new();
    for n in 1..=20 {
        proxy.drop_next_answer();
        sequences.push(write(&*remote, &[op("n", Some(&n.to_string()))]));
    }
    assert_eq!(proxy.dropped(), 20);
    let told = changes(&mut *feed, 20);
    let values: Vec<String> = told.iter().filter_map(|change| change.2.clone()).collect();
    let expected: Vec<String> = (1..=20).map(|n| n.to_string()).collect();
    assert_eq!(values, expected);
    assert_eq!(
        told.iter().map(|change| change.0).collect::<Vec<u64>>(),
        sequences
    );
}

#[test]
fn lost_answer_to_a_conditional_write_is_found() {
    let etcd = Etcd::start(1);
    let (proxy, url) = proxied(&etcd);
    let remote = open(&url);
    write(&*remote, &[op("a", Some("0"))]);
    for n in 0..10 {
        let moment = now(remote.newest(&call())).expect("a moment");
        let held = now(remote.get(&call(), b"a", None))
            .expect("read")
            .map(|entry| entry.sequence);
        let mut conditional = batch(&[op("a", Some(&n.to_string()))]);
        conditional.conditions.keys.push((b"a".to_vec(), held));
        conditional.conditions.history = Some(moment.history);
        proxy.drop_next_answer();
        // Sent again, its condition does not hold, by its own doing.
        assert!(
            now(remote.write(&call(), conditional))
                .expect("answered")
                .is_some()
        );
        assert_eq!(get(&*remote, "a", None), Some(n.to_string()));
    }
}

#[test]
fn unanswered_write_is_unknown_and_the_next_one_is_behind_it() {
    let etcd = Etcd::start(1);
    let (proxy, url) = proxied(&etcd);
    let (remote, other) = (open(&url), open(&etcd.url()));
    write(&*remote, &[op("a", Some("0"))]);
    proxy.hold_answers();
    let soon = Call {
        deadline: std::time::Instant::now() + Duration::from_millis(300),
        wait: Wait::Thread,
        retry: true,
    };
    let error = now(remote.write(&soon, batch(&[op("a", Some("1"))]))).expect_err("no answer");
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    assert_eq!(
        get(&*other, "a", None).as_deref(),
        Some("1"),
        "the server has it"
    );
    proxy.cut();
    proxy.release();
    write(&*remote, &[op("b", Some("2"))]);
    assert_eq!(get(&*remote, "a", None).as_deref(), Some("1"));
    assert_eq!(get(&*remote, "b", None).as_deref(), Some("2"));
}

#[test]
fn unreachable_server_had_no_write() {
    let mut etcd = Etcd::start(1);
    let remote = open(&etcd.url());
    write(&*remote, &[op("a", Some("0"))]);
    etcd.kill(0);
    let soon = || Call {
        deadline: std::time::Instant::now() + Duration::from_millis(500),
        ..call()
    };
    // The connection's end may be seen only by the next question; from then on none is sent.
    let error = now(remote.get(&soon(), b"a", None)).expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    let error =
        now(remote.write(&soon(), batch(&[op("a", Some("1"))]))).expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    etcd.start_node(0);
    assert_eq!(get(&*remote, "a", None).as_deref(), Some("0"));
    write(&*remote, &[op("a", Some("2"))]);
    assert_eq!(get(&*remote, "a", None).as_deref(), Some("2"));
}

#[test]
fn session_that_etcd_lost_in_mid_write_is_outcome_unknown() {
    let etcd = Etcd::start(1);
    let (proxy, url) = proxied(&etcd);
    let remote = open(&url);
    write(&*remote, &[op("a", Some("0"))]);
    // Between two writes it is replaced silently.
    etcd.delete_prefix("level-party/s/");
    write(&*remote, &[op("a", Some("1"))]);
    proxy.hold_answers();
    std::thread::scope(|threads| {
        let writing = threads.spawn(|| now(remote.write(&call(), batch(&[op("a", Some("2"))]))));
        proxy.wait_for_held();
        etcd.delete_prefix("level-party/s/");
        proxy.cut();
        proxy.release();
        let error = writing.join().expect("answered").expect_err("nobody knows");
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    });
    write(&*remote, &[op("a", Some("3"))]);
    assert_eq!(get(&*remote, "a", None).as_deref(), Some("3"));
}

#[test]
fn feed_goes_on_over_cuts_and_a_killed_leader() {
    let mut etcd = Etcd::start(3);
    let remote = open(&etcd.url());
    let mut feed = now(remote.feed(&call(), Start::Now, everything())).expect("a feed");
    write(&*remote, &[op("a", Some("1"))]);
    assert_eq!(changes(&mut *feed, 1)[0].1, "a");
    let leader = etcd.leader(None);
    etcd.kill(leader);
    write(&*remote, &[op("b", Some("1"))]);
    assert_eq!(changes(&mut *feed, 1)[0].1, "b");
    etcd.start_node(leader);
    for node in 0..3 {
        etcd.kill(node);
        write(&*remote, &[op("c", Some(&node.to_string()))]);
        assert_eq!(changes(&mut *feed, 1)[0].2, Some(node.to_string()));
        etcd.start_node(node);
    }
}

#[test]
fn calls_go_on_while_the_leader_is_stopped() {
    let etcd = Etcd::start(3);
    let remote = open(&etcd.url());
    write(&*remote, &[op("a", Some("0"))]);
    for n in 1..=2 {
        let leader = etcd.leader(None);
        etcd.stop(leader);
        write(&*remote, &[op("a", Some(&n.to_string()))]);
        assert_eq!(get(&*remote, "a", None), Some(n.to_string()));
        etcd.resume(leader);
    }
}

#[test]
fn restored_backup_begins_another_history() {
    let mut etcd = Etcd::start(1);
    let remote = open(&etcd.url());
    write(&*remote, &[op("a", Some("1"))]);
    let backup = etcd.save_backup();
    let moment = now(remote.pin(&call())).expect("pinned");
    write(&*remote, &[op("a", Some("2"))]);
    let mut feed = now(remote.feed(&call(), Start::Now, everything())).expect("a feed");
    let position = feed.through();
    let held = now(remote.get(&call(), b"a", None))
        .expect("read")
        .map(|entry| entry.sequence);
    etcd.restore_backup(&backup);
    assert_eq!(
        get(&*remote, "a", None).as_deref(),
        Some("1"),
        "the write is gone"
    );
    let now_there = now(remote.newest(&call())).expect("a moment");
    assert_ne!(now_there.history, moment.history);
    assert!(now_there.history.number > moment.history.number);
    let error = now(remote.get(&call(), b"a", Some(moment))).expect_err("of another history");
    assert_eq!(error.kind(), ErrorKind::SnapshotLost);
    let mut stale = batch(&[op("a", Some("3"))]);
    stale.conditions.keys.push((b"a".to_vec(), held));
    stale.conditions.history = Some(moment.history);
    assert_eq!(now(remote.write(&call(), stale)).expect("answered"), None);
    let told = feed.next(call().deadline).expect("told").expect("a gap");
    assert_eq!(told.gap.map(|gap| gap.from), Some(position.sequence + 1));
    // A position without its history is known to be of another one, however much is written.
    let bare = Start::Sequence(position.sequence);
    let mut again = now(remote.feed(&call(), bare, everything())).expect("a feed");
    let told = again.next(call().deadline).expect("told").expect("a gap");
    assert!(
        told.gap.is_some_and(|gap| gap.resume > position.sequence),
        "{told:?}"
    );
    write(&*remote, &[op("a", Some("4"))]);
    assert_eq!(changes(&mut *feed, 1)[0].2.as_deref(), Some("4"));
}

#[test]
fn restored_backup_is_found_by_the_session_alone() {
    let mut etcd = Etcd::start(1);
    let remote = open(&etcd.url());
    write(&*remote, &[op("a", Some("1"))]);
    let backup = etcd.save_backup();
    let moment = now(remote.pin(&call())).expect("pinned");
    write(&*remote, &[op("a", Some("2"))]);
    etcd.restore_backup_of_the_same_name(&backup);
    // Others have written meanwhile: the revision is no lower than before.
    for n in 0..5 {
        etcd.put("other", &n.to_string());
    }
    write(&*remote, &[op("b", Some("3"))]);
    assert_eq!(get(&*remote, "a", None).as_deref(), Some("1"));
    let error = now(remote.get(&call(), b"a", Some(moment))).expect_err("of another history");
    assert_eq!(error.kind(), ErrorKind::SnapshotLost);
}
