//! Histories of many processes on etcd while nodes are killed and stopped, answers are lost, and history is compacted
//! (docs/REMOTE.md). `ci/remote` installs etcd.

use std::path::Path;

use level_party_testkit::{Etcd, ExecChild, Load, Proxy, Record, Target, Wire, run_load};

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");
const WRITERS: usize = 4;
/// Acknowledged writes between two faults.
const BETWEEN: u64 = 60;

/// Judges what a load left, and tells how long writes stood still at each fault.
fn judge(name: &str, etcd: &Etcd, mut record: Record) {
    let times = record.failovers();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!(
        "etcd, {name}: {} faults, {} acknowledged writes, {} recorded calls; from a fault to the first acknowledged write that \
         began after it: p50 {:?}, most {:?}",
        record.kills.len(),
        record.acknowledged.len(),
        record.history.len(),
        at(50),
        at(100),
    );
    let found = ExecChild::spawn(PROGRAM, Path::new(&etcd.url())).scan("");
    if let Err(words) = record.end(found).and_then(|()| record.history.check()) {
        panic!("{words}");
    }
    assert_eq!(record.lives_lost, 0, "a client died");
    assert!(record.shared.committed.len() > 10, "hardly a transaction");
}

fn load(url: &str) -> Load {
    Load::new(Path::new(PROGRAM), Path::new(url), WRITERS)
}

#[test]
fn histories_are_linearizable_while_leaders_are_killed() {
    let mut etcd = Etcd::start(3);
    let load = load(&etcd.url());
    let record = run_load(&load, |load| {
        let mut moments = Vec::new();
        while moments.len() < 8 && load.wait_for_progress(BETWEEN) {
            let leader = etcd.leader(None);
            moments.push(load.target().now());
            etcd.kill(leader);
            load.wait_for_progress(BETWEEN);
            etcd.start_node(leader);
        }
        moments
    });
    judge("leaders killed", &etcd, record);
}

#[test]
fn histories_are_linearizable_while_leaders_are_stopped() {
    let etcd = Etcd::start(3);
    let load = load(&etcd.url());
    let record = run_load(&load, |load| {
        let mut moments = Vec::new();
        while moments.len() < 5 && load.wait_for_progress(BETWEEN) {
            let leader = etcd.leader(None);
            moments.push(load.target().now());
            etcd.stop(leader);
            load.wait_for_progress(BETWEEN);
            etcd.resume(leader);
        }
        moments
    });
    judge("leaders stopped", &etcd, record);
}

#[test]
fn histories_are_linearizable_while_answers_are_lost() {
    let etcd = Etcd::start(3);
    let port = etcd.ports().next().expect("a node");
    let proxy = Proxy::start(([127, 0, 0, 1], port).into(), Wire::Http2);
    let load = load(&format!("etcd://{}", proxy.address()));
    let record = run_load(&load, |load| {
        let mut moments = Vec::new();
        while moments.len() < 100 && load.wait_for_progress(5) {
            moments.push(load.target().now());
            proxy.drop_next_answer();
            proxy.wait_for_dropped(moments.len());
        }
        moments
    });
    judge("answers lost", &etcd, record);
}

#[test]
fn histories_are_linearizable_while_history_is_compacted() {
    let etcd = Etcd::start(3);
    let target = Target::new(PROGRAM, etcd.url()).that_may_lose_snapshots();
    let load = Load::at(target, WRITERS);
    let record = run_load(&load, |load| {
        let mut moments = Vec::new();
        while moments.len() < 60 && load.wait_for_progress(10) {
            moments.push(load.target().now());
            etcd.compact(etcd.revision());
        }
        moments
    });
    judge("history compacted", &etcd, record);
}
