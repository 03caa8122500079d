//! C++ LevelDB before, after and beside us.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use level_party_testkit::{ExecChild, Peer, PeerOptions, kill_under_load, run};
use serde_json::json;

use crate::PROGRAM;

#[test]
fn it_finds_every_acknowledged_write_after_fifty_killed_leaders() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut record = kill_under_load(Path::new(PROGRAM), dir.path(), 4, 50);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text was written");
    let found: Vec<(String, String)> = Peer::leveldb_1_23()
        .dump(dir.path())
        .into_iter()
        .map(|(k, v)| (text(k), text(v)))
        .collect();
    for (writer, written) in record.written.iter().enumerate() {
        assert!(
            !written.acknowledged.is_empty(),
            "writer {writer} wrote nothing"
        );
    }
    // What C++ LevelDB reads is the last read of each key's history.
    if let Err(words) = record.end(found).and_then(|()| record.history.check()) {
        panic!("{words}");
    }
}

#[test]
fn while_it_holds_the_directory_we_are_refused_and_name_it() {
    for peer in Peer::leveldbs() {
        let dir = tempfile::tempdir().expect("a directory");
        let holder = peer.hold(dir.path());
        let path = dir.path().to_str().expect("a path in UTF-8");
        let refused = run(PROGRAM, ["put", path, "a", "1", "--open-timeout", "1"]);
        assert_eq!(refused.code(), 3);
        let words = &refused.stderr;
        assert!(
            words.contains(&holder.pid().to_string()),
            "{}: {words}",
            peer.name()
        );
        assert!(words.contains("locked"), "{}: {words}", peer.name());
        drop(holder);
        run(PROGRAM, ["put", path, "a", "1"]).success();
    }
}

#[test]
fn while_we_hold_the_directory_it_is_refused() {
    for peer in Peer::leveldbs() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut leader = ExecChild::spawn(PROGRAM, dir.path());
        leader.put("a", "1");
        let opened = peer.try_open(dir.path(), &PeerOptions::default());
        let words = opened.expect_err("the lock was stolen");
        assert!(words.contains("lock"), "{}: {words}", peer.name());
        leader.put("a", "2");
        assert!(leader.close().success());
        assert_eq!(peer.dump(dir.path()), [(b"a".to_vec(), b"2".to_vec())]);
    }
}

#[test]
fn each_goes_on_where_the_other_stopped_also_after_kills() {
    let dir = tempfile::tempdir().expect("a directory");
    let peers = Peer::leveldbs();
    let mut expected: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for round in 0..6usize {
        let key = |n: u32| format!("{round}-{n:05}");
        let value = |n: u32| format!("{round}.{n}").repeat(40);
        let entries: Vec<_> = (0..2000).map(|n| (key(n), value(n))).collect();
        let peer = &peers[round % peers.len()];
        if round % 2 == 0 {
            let mut child = ExecChild::spawn(PROGRAM, dir.path());
            for chunk in entries.chunks(100) {
                let ops: Vec<_> = chunk
                    .iter()
                    .map(|(k, v)| json!({"type": "put", "key": k, "value": v}))
                    .collect();
                child.ok(&json!({"op": "batch", "ops": ops}));
            }
            child.kill();
        } else {
            let bytes = entries.iter().map(|(k, v)| (k.as_bytes(), v.as_bytes()));
            peer.load(dir.path(), bytes);
        }
        expected.extend(
            entries
                .into_iter()
                .map(|(k, v)| (k.into_bytes(), v.into_bytes())),
        );
        let mut ours = ExecChild::spawn(PROGRAM, dir.path());
        let found = ours.scan("");
        assert_eq!(found.len(), expected.len(), "round {round}");
        assert!(
            found
                .iter()
                .zip(&expected)
                .all(|((k, v), (ek, ev))| k.as_bytes() == ek && v.as_bytes() == ev)
        );
        ours.kill();
        let found = peer.dump(dir.path());
        assert!(
            found == expected,
            "round {round}: {} reads something else",
            peer.name()
        );
    }
}

