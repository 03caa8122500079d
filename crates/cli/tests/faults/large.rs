//! Entries that are larger than a message between processes may be, as another program may write them. (The limit is
//! lowered: nobody waits for a gibibyte.)

use std::process::Command;

use level_party_testkit::ExecChild;
use serde_json::{Value, json};

use crate::PROGRAM;

const LIMIT: (&str, &str) = ("LEVEL_PARTY_REPLY_FRAME", "2097152");
const LARGE: usize = 3 << 20;
const SMALL: [(&str, &str); 2] = [("a", "1"), ("z", "2")];

/// Found by review: such a value broke the link of whoever asked for it, and of all that it had in flight.
#[test]
fn an_entry_too_large_to_travel_fails_the_calls_that_need_it_and_no_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut writer = ExecChild::spawn(PROGRAM, dir.path());
    for (key, value) in SMALL {
        writer.put(key, value);
    }
    writer.put("large", &"v".repeat(LARGE));
    assert!(writer.close().success());
    let flags = ["--timeout", "60"];
    let mut leader = ExecChild::spawn_in(PROGRAM, dir.path(), flags, &[LIMIT]);
    assert_eq!(leader.status()["role"], "leader");
    let mut follower = ExecChild::spawn_in(PROGRAM, dir.path(), flags, &[LIMIT]);
    let attached = follower.status()["members"].clone();
    for process in [&mut follower, &mut leader] {
        let snapshot = process.ok(&json!({"op": "snapshot"}))["snapshot"].clone();
        let refused = [
            json!({"op": "get", "key": "large"}),
            json!({"op": "get", "key": "large", "snapshot": snapshot}),
            json!({"op": "get_many", "keys": ["a", "large", "z"]}),
            json!({"op": "get_many", "keys": ["large"], "snapshot": snapshot}),
            json!({"op": "scan"}),
            json!({"op": "scan", "reverse": true}),
            json!({"op": "scan", "gte": "large", "snapshot": snapshot}),
            json!({"op": "cas", "key": "large", "expected": "v", "value": "w"}),
        ];
        for request in refused {
            // Those on both sides of it were sent with it, over one link.
            let before = json!({"op": "get", "key": "a"});
            let after = json!({"op": "get_many", "keys": ["a", "z"]});
            let asked = [&before, &request, &after];
            asked.iter().for_each(|request| process.send(request));
            let told = asked.map(|_| process.answer());
            assert_eq!(told[0]["value"], "1", "{request}");
            assert_eq!(kind(&told[1]), "InvalidArgument", "{request}: {}", told[1]);
            assert_eq!(told[2]["values"], json!(["1", "2"]), "{request}");
        }
        process.send(&json!({"id": "w", "op": "watch", "from": "beginning"}));
        let told: Vec<Value> = (0..4).map(|_| process.answer()).collect();
        assert_eq!(told[0]["ok"], true, "{told:?}");
        assert_eq!(told[1]["key"], "a", "{told:?}");
        assert_eq!(told[2]["key"], "z", "{told:?}");
        assert_eq!(told[3]["type"], "end", "{told:?}");
        assert_eq!(kind(&told[3]), "InvalidArgument", "{told:?}");
        let found = process.ok(&json!({"op": "contains", "key": "large"}));
        assert_eq!(found["found"], true);
    }
    let members = follower.status()["members"].clone();
    let pids = |members: &Value| members.as_array().map(|all| all.len());
    assert_eq!(pids(&attached), pids(&members));
    let attached_for = |members: &Value| members[1]["attached_for_ms"].as_u64();
    assert!(
        attached_for(&members) >= attached_for(&attached),
        "over the same link"
    );
    follower.delete("large");
    assert_eq!(follower.scan("").len(), SMALL.len());
}

/// What lies behind it is reached, by threads in either role and from either end.
#[test]
fn scan_goes_on_behind_entry_too_large_to_travel() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_str().expect("a plain name");
    let mut writer = ExecChild::spawn(PROGRAM, dir.path());
    for (key, value) in SMALL {
        writer.put(key, value);
    }
    let large = "v".repeat(LARGE);
    for key in ["k", "l", "m"] {
        writer.put(key, &large);
    }
    assert!(writer.close().success());
    let mut leader = None;
    for role in ["leader", "follower"] {
        let scan = |words: &[&str]| {
            let done = Command::new(PROGRAM)
                .args(["scan", path])
                .args(words)
                .env(LIMIT.0, LIMIT.1)
                .output()
                .expect("the program");
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            (
                String::from_utf8_lossy(&done.stdout).into_owned(),
                said,
                done.status.code(),
            )
        };
        for (words, printed) in [(&[][..], "a\t1\nz\t2\n"), (&["--reverse"], "z\t2\na\t1\n")] {
            let (told, said, code) = scan(words);
            assert_eq!((&*told, code), (printed, Some(3)), "{role}: {said}");
            for key in ["k", "l", "m"] {
                let named =
                    format!("left out: the entry whose key has 1 bytes and begins with \"{key}\"");
                assert!(said.contains(&named), "{role}: {said}");
            }
            assert!(said.contains("3 entries were left out"), "{role}: {said}");
        }
        assert_eq!(
            scan(&["--keys"]),
            ("a\nk\nl\nm\nz\n".into(), "".into(), Some(0))
        );
        if role == "leader" {
            leader = Some(ExecChild::spawn_in(PROGRAM, dir.path(), [""; 0], &[LIMIT]));
        }
    }
    assert!(leader.expect("started").close().success());
}

fn kind(answer: &Value) -> &str {
    answer["error"]["kind"].as_str().unwrap_or("no error")
}
