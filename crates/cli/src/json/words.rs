//! What is wrong with JSON, in a person's words: `serde_json` speaks to programmers ("expected ident").
//!
//! What it promises: what it does not know it passes on as it is. A test has a case of each sentence.

use base64::DecodeError;

/// What a line of JSON fails at, as `serde_json` says it, and as this program does.
const SYNTAX: [(&str, &str); 18] = [
    ("EOF while parsing a list", "it ends inside a list"),
    ("EOF while parsing an object", "it ends inside an object"),
    ("EOF while parsing a string", "it ends inside a string"),
    ("EOF while parsing a value", "it ends where a value belongs"),
    ("expected `:`", "a colon is missing"),
    ("expected `,` or `]`", "a comma or ] is missing"),
    ("expected `,` or `}`", "a comma or } is missing"),
    (
        "expected ident",
        "text stands in double quotes, and only true, false and null without",
    ),
    (
        "expected value",
        "a value belongs here: text stands in double quotes",
    ),
    (
        "invalid escape",
        "a backslash in a string must be doubled, or begin \\n, \\t, \\\" or \\uXXXX",
    ),
    ("invalid number", "a number is not as JSON writes it"),
    ("number out of range", "a number is too large"),
    ("invalid unicode code point", "a string is not UTF-8"),
    (
        "control character",
        "a string has a control character; write it as \\n, \\t or \\u00XX",
    ),
    (
        "key must be a string",
        "the name of a field stands in double quotes",
    ),
    ("trailing comma", "nothing stands behind a comma"),
    (
        "trailing characters",
        "something stands behind the end of the JSON",
    ),
    (
        "recursion limit exceeded",
        "lists and objects are nested too deeply",
    ),
];

/// What is wrong with a line of JSON, with the column. The line's own number is the caller's to say.
pub fn complaint(error: &serde_json::Error) -> String {
    let what = complaint_inside(error);
    match error.column() {
        0 => what,
        column => format!("{what} (column {column})"),
    }
}

/// The same of a part of a line, whose columns say nothing.
pub fn complaint_inside(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or(&text);
    match error.is_data() {
        true => about_data(text),
        false => about_syntax(text),
    }
}

fn about_syntax(text: &str) -> String {
    let known = SYNTAX.iter().find(|(theirs, _)| text.starts_with(theirs));
    if let Some((_, ours)) = known {
        return (*ours).into();
    }
    match text.contains("hex escape") {
        true => "an escape \\uXXXX is not whole; one beyond U+FFFF takes two".into(),
        false => text.into(),
    }
}

fn about_data(text: &str) -> String {
    let field = |rest: &str| rest.split('`').next().unwrap_or_default().to_string();
    if let Some(rest) = text.strip_prefix("missing field `") {
        return format!("the field {:?} is missing", field(rest));
    }
    if let Some(rest) = text.strip_prefix("unknown field `") {
        return format!("there is no field {:?}", field(rest));
    }
    if let Some(rest) = text.strip_prefix("duplicate field `") {
        return format!("the field {:?} is given twice", field(rest));
    }
    if let Some(rest) = text.strip_prefix("unknown variant `") {
        return format!("{:?} is not known here", field(rest));
    }
    if let Some((length, wanted)) = text
        .strip_prefix("invalid length ")
        .and_then(|rest| rest.split_once(", expected "))
    {
        return format!("give {}, not a list of {length}", wanted_in_words(wanted));
    }
    let wrong = ["invalid type: ", "invalid value: "];
    let wrong = wrong.iter().find_map(|prefix| text.strip_prefix(prefix));
    match wrong.and_then(|rest| rest.rsplit_once(", expected ")) {
        Some((found, wanted)) => format!(
            "give {}, not {}",
            wanted_in_words(wanted),
            found_in_words(found)
        ),
        None => text.into(),
    }
}