#[test]
fn checkpoint_beside_a_writer_is_one_moment_to_leveldb() {
    const BEFORE: usize = 30_000;
    let entry = |n: usize| (format!("{n:08}"), format!("{n}.").repeat(30));
    let put = |n: usize| {
        let (key, value) = entry(n);
        json!({"type": "put", "key": key, "value": value})
    };
    for peer in Peer::leveldbs() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut leader = ExecChild::spawn(PROGRAM, dir.path());
        for start in (0..BEFORE).step_by(1000) {
            let ops: Vec<_> = (start..start + 1000).map(put).collect();
            leader.ok(&json!({"op": "batch", "ops": ops}));
        }
        let copy = dir.path().join("copy");
        let writing = AtomicBool::new(true);
        let (written, mut leader) = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut next = BEFORE;
                while writing.load(Ordering::Relaxed) {
                    let (key, value) = entry(next);
                    leader.put(&key, &value);
                    next += 1;
                }
                (next, leader)
            });
            let paths = [dir.path(), &copy].map(|path| path.to_str().expect("a path in UTF-8"));
            let made = run(PROGRAM, ["checkpoint", paths[0], paths[1]]);
            writing.store(false, Ordering::Relaxed);
            let ended = writer.join().expect("the writer writes");
            made.success();
            ended
        });
        let bytes = |n| {
            let (key, value) = entry(n);
            (key.into_bytes(), value.into_bytes())
        };
        let found = peer.dump(&copy);
        let name = peer.name();
        assert!((BEFORE..=written).contains(&found.len()), "{name}");
        assert!(
            found.iter().cloned().eq((0..found.len()).map(bytes)),
            "{name}: not the writes up to one moment"
        );
        // Tables are shared as links; what it writes there is not.
        peer.load(&copy, [(b"0".as_slice(), b"of the copy".as_slice())]);
        assert_eq!(leader.get("0"), None, "{name}");
        let ours: Vec<_> = (0..written).map(entry).collect();
        assert!(leader.scan("") == ours, "{name}: the database has changed");
        assert!(leader.close().success());
        assert!(
            peer.dump(dir.path())
                .into_iter()
                .eq((0..written).map(bytes)),
            "{name}: the database has changed"
        );
    }
}

/// A leader that is killed within some ms of its first answers may leave the logs of those before it beside its own.
#[test]
fn leveldb_reads_what_killed_leaders_had_answered() {
    const LEADERS: usize = 5;
    for peer in Peer::leveldbs() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut model = std::collections::BTreeMap::new();
        let mut most_logs = 0;
        for round in 0..6 {
            for leader in 0..LEADERS {
                let mut child = ExecChild::spawn(PROGRAM, dir.path());
                for n in 0..20 {
                    // Some keys again and again, so that the order of the logs counts.
                    let (key, value) = (
                        format!("{:03}", n * 7 % 50),
                        format!("{round}.{leader}.{n}"),
                    );
                    child.put(&key, &value);
                    model.insert(key.into_bytes(), value.into_bytes());
                }
                child.kill();
            }
            let files = std::fs::read_dir(dir.path()).expect("a directory");
            let is_log =
                |file: &std::fs::DirEntry| file.path().extension().is_some_and(|e| e == "log");
            most_logs = most_logs.max(files.flatten().filter(is_log).count());
            let found = peer.dump(dir.path());
            let name = peer.name();
            assert!(found.into_iter().eq(model.clone()), "{name}, round {round}");
            let theirs = (b"theirs".to_vec(), round.to_string().into_bytes());
            peer.load(dir.path(), [(theirs.0.as_slice(), theirs.1.as_slice())]);
            model.insert(theirs.0, theirs.1);
        }
        println!("{}: up to {most_logs} logs", peer.name());
    }
}
