//! A7: a reader that slept through a takeover. Its connection, and whatever it keeps of the dead leader's memory, still
//! look alive to it when it wakes; what it reads must be the new leader's all the same.

use level_party_testkit::{ExecChild, find_leader};
use serde_json::{Value, json};

use crate::{PROGRAM, times};

/// What requests read of the key `a`.
fn requests() -> [Value; 4] {
    [
        json!({"op": "get", "key": "a"}),
        json!({"op": "get_many", "keys": ["a"]}),
        json!({"op": "scan", "gte": "a", "lte": "a"}),
        json!({"op": "scan", "prefix": "", "reverse": true, "limit": 1}),
    ]
}

fn read(answer: &Value) -> &str {
    let places = ["/value", "/values/0", "/entries/0/1"];
    let value = places
        .iter()
        .find_map(|place| answer.pointer(place)?.as_str());
    value.unwrap_or_else(|| panic!("nothing was read: {answer}"))
}

#[test]
fn reader_stopped_over_a_takeover_reads_the_latest() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut party: Vec<ExecChild> = Vec::new();
    for round in 0..times(20) {
        while party.len() < 3 {
            party.push(ExecChild::spawn(PROGRAM, dir.path()));
        }
        let at = find_leader(&mut party);
        let mut leader = party.swap_remove(at);
        let [writer, sleeper] = &mut party[..] else {
            panic!("two followers are left")
        };
        let (old, new) = (format!("{round} old"), format!("{round} new"));
        writer.put("a", &old);
        for request in requests() {
            assert_eq!(read(&sleeper.ok(&request)), old);
        }
        let in_flight = round % 2 == 1;
        if in_flight {
            // A read that reaches a stopped leader is in flight at the takeover and may be answered by either.
            leader.pause();
            sleeper.send(&requests()[0]);
        }
        sleeper.pause();
        leader.kill();
        writer.put("a", &new);
        for request in requests() {
            sleeper.send(&request);
        }
        sleeper.resume();
        if in_flight {
            let answer = sleeper.answer();
            assert!([&*old, &*new].contains(&read(&answer)), "{answer}");
        }
        for request in requests() {
            assert_eq!(read(&sleeper.answer()), new, "round {round}: {request}");
        }
    }
}