fn found_in_words(found: &str) -> String {
    let number = ["integer `", "floating point `", "number `"];
    let number = number.iter().find_map(|prefix| found.strip_prefix(prefix));
    if let Some(number) = number {
        return format!("the number {}", number.trim_end_matches('`'));
    }
    match found {
        "map" => "an object".into(),
        "sequence" => "a list".into(),
        "boolean `true`" => "true".into(),
        "boolean `false`" => "false".into(),
        _ => match found.strip_prefix("string ") {
            Some(text) => format!("the text {text}"),
            None => found.into(),
        },
    }
}

fn wanted_in_words(wanted: &str) -> String {
    match wanted {
        "a sequence" => "a list".into(),
        "a tuple of size 2" => "a list of two".into(),
        "a map" => "an object".into(),
        "a boolean" => "true or false".into(),
        "a string" | "a borrowed string" => "text in double quotes".into(),
        "u64" | "u32" | "usize" => "a whole number from 0".into(),
        _ if wanted.starts_with("struct ") => "an object".into(),
        _ => wanted.into(),
    }
}

/// What is wrong with base64.
pub fn about_base64(error: &DecodeError) -> String {
    match error {
        DecodeError::InvalidByte(at, byte) => {
            let found = char::from(*byte).escape_default();
            format!("\"{found}\" at {at} is no character of base64")
        }
        DecodeError::InvalidLength(_) => {
            "it is cut off: base64 has four characters for three bytes".into()
        }
        DecodeError::InvalidLastSymbol(at, _) => {
            format!("it cannot end with the character at {at}")
        }
        DecodeError::InvalidPadding => "the = at its end are missing, or too many".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::Value;

    use super::*;

    fn syntax(text: &[u8]) -> String {
        complaint_inside(&serde_json::from_slice::<Value>(text).expect_err("not JSON"))
    }

    #[test]
    fn each_syntax_error_has_words_of_its_own() {
        let cases: [&[u8]; 18] = [
            b"[1",
            b"{\"a\":1",
            b"\"a",
            b"",
            b"{\"a\" 1}",
            b"[1 2]",
            b"{\"a\":1 \"b\"}",
            b"nonsense",
            b"x",
            b"\"\\x\"",
            b"1.x",
            b"1e999",
            b"\"\xff\"",
            b"\"\n\"",
            b"{a:1}",
            b"[1,]",
            b"1 2",
            &[b'['; 200],
        ];
        for (text, (theirs, ours)) in cases.iter().zip(SYNTAX) {
            assert_eq!(syntax(text), ours, "{theirs}");
        }
        assert!(syntax(br#""\ud800""#).contains("not whole"));
    }

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code)]
        count: u64,
        #[expect(dead_code)]
        list: Vec<bool>,
    }

    #[test]
    fn data_errors_are_told_in_words() {
        let told = |text: &str| {
            complaint_inside(&serde_json::from_str::<Sample>(text).expect_err("refused"))
        };
        assert_eq!(told("{}"), "the field \"count\" is missing");
        assert_eq!(told(r#"{"x":1}"#), "there is no field \"x\"");
        assert_eq!(
            told(r#"{"count":1,"count":1}"#),
            "the field \"count\" is given twice"
        );
        assert_eq!(
            told(r#"{"count":-1}"#),
            "give a whole number from 0, not the number -1"
        );
        assert_eq!(
            told(r#"{"count":"a"}"#),
            "give a whole number from 0, not the text \"a\""
        );
        assert_eq!(told(r#"{"list":{}}"#), "give a list, not an object");
        assert_eq!(
            told(r#"{"list":[1]}"#),
            "give true or false, not the number 1"
        );
        assert_eq!(told(r#"{"list":null}"#), "give a list, not null");
        assert_eq!(told("5"), "give an object, not the number 5");
        let pair = serde_json::from_str::<(u64, u64)>("[1]").expect_err("refused");
        assert_eq!(
            complaint_inside(&pair),
            "give a list of two, not a list of 1"
        );
    }
}
