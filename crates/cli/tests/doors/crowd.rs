//! Many processes at once on nothing.

use level_party_testkit::{ExecChild, example, find_leader};
use serde_json::json;

use crate::{names, temp};

const PROCESSES: usize = 50;
const ROUNDS: usize = 20;

#[test]
fn fifty_processes_open_at_once_under_one_leader() {
    let gate = example("outsider");
    for round in 0..ROUNDS {
        let dir = temp();
        let mut party: Vec<ExecChild> = (0..PROCESSES)
            .map(|_| ExecChild::spawn(&gate, dir.path()))
            .collect();
        for child in &mut party {
            child.send_line(b"go");
        }
        for (n, child) in party.iter_mut().enumerate() {
            child.send(&json!({"op": "put", "key": format!("{n:02}"), "value": "here"}));
        }
        for child in &mut party {
            assert_eq!(child.answer()["ok"], true, "round {round}");
        }
        let leader = find_leader(&mut party);
        let status = party[leader].status();
        assert_eq!(status["epoch"], 1, "nobody led before: {status}");
        let followers = status["followers"].as_array().map(Vec::len);
        assert_eq!(followers, Some(PROCESSES - 1));
        assert_eq!(party[0].scan("").len(), PROCESSES);
        // They leave at once, whoever leads.
        let leaving: Vec<_> = party
            .into_iter()
            .map(|child| std::thread::spawn(|| child.close()))
            .collect();
        for child in leaving {
            assert!(child.join().expect("no panic").success());
        }
        let left = names(dir.path());
        assert!(!left.iter().any(|name| name.ends_with(".sock")), "{left:?}");
    }
}
