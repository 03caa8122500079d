use super::*;

#[derive(Default)]
struct Recorder {
    batches: Vec<usize>,
    fail_at: Option<usize>,
}

impl Batches for Recorder {
    fn prefix(&self) -> usize {
        0
    }

    fn write(&mut self, batch: &WriteBatch) -> Result<()> {
        if self.fail_at == Some(self.batches.len()) {
            return Err(Failure::Database("the disk is full".into()));
        }
        self.batches.push(batch.len());
        Ok(())
    }
}

fn import(recorder: Recorder, input: &[u8]) -> (Importer<Recorder>, Result<()>) {
    let mut importer = Importer::new(recorder, Coding::default());
    let outcome = importer.read(input, &ProgressBar::hidden());
    (importer, outcome)
}

fn lines(count: usize, value: &str) -> Vec<u8> {
    (0..count)
        .flat_map(|i| format!("{{\"key\":\"{i}\",\"value\":\"{value}\"}}\n").into_bytes())
        .collect()
}

#[test]
fn batches_end_at_a_thousand_entries_or_a_mebibyte() {
    let (importer, outcome) = import(Recorder::default(), &lines(2_500, "v"));
    outcome.expect("good lines");
    assert_eq!(importer.sink.batches, [1_000, 1_000, 500]);
    assert_eq!(importer.written.load(SeqCst), 2_500);

    let (importer, outcome) = import(Recorder::default(), &lines(5, &"v".repeat(600_000)));
    outcome.expect("good lines");
    assert_eq!(importer.sink.batches, [2, 2, 1]);

    let large = [lines(2, "v"), lines(2, &"v".repeat(2 << 20)), lines(1, "v")].concat();
    let (importer, outcome) = import(Recorder::default(), &large);
    outcome.expect("good lines");
    assert_eq!(importer.sink.batches, [2, 1, 1, 1]);
}

#[test]
fn a_bad_line_is_named_and_everything_before_it_is_written() {
    let mut input = lines(3, "v");
    input.extend_from_slice(b"\n{\"key\":\"x\",\"value\":5}\n{\"key\":\"y\",\"value\":\"1\"}\n");
    let (importer, outcome) = import(Recorder::default(), &input);
    let Err(Failure::Usage(message)) = outcome else {
        panic!("a usage failure")
    };
    assert!(
        message.starts_with("line 5: give a string or {\"base64\": \"...\"}, not the number 5"),
        "{message}"
    );
    assert_eq!(importer.sink.batches, [3]);
    assert!(
        importer
            .standing()
            .starts_with("3 entries were imported before this line"),
        "{}",
        importer.standing()
    );
}

#[test]
fn a_failed_batch_says_which_lines_are_in_doubt() {
    let (importer, outcome) = import(
        Recorder {
            fail_at: Some(1),
            ..Recorder::default()
        },
        &lines(1_500, "v"),
    );
    assert!(matches!(outcome, Err(Failure::Database(_))));
    let standing = importer.standing();
    assert!(
        standing.starts_with("1,000 entries were imported before line 1001; of the 500"),
        "{standing}"
    );
}

#[test]
fn a_last_line_needs_no_newline_and_empty_input_is_fine() {
    let (importer, outcome) = import(
        Recorder::default(),
        br#"{"key":"a","value":{"base64":"/w=="}}"#,
    );
    outcome.expect("a good line");
    assert_eq!(importer.written.load(SeqCst), 1);
    let (importer, outcome) = import(Recorder::default(), b"");
    outcome.expect("nothing to do");
    assert!(importer.sink.batches.is_empty());
}

#[test]
fn what_is_wrong_with_a_line_is_said() {
    let refused = |line: &[u8]| parse(line, Coding::default()).err().expect("refused");
    assert!(refused(b"\xff").contains("not UTF-8"));
    assert!(refused(b"nonsense").contains(r#"a line is {"key":..,"value":..}"#));
    assert!(refused(b"[1,2]").contains("give a string"));
    assert!(refused(br#"{"key":"a","value":"1"} x"#).contains("behind the end of the JSON"));
    assert!(refused(br#"{"key":"a"}"#).contains("the field \"value\" is missing"));
}

#[test]
fn an_entry_that_no_database_holds_is_a_wrong_line() {
    for (key, value) in [
        (WriteBatch::MAX_KEY_BYTES + 1, 0),
        (1, WriteBatch::MAX_BYTES),
    ] {
        let mut input = lines(3, "v");
        let large = ["k".repeat(key), "v".repeat(value)];
        input.extend(
            format!("{{\"key\":\"{}\",\"value\":\"{}\"}}\n", large[0], large[1]).into_bytes(),
        );
        let (importer, outcome) = import(Recorder::default(), &input);
        let Err(Failure::Usage(message)) = outcome else {
            panic!("a usage failure")
        };
        assert!(
            message.starts_with("line 4: the ") && message.contains(" is over "),
            "{message}"
        );
        assert_eq!(importer.sink.batches, [3]);
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_line() {
    let line = br#"{"key":"a","value":""}"#;
    let marked = [BYTE_ORDER_MARK, line].concat();
    let (importer, outcome) = import(Recorder::default(), &marked);
    outcome.expect("a good line");
    assert_eq!(importer.sink.batches, [1]);
    let (_, outcome) = import(Recorder::default(), &[line, &b"\n"[..], &marked].concat());
    assert!(outcome.is_err(), "the mark stands at the beginning alone");
}
