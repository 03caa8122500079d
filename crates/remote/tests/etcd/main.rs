//! The suite over etcd, and what only etcd has: compacted history, limits, nodes that die.

#[path = "../suite/mod.rs"]
mod suite;

mod faults;
mod threads;

use std::sync::Arc;
use std::time::{Duration, Instant};

use level_party_remote::address::Address;
use level_party_remote::{ErrorKind, Remote, Settings, Start, etcd};
use level_party_testkit::Etcd;

use suite::{
    batch, call, changes, everything, get, now, op, range, scan_of, settings, walk, write,
};

fn try_open(url: &str, settings: &Settings) -> level_party_remote::Result<Arc<dyn Remote>> {
    etcd::open(&Address::parse(url).expect("a URL"), settings)
}

fn open(url: &str) -> Arc<dyn Remote> {
    try_open(url, &settings()).expect("opened")
}

/// The file with the certificate of its authority.
fn authority_of(etcd: &Etcd) -> String {
    let file = etcd.authority().expect("it speaks TLS");
    file.display().to_string()
}

#[test]
fn suite_holds_over_three_nodes() {
    let etcd = Etcd::start(3);
    let remote = open(&etcd.url());
    assert!(remote.warnings().is_empty(), "{:?}", remote.warnings());
    suite::run(&remote);
    let status = now(remote.status(&call())).expect("a status");
    assert!(status.server.starts_with("etcd 3."), "{}", status.server);
    assert_eq!(status.standby, level_party_remote::Standby::Synchronous);
}

#[test]
fn tls_checks_the_certificate() {
    let etcd = Etcd::start_with(1, &[], true);
    let authority = authority_of(&etcd);
    let remote = open(&format!("{}?cacert={authority}", etcd.url()));
    write(&*remote, &[op("a", Some("1"))]);
    assert_eq!(get(&*remote, "a", None).as_deref(), Some("1"));
    let soon = Settings {
        open_timeout: Duration::from_secs(2),
        ..settings()
    };
    let plain = try_open(&etcd.url(), &soon)
        .err()
        .expect("it speaks TLS alone");
    assert_eq!(plain.kind(), ErrorKind::Timeout, "{plain}");
}

#[test]
fn refused_certificates_end_an_opening_without_waiting() {
    let etcd = Etcd::start_with(1, &[], true);
    let authority = authority_of(&etcd);
    let port = etcd.ports().next().expect("a node");
    // If it waited, it would be as long as no test takes.
    let patient = Settings {
        open_timeout: Duration::from_secs(100_000),
        ..settings()
    };
    let error = |url: &str| try_open(url, &patient).err().expect("not let in");
    let untrusted = error(&format!("{0},127.0.0.1:{port}?tls=on", etcd.url()));
    assert_eq!(untrusted.kind(), ErrorKind::InvalidArgument, "{untrusted}");
    assert!(untrusted.message().contains("cacert="), "{untrusted}");
    // An address of this host that the certificate does not have.
    let misnamed = error(&format!("etcd://0.0.0.0:{port}?cacert={authority}"));
    assert_eq!(misnamed.kind(), ErrorKind::InvalidArgument, "{misnamed}");
    assert!(
        misnamed.message().contains("not for the name"),
        "{misnamed}"
    );
    // One node is as it must be, and another is down.
    let down = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let down = down.local_addr().expect("its number").port();
    let nodes = format!("0.0.0.0:{port},127.0.0.1:{down},127.0.0.1:{port}");
    let remote = open(&format!("etcd://{nodes}?cacert={authority}"));
    write(&*remote, &[op("a", Some("1"))]);
    assert_eq!(get(&*remote, "a", None).as_deref(), Some("1"));
}

