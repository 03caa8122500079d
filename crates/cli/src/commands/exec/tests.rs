use super::*;
use serde_json::{Value, json};

/// A database that says yes to everything.
struct Yes;

impl Dialogue for Yes {
    fn answer(&mut self, _: Request<'_>) -> Answer {
        Answer::Done
    }
}

/// Answers as they are written when the database would say yes to everything.
fn dialogue(input: &[u8]) -> Vec<Value> {
    let mut bytes = Vec::new();
    let output = Mutex::new(Output::new(&mut bytes, false));
    serve(input, &output, &mut Yes).expect("served");
    drop(output);
    let text = String::from_utf8(bytes).expect("answers are UTF-8");
    text.lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

fn message(answer: &Value) -> &str {
    assert_eq!(answer["ok"], false, "{answer}");
    assert_eq!(answer["error"]["kind"], "InvalidArgument", "{answer}");
    answer["error"]["message"]
        .as_str()
        .expect("a message is a string")
}

#[test]
fn every_request_gets_one_answer_in_order_with_its_id() {
    let answers = dialogue(
        b"{\"id\":1,\"op\":\"put\",\"key\":\"a\",\"value\":\"1\"}\n\
          {\"op\":\"status\",\"id\":\"two\"}\r\n\n\
          nonsense\n\
          {\"id\":[4],\"op\":\"fly\"}\n\
          {\"op\":\"delete\",\"key\":\"a\"}",
    );
    assert_eq!(answers.len(), 5);
    assert_eq!(answers[0], json!({"id": 1, "ok": true}));
    assert_eq!(answers[1], json!({"id": "two", "ok": true}));
    assert!(message(&answers[2]).starts_with("not a request"));
    assert_eq!(answers[3]["id"], json!([4]));
    assert_eq!(
        message(&answers[3]),
        "unknown op \"fly\": use hello, get, get_many, contains, put, delete, batch, cas, transaction, scan, count, clear, watch, unwatch, snapshot, release, status or checkpoint"
    );
    assert_eq!(answers[4], json!({"ok": true}));
}

#[test]
fn an_id_comes_back_digit_for_digit() {
    let mut bytes = Vec::new();
    let output = Mutex::new(Output::new(&mut bytes, false));
    let line = b"{\"id\":123456789012345678901234567890.10,\"op\":\"status\"}";
    serve(&line[..], &output, &mut Yes).expect("served");
    drop(output);
    assert_eq!(
        bytes,
        b"{\"id\":123456789012345678901234567890.10,\"ok\":true}\n"
    );
}

#[test]
fn wrong_requests_are_told_what_is_wrong() {
    let said = |line: &str| message(&dialogue(line.as_bytes())[0]).to_string();
    assert!(said("5").contains("give a JSON object, not the number 5"));
    assert!(said("[]").contains("give a JSON object, not a list"));
    assert_eq!(
        said("nonsense"),
        "not a request: text stands in double quotes, and only true, false and null without (column 2); send one JSON \
         object a line, with an \"op\""
    );
    assert!(said("{}").contains("needs an \"op\""));
    assert!(said(r#"{"op":5}"#).contains("the field \"op\""));
    assert_eq!(said(r#"{"op":"get"}"#), r#""get" needs the field "key""#);
    assert_eq!(
        said(r#"{"op":"put","key":"a"}"#),
        r#""put" needs the field "value""#
    );
    assert_eq!(
        said(r#"{"op":"get","key":"a","keys":"b"}"#),
        r#""get" has no field "keys""#
    );
    assert_eq!(
        said(r#"{"op":"get","key":"a","key":"b"}"#),
        r#"the field "key" is given twice"#
    );
    assert_eq!(
        said(r#"{"op":"get","key":5}"#),
        r#"the field "key": give a string or {"base64": "..."}, not the number 5"#
    );
    assert!(said(r#"{"op":"get","key":{"base64":"?"}}"#).contains("not valid base64"));
    assert!(said(r#"{"op":"scan","limit":-1}"#).contains("the field \"limit\""));
    assert!(said(r#"{"op":"scan","Limit":1}"#).contains("has no field \"Limit\""));
    assert!(
        said(r#"{"op":"put","key":"a","value":"1","sync":"yes"}"#).contains("the field \"sync\"")
    );
    assert_eq!(
        said(r#"{"op":"watch","since":"now","from":"now"}"#),
        r#""since" and "from" are one field: give one of them"#
    );
}

#[test]
fn wrong_items_are_named_by_their_number() {
    let said = |line: &str| message(&dialogue(line.as_bytes())[0]).to_string();
    let batch = |ops: &str| said(&format!(r#"{{"op":"batch","ops":{ops}}}"#));
    assert_eq!(
        batch("{}"),
        r#"the field "ops": give a list, not an object"#
    );
    assert_eq!(
        batch(r#"[{"type":"put","key":"a","value":"1"},5]"#),
        r#"item 2 of "ops": give a JSON object, not the number 5"#
    );
    assert_eq!(
        batch(r#"[{"type":"move","key":"a"}]"#),
        r#"item 1 of "ops": the type "move" is none: give "put" or "del""#
    );
    assert_eq!(
        batch(r#"[{"type":"put","key":"a"}]"#),
        r#"item 1 of "ops": "put" needs the field "value""#
    );
    assert_eq!(
        batch(r#"[{"key":"a"}]"#),
        r#"item 1 of "ops": an operation needs the field "type""#
    );
    assert_eq!(
        batch(r#"[{"type":"del","key":"a","value":"1"}]"#),
        r#"item 1 of "ops": "del" has no field "value""#
    );
    assert_eq!(
        batch(r#"[{"type":"del","key":"a","key":"b"}]"#),
        r#"item 1 of "ops": the field "key" is given twice"#
    );
    assert_eq!(
        batch(r#"[{"type":"del","key":"a","sublevel":"users"}]"#),
        r#"item 1 of "ops": the field "sublevel": give a list, not the text "users""#
    );
    assert_eq!(
        batch(r#"[{"type":"del","key":"a","sublevel":null}]"#),
        r#"item 1 of "ops": the field "sublevel": give a list, not null"#
    );
    let check = |check: &str| {
        said(&format!(
            r#"{{"op":"transaction","ops":[],"checks":[{check}]}}"#
        ))
    };
    assert_eq!(
        check(r#"{"key":"a"}"#),
        r#"item 1 of "checks": a check needs the field "value""#
    );
    assert_eq!(
        check(r#"{"prefix":"a"}"#),
        r#"item 1 of "checks": a check needs the fields "key" and "value", or a range and its "entries""#
    );
    assert_eq!(
        check(r#"{"prefix":"a","entries":[["k"]]}"#),
        r#"item 1 of "checks": the field "entries": give a list of two, not a list of 1"#
    );
    assert_eq!(
        check(r#"{"key":"a","value":null,"prefix":"b"}"#),
        r#"item 1 of "checks": a check has no field "prefix""#
    );
}

#[test]
fn bytes_that_are_no_utf8_do_not_end_the_dialogue() {
    let answers =
        dialogue(b"\xff\xfe\n{\"op\":\"get\",\"key\":\"\xff\"}\n{\"id\":3,\"op\":\"status\"}\n");
    assert_eq!(answers.len(), 3);
    message(&answers[0]);
    message(&answers[1]);
    assert_eq!(answers[2], json!({"id": 3, "ok": true}));
}

#[test]
fn a_deeply_nested_line_is_refused_and_not_a_stack_overflow() {
    let nested = "[".repeat(200_000);
    let answers = dialogue(format!("{{\"op\":{nested}\n{{\"op\":\"status\"}}\n").as_bytes());
    message(&answers[0]);
    assert_eq!(answers[1]["ok"], true);
}

#[test]
fn requests_are_read_as_they_are_meant() {
    let parsed = |line: &str| {
        Request::parse(line.as_bytes())
            .expect("a good request")
            .operation
    };
    let Operation::Get { key, at: None } = parsed(r#"{"op":"get","key":{"base64":"/wA="}}"#) else {
        panic!("a get")
    };
    assert_eq!(key, [0xff, 0]);
    let Operation::Write { ops, sync } = parsed(
        r#"{"op":"batch","sync":true,"ops":[{"type":"put","key":"a","value":"1"},{"type":"delete","key":"b"}]}"#,
    ) else {
        panic!("a write")
    };
    assert_eq!((ops.count(), sync), (2, Some(true)));
    let Operation::Write { ops, sync: None } = parsed(r#"{"op":"del","key":"a"}"#) else {
        panic!("a write")
    };
    assert_eq!(ops.count(), 1);
    let Operation::Scan {
        walk,
        keys: false,
        at: None,
    } = parsed(
        r#"{"op":"scan","gt":"a","gte":"b","lt":"y","lte":"z","prefix":"p","reverse":true,"limit":3}"#,
    )
    else {
        panic!("a scan")
    };
    let key = |text: &str| Some(text.as_bytes().to_vec());
    let expected = Walk {
        gt: key("a"),
        gte: key("b"),
        lt: key("y"),
        lte: key("z"),
        prefix: key("p"),
        reverse: true,
        limit: Some(3),
    };
    assert_eq!(walk, expected);
}

#[test]
fn answers_have_the_documented_form() {
    let line = |answer: Answer| {
        let mut bytes = Vec::new();
        let mut output = Output::new(&mut bytes, false);
        answer.write(None, &mut output).expect("written");
        drop(output);
        String::from_utf8(bytes).expect("UTF-8")
    };
    assert_eq!(
        line(Answer::Value(Some(b"1".to_vec()))),
        "{\"ok\":true,\"value\":\"1\"}\n"
    );
    assert_eq!(line(Answer::Value(None)), "{\"ok\":true,\"value\":null}\n");
    let mut entries = Entries::new(false);
    assert!(entries.push(b"a", b"1") && entries.push(b"b", &[0xff]));
    assert_eq!(
        line(Answer::Entries(entries)),
        "{\"ok\":true,\"entries\":[[\"a\",\"1\"],[\"b\",{\"base64\":\"/w==\"}]]}\n"
    );
    assert_eq!(
        line(Answer::Entries(Entries::new(false))),
        "{\"ok\":true,\"entries\":[]}\n"
    );
    let mut keys = Entries::new(true);
    assert!(keys.push(b"a", b"") && keys.push(&[0xff], b""));
    assert_eq!(
        line(Answer::Entries(keys)),
        "{\"ok\":true,\"keys\":[\"a\",{\"base64\":\"/w==\"}]}\n"
    );
    assert_eq!(
        line(Answer::Failed {
            kind: "Timeout",
            message: "x".into()
        }),
        "{\"ok\":false,\"error\":{\"kind\":\"Timeout\",\"message\":\"x\"}}\n"
    );
}

#[test]
fn a_scan_answer_says_when_it_grows_too_large() {
    let mut entries = Entries::new(false);
    let value = vec![b'v'; 1 << 20];
    let taken = (0..100).take_while(|_| entries.push(b"k", &value)).count();
    assert_eq!(taken, (Entries::LIMIT >> 20) - 1);
}
