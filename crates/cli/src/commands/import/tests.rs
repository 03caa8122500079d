use super::*;

#[derive(Default)]
struct Recorder {
    batches: Vec<u32>,
    fail_at: Option<usize>,
}

impl Batches for Recorder {
    fn write(&mut self, batch: &WriteBatch) -> Result<()> {
        if self.fail_at == Some(self.batches.len()) {
            return Err(Failure::Database("the disk is full".into()));
        }
        self.batches.push(batch.count());
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
        message.starts_with("line 5: invalid type: integer `5`"),
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
    assert!(refused(b"[1,2]").contains("expected"));
    assert!(refused(br#"{"key":"a","value":"1"} x"#).contains("trailing characters"));
    assert!(refused(br#"{"key":"a"}"#).contains("missing field `value`"));
}
