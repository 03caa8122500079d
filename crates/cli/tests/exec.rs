//! The form of `exec` (`docs/EXEC.md`), spoken with real child processes.

use level_party_testkit::{ExecChild, Finished, run_with_input};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");
/// The page that describes the form, which these tests keep true.
const PAGE: &str = include_str!("../../../docs/EXEC.md");

fn dialogue(requests: &[u8]) -> (Finished, Vec<Value>) {
    let dir = tempfile::tempdir().expect("a directory");
    let done =
        run_with_input(PROGRAM, ["exec".as_ref(), dir.path().as_os_str()], requests).success();
    let answers = done
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    (done, answers)
}

#[test]
fn the_documented_dialogue_is_answered_word_for_word() {
    let (done, _) = dialogue(
        br#"{"id":1,"op":"put","key":"a","value":"1"}
{"id":2,"op":"get","key":"a"}
{"id":3,"op":"get","key":"none"}
{"id":4,"op":"batch","ops":[{"type":"put","key":"b","value":"2"},{"type":"del","key":"a"}]}
{"id":5,"op":"scan"}
{"id":6,"op":"delete","key":"b","sync":true}
{"id":7,"op":"scan","prefix":"b"}
"#,
    );
    let expected = r#"{"id":1,"ok":true,"sequence":1}
{"id":2,"ok":true,"value":"1"}
{"id":3,"ok":true,"value":null}
{"id":4,"ok":true,"sequence":3}
{"id":5,"ok":true,"entries":[["b","2"]]}
{"id":6,"ok":true,"sequence":4}
{"id":7,"ok":true,"entries":[]}
"#;
    assert_eq!(done.text(), expected);
    assert_eq!(done.stderr, "");
}

#[test]
fn wrong_lines_are_answered_and_the_dialogue_goes_on() {
    let mut input = b"{\"id\":1,\"op\":\"fly\"}\nnot json\n{\"id\":3}\n\xff\xfe\n".to_vec();
    input.extend_from_slice(b"{\"id\":5,\"op\":\"put\",\"key\":\"a\",\"value\":5}\n{\"id\":6,\"op\":\"get\",\"key\":\"a\"}\n");
    let (_, answers) = dialogue(&input);
    assert_eq!(answers.len(), 6);
    for answer in &answers[..5] {
        assert_eq!(answer["ok"], false, "{answer}");
        assert_eq!(answer["error"]["kind"], "InvalidArgument", "{answer}");
        assert!(
            answer["error"]["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{answer}"
        );
    }
    let ids: Vec<&Value> = answers.iter().map(|answer| &answer["id"]).collect();
    assert_eq!(json!(ids), json!([1, null, 3, null, 5, 6]));
    assert_eq!(answers[5], json!({"id": 6, "ok": true, "value": null}));
}

#[test]
fn keys_and_values_of_any_bytes_go_in_and_out() {
    let (_, answers) = dialogue(
        br#"{"op":"put","key":{"base64":"/wA="},"value":{"base64":"AP8="}}
{"op":"put","key":"t\u0000\n","value":""}
{"op":"get","key":{"base64":"/wA="}}
{"op":"get","key":{"base64":"dAAK"}}
{"op":"scan"}
"#,
    );
    assert_eq!(answers[2]["value"], json!({"base64": "AP8="}));
    assert_eq!(answers[3]["value"], "");
    assert_eq!(
        answers[4]["entries"],
        json!([["t\0\n", ""], [{"base64": "/wA="}, {"base64": "AP8="}]])
    );
}

#[test]
fn a_scan_takes_every_bound() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut child = ExecChild::spawn(PROGRAM, dir.path());
    for key in ["a", "b1", "b2", "b3", "c"] {
        child.put(key, "v");
    }
    let mut keys = |mut request: Value| -> Vec<String> {
        request["op"] = "scan".into();
        let entries = child.ok(&request)["entries"].clone();
        let entries: Vec<(String, String)> =
            serde_json::from_value(entries).expect("entries of text");
        entries.into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(keys(json!({})), ["a", "b1", "b2", "b3", "c"]);
    assert_eq!(keys(json!({"reverse": true, "limit": 2})), ["c", "b3"]);
    assert_eq!(keys(json!({"gt": "b1", "lt": "c"})), ["b2", "b3"]);
    assert_eq!(keys(json!({"gte": "b1", "lte": "b2"})), ["b1", "b2"]);
    assert_eq!(
        keys(json!({"prefix": "b", "reverse": true})),
        ["b3", "b2", "b1"]
    );
    assert_eq!(keys(json!({"prefix": "b", "gt": "b1", "limit": 1})), ["b2"]);
    assert_eq!(keys(json!({"limit": 0})), [""; 0]);
    assert_eq!(keys(json!({"gt": "x", "lt": "b"})), [""; 0]);
    assert!(child.close().success());
}

#[test]
fn status_says_who_leads() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut first = ExecChild::spawn(PROGRAM, dir.path());
    let status = first.status();
    assert_eq!(status["role"], "leader", "{status}");
    assert_eq!(status["pid"], first.pid(), "{status}");
    assert_eq!(status["leader_pid"], first.pid(), "{status}");
    assert!(
        status["epoch"].is_u64() && status["leading_for_ms"].is_u64(),
        "{status}"
    );

    let mut second = ExecChild::spawn(PROGRAM, dir.path());
    let status = second.status();
    assert_eq!(status["role"], "follower", "{status}");
    assert_eq!(status["leader_pid"], first.pid(), "{status}");
}

