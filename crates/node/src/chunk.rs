//! A step of a walk on its way to JavaScript.
//!
//! Where all of it are strings it goes as one JSON text: JavaScript makes its strings of that several times as fast as of a call of
//! Node-API each.

use crate::answer::{Answer, Format, Parts};

/// Entries, in the form in which they are given.
pub enum Chunk {
    Text(Text),
    Parts(Parts),
}

/// A JSON array: of pairs, or of keys or values alone. It has its last item to come: whether this is the end.
pub struct Text {
    json: String,
    keys: bool,
    values: bool,
}

impl Chunk {
    pub fn new(keys: Option<Format>, values: Option<Format>) -> Self {
        let are_strings = [keys, values]
            .iter()
            .flatten()
            .all(|format| *format == Format::Utf8);
        match are_strings {
            true => Chunk::Text(Text {
                json: String::from("["),
                keys: keys.is_some(),
                values: values.is_some(),
            }),
            false => Chunk::Parts(Parts {
                keys,
                values,
                entries: Vec::new(),
                is_end: false,
            }),
        }
    }

    pub fn push(&mut self, key: Vec<u8>, value: Vec<u8>) {
        match self {
            Chunk::Text(text) => text.push(&key, &value),
            Chunk::Parts(parts) => parts.entries.push((key, value)),
        }
    }

    pub fn finish(self, is_end: bool) -> Answer {
        match self {
            Chunk::Text(Text { mut json, .. }) => {
                json.push_str(if is_end { "true]" } else { "false]" });
                Answer::Text(json)
            }
            Chunk::Parts(parts) => Answer::Parts(Parts { is_end, ..parts }),
        }
    }
}

impl Text {
    fn push(&mut self, key: &[u8], value: &[u8]) {
        let json = &mut self.json;
        match (self.keys, self.values) {
            (true, true) => {
                json.push('[');
                push_string(json, key);
                json.push(',');
                push_string(json, value);
                json.push(']');
            }
            (true, false) => push_string(json, key),
            (false, _) => push_string(json, value),
        }
        json.push(',');
    }
}

/// Adds a JSON string of bytes that should be UTF-8.
fn push_string(json: &mut String, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    json.push('"');
    if is_plain(text.as_bytes()) {
        json.push_str(&text);
    } else {
        text.chars().for_each(|char| push_char(json, char));
    }
    json.push('"');
}

/// Whether nothing has to be escaped. Looked at in pieces, so that the compiler can look at many bytes at once.
fn is_plain(bytes: &[u8]) -> bool {
    let has_special = |piece: &[u8]| {
        piece
            .iter()
            .fold(false, |has, byte| has | is_special(*byte))
    };
    !bytes.chunks(64).any(has_special)
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn push_char(json: &mut String, char: char) {
    match char {
        '"' | '\\' => {
            json.push('\\');
            json.push(char);
        }
        '\u{0}'..='\u{1f}' => json.push_str(&format!("\\u{:04x}", u32::from(char))),
        _ => json.push(char),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(keys: bool, values: bool, entries: &[(&[u8], &[u8])]) -> serde_json::Value {
        let format = |yes: bool| yes.then_some(Format::Utf8);
        let mut chunk = Chunk::new(format(keys), format(values));
        for (key, value) in entries {
            chunk.push(key.to_vec(), value.to_vec());
        }
        match chunk.finish(true) {
            Answer::Text(json) => serde_json::from_str(&json).unwrap(),
            _ => panic!("no text"),
        }
    }

    #[test]
    fn every_character_survives_as_json() {
        let all: String = ('\u{0}'..='\u{2ff}')
            .chain(['\u{2028}', '\u{1f600}'])
            .collect();
        let entries = [(all.as_bytes(), all.as_bytes())];
        let expected = serde_json::json!([[all, all], true]);
        assert_eq!(text(true, true, &entries), expected);
    }

    #[test]
    fn text_has_the_shape_asked_for() {
        let entries: [(&[u8], &[u8]); 2] = [(b"a", b"1"), (b"b", b"\xff")];
        assert_eq!(
            text(true, false, &entries),
            serde_json::json!(["a", "b", true])
        );
        assert_eq!(
            text(false, true, &entries),
            serde_json::json!(["1", "\u{fffd}", true])
        );
        assert_eq!(text(true, true, &[]), serde_json::json!([true]));
    }
}