#[test]
fn databases_of_two_prefixes_do_not_meet() {
    let etcd = Etcd::start(1);
    let (one, two) = (
        open(&format!("{}/one", etcd.url())),
        open(&format!("{}/one/two", etcd.url())),
    );
    assert_eq!(one.warnings().len(), 1, "one node is told");
    write(&*one, &[op("a", Some("1"))]);
    write(&*two, &[op("a", Some("2"))]);
    assert_eq!(get(&*one, "a", None).as_deref(), Some("1"));
    assert_eq!(get(&*two, "a", None).as_deref(), Some("2"));
    for remote in [one, two] {
        assert_eq!(walk(&*remote, scan_of(everything(), 9), None).len(), 1);
    }
    let error = try_open(&format!("{}/one/k", etcd.url()), &settings())
        .err()
        .expect("within the first");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn open_says_whether_there_is_a_database() {
    let etcd = Etcd::start(1);
    let none = Settings {
        create_if_missing: false,
        ..settings()
    };
    let new = Settings {
        error_if_exists: true,
        ..settings()
    };
    let kind = |settings: &Settings| {
        try_open(&etcd.url(), settings)
            .err()
            .map(|error| error.kind())
    };
    assert_eq!(kind(&none), Some(ErrorKind::NotFound));
    assert_eq!(kind(&new), None);
    assert_eq!(kind(&new), Some(ErrorKind::AlreadyExists));
    assert_eq!(kind(&none), None);
}

#[test]
fn two_handles_see_each_other_and_one_history() {
    let etcd = Etcd::start(1);
    let (one, two) = (open(&etcd.url()), open(&etcd.url()));
    let mut feed = now(two.feed(&call(), Start::Now, everything())).expect("a feed");
    let sequence = write(&*one, &[op("a", Some("1"))]);
    assert_eq!(get(&*two, "a", None).as_deref(), Some("1"));
    assert_eq!(
        changes(&mut *feed, 1),
        [(sequence, "a".into(), Some("1".into()))]
    );
    let moment = now(one.pin(&call())).expect("pinned");
    write(&*two, &[op("a", Some("2"))]);
    assert_eq!(get(&*two, "a", Some(moment)).as_deref(), Some("1"));
}

/// etcd 3.4.23 tells nothing of a range without changes; 3.4.25 and 3.5.8 do.
#[test]
fn quiet_feed_resumes_behind_a_compaction_where_etcd_tells_progress() {
    let etcd = Etcd::start(1);
    let remote = open(&etcd.url());
    write(&*remote, &[op("b", Some("1"))]);
    let quiet = || range("a", "b");
    let feed = |from| now(remote.feed(&call(), from, quiet())).expect("a feed");
    let mut first = feed(Start::Now);
    etcd.put("other", "1");
    write(&*remote, &[op("b", Some("2"))]);
    let moment = now(remote.newest(&call())).expect("a moment");
    let status = now(remote.status(&call())).expect("a status");
    let tells = !status.server.starts_with("etcd 3.4.");
    while tells && first.through().sequence < moment.sequence {
        let told = first
            .next(call().deadline)
            .expect("it lives")
            .expect("progress");
        assert!(told.gap.is_none() && told.changes.is_empty(), "{told:?}");
    }
    let position = first.through();
    drop(first);
    etcd.put("other", "2");
    etcd.compact(etcd.revision() - 1);
    let mut resumed = feed(Start::Moment(position));
    if !tells {
        let told = resumed.next(call().deadline).expect("it lives");
        assert!(told.expect("told").gap.is_some());
    }
    let sequence = write(&*remote, &[op("a", Some("1"))]);
    assert_eq!(
        changes(&mut *resumed, 1),
        [(sequence, "a".into(), Some("1".into()))]
    );
}

#[test]
fn tick_brings_a_quiet_feed_up_to_the_newest_moment() {
    let etcd = Etcd::start(1);
    let (one, two) = (open(&etcd.url()), open(&etcd.url()));
    let mut feed = now(two.feed(&call(), Start::Now, everything())).expect("a feed");
    // Of others: the feed is told nothing of it.
    etcd.put("other", "1");
    let moment = now(one.newest(&call())).expect("a moment");
    assert!(feed.through().sequence < moment.sequence);
    now(one.tick(&call())).expect("put");
    while feed.through().sequence < moment.sequence {
        let told = feed.next(call().deadline).expect("it lives");
        let told = told.expect("it is told");
        assert!(told.gap.is_none() && told.changes.is_empty(), "{told:?}");
    }
    let sequence = write(&*one, &[op("a", Some("1"))]);
    assert_eq!(
        changes(&mut *feed, 1),
        [(sequence, "a".into(), Some("1".into()))]
    );
    assert_eq!(walk(&*two, scan_of(everything(), 9), None).len(), 1);
}

#[test]
fn compacted_moments_are_lost_and_feeds_have_a_gap() {
    let etcd = Etcd::start(1);
    let remote = open(&etcd.url());
    for n in 0..10 {
        write(&*remote, &[op(&format!("c/{n}"), Some("1"))]);
    }
    let moment = now(remote.pin(&call())).expect("pinned");
    let first = now(remote.scan(&call(), scan_of(range("c/", "c0"), 3), None)).expect("a chunk");
    let old = first.pinned.expect("more is left");
    write(&*remote, &[op("c/0", None), op("d", Some("1"))]);
    write(&*remote, &[op("d", Some("2"))]);
    etcd.compact(etcd.revision());
    let kind = |error: level_party_remote::Error| error.kind();
    assert_eq!(
        now(remote.get(&call(), b"c/1", Some(moment))).map_err(kind),
        Err(ErrorKind::SnapshotLost)
    );
    let rest = now(remote.scan(&call(), scan_of(range("c/3", "c0"), 3), Some(old)));
    assert_eq!(rest.map_err(kind), Err(ErrorKind::SnapshotLost));
    assert_eq!(get(&*remote, "d", None).as_deref(), Some("2"));
    let mut feed = now(remote.feed(&call(), Start::Moment(moment), everything())).expect("a feed");
    let gap = feed
        .next(call().deadline)
        .expect("told")
        .expect("a gap")
        .gap
        .expect("a gap");
    assert!(
        gap.from == moment.sequence + 1 && gap.resume > gap.from,
        "{gap:?}"
    );
    let after = write(&*remote, &[op("e", Some("1"))]);
    assert!(after >= gap.resume);
    assert_eq!(
        changes(&mut *feed, 1),
        [(after, "e".into(), Some("1".into()))]
    );
    let mut beginning = now(remote.feed(&call(), Start::Beginning, everything())).expect("a feed");
    assert_eq!(changes(&mut *beginning, 1)[0].1, "e");
}

#[test]
fn writes_over_a_limit_are_refused_and_name_it() {
    let etcd = Etcd::start(1);
    let remote = open(&etcd.url());
    let refused = |write: level_party_remote::Write| {
        let error = now(remote.write(&call(), write)).expect_err("over a limit");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        error.message().to_owned()
    };
    let ops: Vec<_> = (0..128).map(|n| op(&n.to_string(), Some("1"))).collect();
    assert!(refused(batch(&ops)).contains("127"));
    let large = vec![(b"a".to_vec(), Some(vec![0; 3 << 19]))];
    assert!(refused(batch(&large)).contains("bytes"));
    let moment = now(remote.newest(&call())).expect("a moment");
    let mut conditional = batch(&[op("a", Some("1"))]);
    conditional.conditions.keys = (0..126)
        .map(|n| (n.to_string().into_bytes(), None))
        .collect();
    conditional.conditions.history = Some(moment.history);
    assert!(refused(conditional.clone()).contains("125"));
    conditional.conditions.keys.pop();
    assert!(
        now(remote.write(&call(), conditional))
            .expect("written")
            .is_some()
    );
    // A repeated key is one operation.
    let same: Vec<_> = (0..500).map(|n| op("same", Some(&n.to_string()))).collect();
    write(&*remote, &same);
    assert_eq!(get(&*remote, "same", None).as_deref(), Some("499"));
}

/// Long enough that chunks are asked for in parts of the range (src/etcd/steps.rs), with gaps.
#[test]
fn long_scan_tells_each_entry_once() {
    let etcd = Etcd::start(1);
    let remote = open(&etcd.url());
    let keys: Vec<String> = (0..16_000)
        .map(|n| format!("{}/{:05}", n / 3000 * 7, n % 3000))
        .collect();
    for part in keys.chunks(100) {
        let ops: Vec<_> = part.iter().map(|key| op(key, Some("v"))).collect();
        write(&*remote, &ops);
    }
    let moment = now(remote.pin(&call())).expect("pinned");
    write(&*remote, &[op("0/00000", None), op("35/00999x", Some("v"))]);
    let mut wanted = keys;
    wanted.sort();
    for reverse in [false, true] {
        let scan = level_party_remote::Scan {
            reverse,
            ..scan_of(everything(), 700)
        };
        let walked = walk(&*remote, scan, Some(moment));
        let told: Vec<String> = walked.into_iter().map(|(key, _)| key).collect();
        assert!(told == wanted, "reverse: {reverse}, {} entries", told.len());
        wanted.reverse();
    }
    remote.unpin(moment);
}

#[test]
fn moved_and_filled_databases_take_only_whose_writes_they_may() {
    let etcd = Etcd::start(1);
    suite::service_states(|settings| try_open(&etcd.url(), settings));
}

#[test]
fn closed_remote_answers_nothing_more() {
    let etcd = Etcd::start(1);
    let remote = open(&etcd.url());
    write(&*remote, &[op("a", Some("1"))]);
    remote.close();
    let kind = |error: level_party_remote::Error| error.kind();
    assert_eq!(
        now(remote.get(&call(), b"a", None)).map_err(kind),
        Err(ErrorKind::Closed)
    );
    assert_eq!(
        now(remote.write(&call(), batch(&[op("a", None)]))).map_err(kind),
        Err(ErrorKind::Closed)
    );
    let sessions = etcd.count_prefix("level-party/s/");
    assert_eq!(sessions, 0, "it has left");
}

#[test]
fn no_server_is_a_timeout_that_names_it() {
    let soon = Settings {
        open_timeout: Duration::from_millis(300),
        ..settings()
    };
    let begun = Instant::now();
    let error = try_open("etcd://127.0.0.1:1", &soon)
        .err()
        .expect("nobody listens");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.message().contains("127.0.0.1:1"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn users_are_let_in_by_their_password() {
    let etcd = Etcd::start(1);
    etcd.enable_users("root", "sword/fish");
    let url = |password: &str| {
        etcd.url()
            .replace("etcd://", &format!("etcd://root:{password}@"))
    };
    let remote = open(&url("sword%2Ffish"));
    write(&*remote, &[op("a", Some("1"))]);
    assert_eq!(get(&*remote, "a", None).as_deref(), Some("1"));
    for wrong in [url("wrong"), etcd.url()] {
        let error = try_open(&wrong, &settings()).err().expect("not let in");
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        assert!(!format!("{error:?}").contains("wrong"), "{error:?}");
    }
}