#[test]
fn many_requests_may_be_sent_ahead() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut child = ExecChild::spawn(PROGRAM, dir.path());
    for n in 0..2_000 {
        child.send(&json!({"id": n, "op": "put", "key": format!("{n:04}"), "value": "v"}));
    }
    for n in 0..2_000 {
        assert_eq!(
            child.answer(),
            json!({"id": n, "ok": true, "sequence": n + 1})
        );
    }
    assert_eq!(child.scan("").len(), 2_000);
}

#[test]
fn a_last_line_without_a_newline_is_served() {
    let (_, answers) = dialogue(b"{\"id\":1,\"op\":\"get\",\"key\":\"a\"}");
    assert_eq!(answers, [json!({"id": 1, "ok": true, "value": null})]);
}

#[test]
fn the_pages_examples_are_answered_as_it_says() {
    let json_blocks: Vec<&str> = PAGE
        .split("```json\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    let (requests, documented) = (json_blocks[0], json_blocks[1]);
    let (_, answers) = dialogue(requests.as_bytes());
    let documented: Vec<Value> = documented
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    assert_eq!(answers.len(), documented.len());
    let is_status = |answer: &Value| answer.get("role").is_some();
    for (answer, documented) in answers.iter().zip(&documented) {
        assert_eq!(is_status(answer), is_status(documented));
        assert!(is_status(answer) || answer == documented, "{answer}");
    }
    // The page shortens the answer to `status`; it lists every field.
    let status = answers.iter().find(|answer| is_status(answer));
    for field in status
        .expect("the page shows a status")
        .as_object()
        .expect("an object")
        .keys()
        .filter(|field| !["id", "ok"].contains(&field.as_str()))
    {
        assert!(
            PAGE.contains(&format!("`{field}`")),
            "the page does not list {field}"
        );
    }
    let (_, refused) = dialogue(br#"{"id":10,"op":"fly"}"#);
    assert_eq!(
        serde_json::from_str::<Value>(json_blocks[2]).expect("JSON"),
        refused[0]
    );
}

#[test]
fn swap_and_transaction_write_only_if_checks_hold() {
    let (_, answers) = dialogue(
        br#"{"op":"cas","key":"a","expected":"1","value":"2"}
{"op":"cas","key":"a","expected":null,"value":"1"}
{"op":"cas","key":"a","expected":"1","value":"2"}
{"op":"transaction","checks":[{"key":"a","value":"1"}],"ops":[{"type":"put","key":"b","value":"no"}]}
{"op":"transaction","checks":[{"key":"a","value":"2"},{"key":"b","value":null}],"ops":[{"type":"put","key":"b","value":"yes"},{"type":"del","key":"a"}]}
{"op":"get_many","keys":["a","b"]}
{"op":"cas","key":"b","expected":"yes","value":null}
{"op":"contains","key":"b"}
"#,
    );
    let told: Vec<&Value> = answers
        .iter()
        .zip([
            "swapped",
            "swapped",
            "swapped",
            "committed",
            "committed",
            "values",
            "swapped",
            "found",
        ])
        .map(|(answer, field)| &answer[field])
        .collect();
    assert_eq!(
        json!(told),
        json!([false, true, true, false, true, [null, "yes"], true, false])
    );
}

#[test]
fn a_synced_swap_takes_effect_only_where_its_check_holds() {
    let (_, answers) = dialogue(
        br#"{"op":"cas","key":"a","expected":null,"value":"1","sync":true}
{"op":"cas","key":"a","expected":null,"value":"2","sync":true}
{"op":"get","key":"a"}
{"op":"cas","key":"a","expected":"1","value":null,"sync":true}
{"op":"contains","key":"a"}
"#,
    );
    let told = json!([
        answers[0]["swapped"],
        answers[1]["swapped"],
        answers[2]["value"]
    ]);
    assert_eq!(told, json!([true, false, "1"]));
    let told = json!([answers[3]["swapped"], answers[4]["found"]]);
    assert_eq!(told, json!([true, false]));
}

#[test]
fn a_check_that_leaves_out_its_value_is_refused() {
    let (_, answers) = dialogue(br#"{"op":"transaction","checks":[{"key":"a"}],"ops":[]}"#);
    assert_eq!(
        answers[0]["error"]["kind"], "InvalidArgument",
        "{}",
        answers[0]
    );
}

#[test]
fn a_snapshot_shows_its_moment_until_it_is_released() {
    let (_, answers) = dialogue(
        br#"{"op":"put","key":"a","value":"1"}
{"op":"snapshot"}
{"op":"put","key":"a","value":"2"}
{"op":"put","key":"b","value":"2"}
{"op":"get","key":"a","snapshot":1}
{"op":"contains","key":"b","snapshot":1}
{"op":"get_many","keys":["a","b"],"snapshot":1}
{"op":"scan","snapshot":1}
{"op":"get","key":"a"}
{"op":"release","snapshot":1}
{"op":"get","key":"a","snapshot":1}
{"op":"status"}
"#,
    );
    assert_eq!(answers[1]["snapshot"], 1);
    assert_eq!(answers[4]["value"], "1");
    assert_eq!(answers[5]["found"], false);
    assert_eq!(answers[6]["values"], json!(["1", null]));
    assert_eq!(answers[7]["entries"], json!([["a", "1"]]));
    assert_eq!(answers[8]["value"], "2");
    assert_eq!(answers[10]["error"]["kind"], "InvalidArgument");
    assert_eq!(answers[11]["pins"], 0);
}

#[test]
fn the_pages_watch_is_told_as_it_says() {
    let blocks: Vec<&str> = PAGE
        .split("```jsonl\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    let (requests, documented) = (blocks[0], blocks[1]);
    let mut documented: Vec<Value> = documented
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    let dir = tempfile::tempdir().expect("a directory");
    let mut child = ExecChild::spawn(PROGRAM, dir.path());
    let mut requests = requests.lines();
    let mut told = Vec::new();
    let mut send = |child: &mut ExecChild| {
        let line = requests.next().expect("a request");
        child.send(&serde_json::from_str(line).expect(line));
    };
    send(&mut child);
    told.push(child.answer());
    send(&mut child);
    (0..3).for_each(|_| told.push(child.answer()));
    send(&mut child);
    told.push(child.answer());
    // What an epoch is called is its leader's choice, and an event may overtake its write's answer.
    let history = |line: &mut Value| {
        if let Some(position) = line["position"].as_str() {
            line["position"] = position.split('@').next().expect("a sequence").into();
        }
    };
    told.iter_mut().for_each(history);
    documented.iter_mut().for_each(history);
    for line in &told[1..4] {
        assert!(documented[1..4].contains(line), "{line}");
    }
    assert_eq!((&told[0], &told[4]), (&documented[0], &documented[4]));
    let events: Vec<&Value> = told.iter().filter(|line| line["ok"].is_null()).collect();
    assert_eq!(events, [&documented[2], &documented[3]]);
}

/// The next line with an `ok`; the events before it go to `events`.
fn next_answer(child: &mut ExecChild, events: &mut Vec<Value>) -> Value {
    loop {
        let line = child.answer();
        match line.get("ok") {
            Some(_) => return line,
            None => events.push(line),
        }
    }
}

#[test]
fn a_watch_goes_on_over_a_killed_leader_and_from_where_it_stood() {
    let dir = tempfile::tempdir().expect("a directory");
    let leader = ExecChild::spawn_leader(PROGRAM, dir.path());
    let mut watcher = ExecChild::spawn(PROGRAM, dir.path());
    let mut writer = ExecChild::spawn(PROGRAM, dir.path());
    let mut events = Vec::new();
    watcher.send(&json!({"id": 1, "op": "watch", "sublevel": ["s"]}));
    assert_eq!(next_answer(&mut watcher, &mut events)["ok"], true);
    writer.put("elsewhere", "");
    writer.ok(&json!({"op": "put", "sublevel": ["s"], "key": "a", "value": "1"}));
    leader.kill();
    writer.ok(&json!({"op": "delete", "sublevel": ["s"], "key": "a"}));
    let told: Vec<Value> = (0..2).map(|_| watcher.answer()).collect();
    assert_eq!(
        json!([
            told[0]["type"],
            told[0]["key"],
            told[0]["value"],
            told[1]["type"],
            told[1]["key"]
        ]),
        json!(["put", "a", "1", "del", "a"])
    );

    // Twice the same id is refused; after `unwatch` nothing more is told, and the id is free again.
    watcher.send(&json!({"id": 1, "op": "watch"}));
    assert_eq!(watcher.answer()["error"]["kind"], "InvalidArgument");
    watcher.ok(&json!({"op": "unwatch", "watch": 1}));
    writer.ok(&json!({"op": "put", "sublevel": ["s"], "key": "b", "value": "2"}));
    watcher.send(&json!({"op": "unwatch", "watch": 1}));
    assert_eq!(watcher.answer()["error"]["kind"], "InvalidArgument");
    watcher.send(&json!({"op": "watch"}));
    assert_eq!(watcher.answer()["error"]["kind"], "InvalidArgument");
    watcher.send(&json!({"id": 1, "op": "watch", "sublevel": ["s"], "from": told[1]["position"]}));
    assert_eq!(watcher.answer()["ok"], true);
    let next = watcher.answer();
    assert_eq!(json!([next["watch"], next["key"]]), json!([1, "b"]));
    assert!(watcher.close().success());
}

#[test]
fn a_watch_whose_reader_has_gone_ends_the_program_quietly() {
    use std::io::{BufRead, Write};
    use std::process::{Command, Stdio};
    let dir = tempfile::tempdir().expect("a directory");
    let mut child = Command::new(PROGRAM)
        .arg("exec")
        .arg(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("piped");
    writeln!(stdin, r#"{{"id":1,"op":"watch"}}"#).expect("it reads");
    let mut stdout = std::io::BufReader::new(child.stdout.take().expect("piped"));
    stdout.read_line(&mut String::new()).expect("an answer");
    drop(stdout);
    level_party_testkit::run(
        PROGRAM,
        ["put", dir.path().to_str().expect("plain"), "a", "1"],
    )
    .success();
    let done = child.wait_with_output().expect("it ends");
    assert!(done.status.success(), "{}", done.status);
    assert_eq!(String::from_utf8_lossy(&done.stderr), "");
    drop(stdin);
}

#[test]
fn sublevels_keep_their_keys_apart_in_every_operation() {
    let (_, answers) = dialogue(
        br#"{"op":"put","sublevel":["a"],"key":"k","value":"in a"}
{"op":"put","sublevel":["a","b"],"key":"k","value":"in b"}
{"op":"put","key":"k","value":"outside"}
{"op":"get","sublevel":["a"],"key":"k"}
{"op":"get_many","sublevel":["a","b"],"keys":["k","none"]}
{"op":"contains","sublevel":["c"],"key":"k"}
{"op":"cas","sublevel":["a"],"key":"k","expected":"in a","value":"swapped"}
{"op":"transaction","sublevel":["a"],"checks":[{"key":"k","value":"swapped"}],"ops":[{"type":"put","key":"l","value":"1"}]}
{"op":"batch","sublevel":["a","b"],"ops":[{"type":"del","key":"k"}]}
{"op":"snapshot"}
{"op":"clear","sublevel":["a"],"gt":"k"}
{"op":"scan","sublevel":["a"]}
{"op":"scan","sublevel":["a"],"snapshot":1}
{"op":"scan"}
{"op":"clear"}
{"op":"get","sublevel":"a","key":"k"}
{"op":"get","sublevel":["a b"],"key":"k"}
{"op":"status","sublevel":["a"]}
"#,
    );
    assert_eq!(answers[3]["value"], "in a");
    assert_eq!(answers[4]["values"], json!(["in b", null]));
    assert_eq!(answers[5]["found"], false);
    assert_eq!(answers[6]["swapped"], true);
    assert_eq!(answers[7]["committed"], true);
    assert_eq!(answers[10]["removed"], 1);
    assert_eq!(answers[11]["entries"], json!([["k", "swapped"]]));
    assert_eq!(
        answers[12]["entries"],
        json!([["k", "swapped"], ["l", "1"]])
    );
    assert_eq!(
        answers[13]["entries"],
        json!([["!a!k", "swapped"], ["k", "outside"]])
    );
    assert_eq!(answers[14]["removed"], 2);
    for refused in &answers[15..] {
        assert_eq!(refused["error"]["kind"], "InvalidArgument", "{refused}");
    }
}

#[test]
fn hello_tells_version_protocol_and_operations() {
    let (_, answers) = dialogue(br#"{"op":"hello"}"#);
    let hello = &answers[0];
    assert_eq!(hello["program"], "level-party");
    assert_eq!(hello["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(hello["protocol"], 1);
    let operations = hello["operations"].as_array().expect("a list");
    assert!(operations.contains(&json!("hello")), "{hello}");
    for operation in operations {
        let cell = format!("| `{}` |", operation.as_str().expect("a name"));
        assert!(PAGE.contains(&cell), "the page lacks {cell}");
    }
}

#[test]
fn keys_only_scans_and_counts_take_bounds_and_snapshots() {
    let (_, answers) = dialogue(
        br#"{"op":"batch","ops":[{"type":"put","key":"a","value":"1"},{"type":"put","key":"b1","value":"2"},{"type":"put","key":"b2","value":"3"}]}
{"op":"snapshot"}
{"op":"put","key":"b3","value":"4"}
{"op":"scan","keys":true}
{"op":"scan","keys":true,"prefix":"b","reverse":true,"limit":2}
{"op":"scan","keys":true,"prefix":"b","snapshot":1}
{"op":"scan","keys":false,"lt":"b"}
{"op":"count"}
{"op":"count","prefix":"b"}
{"op":"count","prefix":"b","snapshot":1}
{"op":"count","gt":"x","lt":"b"}
{"op":"count","limit":1}
"#,
    );
    assert_eq!(answers[3]["keys"], json!(["a", "b1", "b2", "b3"]));
    assert_eq!(answers[4]["keys"], json!(["b3", "b2"]));
    assert_eq!(answers[5]["keys"], json!(["b1", "b2"]));
    assert_eq!(answers[6]["entries"], json!([["a", "1"]]));
    let counts: Vec<&Value> = answers[7..11].iter().map(|a| &a["count"]).collect();
    assert_eq!(json!(counts), json!([4, 3, 2, 0]));
    assert_eq!(answers[11]["error"]["kind"], "InvalidArgument");
}

#[test]
fn transaction_checks_that_a_range_holds_just_these_entries() {
    let (_, answers) = dialogue(
        br#"{"op":"batch","sublevel":["jobs"],"ops":[{"type":"put","key":"1","value":"a"},{"type":"put","key":"2","value":"b"}]}
{"op":"transaction","sublevel":["jobs"],"checks":[{"entries":[["1","a"]]}],"ops":[{"type":"del","key":"1"}]}
{"op":"transaction","sublevel":["jobs"],"checks":[{"limit":1,"entries":[["1","a"]]}],"ops":[{"type":"del","key":"1"}]}
{"op":"transaction","sublevel":["jobs"],"checks":[{"reverse":true,"limit":1,"entries":[["1","a"]]}],"ops":[{"type":"del","key":"2"}]}
{"op":"transaction","sublevel":["jobs"],"checks":[{"gte":"1","entries":[["2","b"]]},{"key":"1","value":null}],"ops":[{"type":"del","key":"2"}]}
{"op":"transaction","checks":[{"sublevel":["jobs"],"entries":[]},{"prefix":"!jobs!","entries":[]}],"ops":[{"type":"put","key":"done","value":"1"}]}
{"op":"transaction","checks":[{"prefix":"d","entries":[]}],"ops":[{"type":"del","key":"done"}]}
{"op":"scan"}
"#,
    );
    let told: Vec<&Value> = answers[1..7].iter().map(|a| &a["committed"]).collect();
    assert_eq!(json!(told), json!([false, true, false, true, true, false]));
    assert_eq!(answers[7]["entries"], json!([["done", "1"]]));
}

#[test]
fn a_range_check_fails_when_another_process_adds_a_key() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut one = ExecChild::spawn(PROGRAM, dir.path());
    let mut other = ExecChild::spawn(PROGRAM, dir.path());
    let reserve = |key: &str| {
        json!({"op": "transaction", "checks": [{"prefix": "seat/", "entries": []}],
               "ops": [{"type": "put", "key": key, "value": ""}]})
    };
    one.send(&reserve("seat/one"));
    other.send(&reserve("seat/other"));
    let committed = [one.answer(), other.answer()].map(|answer| answer["committed"].clone());
    assert_eq!(
        committed.iter().filter(|yes| **yes == json!(true)).count(),
        1
    );
    assert_eq!(one.scan("seat/").len(), 1);
}

#[test]
fn checkpoint_makes_a_copy_and_tells_its_sequence() {
    let place = tempfile::tempdir().expect("a directory");
    let copy = place.path().join("copy");
    let mut child = ExecChild::spawn(PROGRAM, place.path().join("db"));
    child.put("a", "1");
    let request = json!({"op": "checkpoint", "to": copy});
    assert_eq!(child.ok(&request)["sequence"], 1);
    child.put("a", "2");
    child.send(&request);
    assert_eq!(child.answer()["error"]["kind"], "AlreadyExists");
    let copied = ExecChild::spawn(PROGRAM, &copy).get("a");
    assert_eq!(copied.as_deref(), Some("1"));
    assert_eq!(child.get("a").as_deref(), Some("2"));
}

#[test]
fn delete_has_two_names_and_a_watch_begins_since_or_from() {
    let (_, answers) = dialogue(
        br#"{"op":"put","key":"a","value":"1"}
{"op":"put","key":"b","value":"1"}
{"op":"del","key":"a"}
{"op":"batch","ops":[{"type":"delete","key":"b"}]}
{"op":"count"}
{"id":1,"op":"watch","since":"now"}
{"id":2,"op":"watch","from":"now"}
{"id":3,"op":"watch","since":"now","from":"now"}
"#,
    );
    assert_eq!(answers[2]["sequence"], 3);
    assert_eq!(answers[3]["sequence"], 4);
    assert_eq!(answers[4]["count"], 0);
    assert_eq!(
        (&answers[5]["ok"], &answers[6]["ok"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(answers[7]["error"]["kind"], "InvalidArgument");
}

#[test]
fn status_tells_the_last_events_of_its_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let leader = ExecChild::spawn_leader(PROGRAM, dir.path());
    let mut follower = ExecChild::spawn(PROGRAM, dir.path());
    let events = |status: &Value| -> Vec<String> {
        let events = status["recent_events"].as_array().expect("a list");
        let name = |event: &Value| event["event"].as_str().expect("a name").to_string();
        events.iter().map(name).collect()
    };
    // An event is told beside the opening.
    let mut status_with = |last: &str| loop {
        let status = follower.status();
        if events(&status).first().is_some_and(|event| event == last) {
            return status;
        }
        std::thread::yield_now();
    };
    let status = status_with("attached");
    assert_eq!(events(&status).len(), 1, "{status}");
    assert_eq!(status["recent_events"][0]["leader_pid"], leader.pid());
    leader.kill();
    let status = status_with("elected");
    assert!(status["recent_events"][0]["ago_ms"].is_u64(), "{status}");
    assert_eq!(events(&status), ["elected", "leader-lost", "attached"]);
    let trouble = status["last_trouble"]["what"].as_str().expect("text");
    assert!(trouble.contains("connection to the leader"), "{status}");
}

#[test]
fn one_batch_and_one_transaction_reach_several_sublevels() {
    let (_, answers) = dialogue(
        br#"{"op":"batch","sublevel":["a"],"ops":[{"type":"put","key":"k","value":"1"},{"type":"put","sublevel":["b","c"],"key":"k","value":"2"},{"type":"put","sublevel":[],"key":"k","value":"3"},{"type":"del","key":"none"}]}
{"op":"scan"}
{"op":"transaction","checks":[{"sublevel":["a"],"key":"k","value":"1"},{"key":"k","value":"3"}],"ops":[{"type":"del","sublevel":["a"],"key":"k"},{"type":"put","sublevel":["b"],"key":"k","value":"1"}]}
{"op":"transaction","sublevel":["a"],"checks":[{"key":"k","value":"1"}],"ops":[{"type":"del","sublevel":[],"key":"k"}]}
{"op":"transaction","sublevel":["a"],"sync":true,"checks":[{"sublevel":["b"],"key":"k","value":"1"}],"ops":[{"type":"put","key":"z","value":"9"}]}
{"op":"batch","ops":[{"type":"put","key":"lost","value":""},{"type":"put","sublevel":["b c"],"key":"k","value":""}]}
{"op":"scan"}
"#,
    );
    assert_eq!(
        answers[1]["entries"],
        json!([["!a!k", "1"], ["!b!!c!k", "2"], ["k", "3"]])
    );
    assert_eq!(answers[2]["committed"], true);
    assert_eq!(answers[3]["committed"], false);
    assert_eq!(answers[4]["committed"], true);
    assert_eq!(answers[5]["error"]["kind"], "InvalidArgument");
    assert_eq!(
        answers[6]["entries"],
        json!([["!a!z", "9"], ["!b!!c!k", "2"], ["!b!k", "1"], ["k", "3"]])
    );
}
