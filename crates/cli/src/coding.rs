//! How keys and values are written on the command line and in what is printed: `--key-encoding`, `--value-encoding`.
//!
//! What it promises: what is printed with an encoding is read back with it to the same bytes, and what an encoding cannot
//! express is an error that names another one, never a changed byte.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::args::ByteArg;
use crate::failure::{Failure, Result};
use crate::json::{ByteBuf, Bytes, about_base64, complaint, complaint_inside};
use crate::text::printable;

/// The form in which bytes are given and printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Encoding {
    /// The very bytes; in JSON a string, or {"base64":".."} where they are no UTF-8
    #[default]
    Bytes,
    /// Text; anything else is refused
    Utf8,
    /// A JSON document, stored as its text without blanks
    Json,
    /// Two hexadecimal digits a byte
    Hex,
    /// Base64 with padding
    Base64,
}

/// The encoding of the bounds of a command that prints no keys.
#[derive(Args, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BoundCoding {
    /// How the bounds are given
    #[arg(
        long,
        value_name = "ENCODING",
        default_value = "bytes",
        hide_default_value = true,
        help_heading = "Keys and values"
    )]
    key_encoding: Encoding,
}

impl From<BoundCoding> for Coding {
    fn from(bounds: BoundCoding) -> Coding {
        Coding {
            key: bounds.key_encoding,
            ..Coding::default()
        }
    }
}

/// The encodings of a command's keys and values.
#[derive(Args, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coding {
    /// How keys are given and printed
    #[arg(
        long = "key-encoding",
        value_name = "ENCODING",
        default_value = "bytes",
        hide_default_value = true,
        help_heading = "Keys and values"
    )]
    pub key: Encoding,
    /// How values are given and printed
    #[arg(
        long = "value-encoding",
        value_name = "ENCODING",
        default_value = "bytes",
        hide_default_value = true,
        help_heading = "Keys and values"
    )]
    pub value: Encoding,
}

impl Coding {
    /// The key that an argument stands for.
    pub fn key(self, given: &ByteArg) -> Result<Vec<u8>> {
        read("key", self.key, given)
    }

    /// The value that an argument stands for.
    pub fn value(self, given: &ByteArg) -> Result<Vec<u8>> {
        read("value", self.value, given)
    }
}

fn read(what: &str, encoding: Encoding, given: &ByteArg) -> Result<Vec<u8>> {
    encoding.decode(&given.0).map_err(|why| {
        Failure::Usage(format!(
            "the {what} {:?}: {why}; nothing was done",
            printable(&given.0, &[])
        ))
    })
}

impl Encoding {
    /// The bytes that `text` stands for, or what is wrong with it.
    pub fn decode(self, text: &[u8]) -> std::result::Result<Vec<u8>, String> {
        match self {
            Encoding::Bytes => Ok(text.to_vec()),
            Encoding::Utf8 => match std::str::from_utf8(text) {
                Ok(_) => Ok(text.to_vec()),
                Err(_) => Err("it is not UTF-8".into()),
            },
            Encoding::Json => match serde_json::from_slice::<IgnoredAny>(text) {
                Ok(_) => Ok(without_blanks(text)),
                Err(error) => Err(format!("it is not JSON: {}", complaint(&error))),
            },
            Encoding::Hex => from_hex(text),
            Encoding::Base64 => STANDARD
                .decode(text)
                .map_err(|error| format!("it is not base64: {}", about_base64(&error))),
        }
    }

    /// What stands for `bytes`, or why nothing does.
    pub fn encode(self, bytes: &[u8]) -> Result<Cow<'_, [u8]>> {
        let cannot = |what| {
            Failure::Usage(format!(
                "{:?} is not {what}; print it with another encoding, such as hex",
                printable(bytes, &[])
            ))
        };
        match self {
            Encoding::Bytes => Ok(bytes.into()),
            Encoding::Utf8 => match std::str::from_utf8(bytes) {
                Ok(_) => Ok(bytes.into()),
                Err(_) => Err(cannot("UTF-8")),
            },
            Encoding::Json => match serde_json::from_slice::<IgnoredAny>(bytes) {
                Ok(_) => Ok(bytes.into()),
                Err(_) => Err(cannot("JSON")),
            },
            Encoding::Hex => {
                let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
                Ok(digits
                    .map(|digit| b"0123456789abcdef"[usize::from(digit)])
                    .collect())
            }
            Encoding::Base64 => Ok(STANDARD.encode(bytes).into_bytes().into()),
        }
    }

    /// What stands for `bytes` in a line of JSON.
    pub fn json(self, bytes: &[u8]) -> Result<InJson<'_>> {
        if self == Encoding::Bytes {
            return Ok(InJson::Bytes(Bytes(bytes)));
        }
        let text = String::from_utf8(self.encode(bytes)?.into_owned())
            .map_err(|_| Failure::Database("an encoding is no text".into()))?;
        match self {
            Encoding::Json => RawValue::from_string(text)
                .map(InJson::Raw)
                .map_err(|error| Failure::output(error.into())),
            _ => Ok(InJson::Text(text)),
        }
    }

    /// The bytes that a field of a line of JSON stands for.
    pub fn read_json(self, field: &RawValue) -> std::result::Result<Vec<u8>, String> {
        let wrong = |error: serde_json::Error| complaint_inside(&error);
        match self {
            Encoding::Bytes => {
                let ByteBuf(bytes) = serde_json::from_str(field.get()).map_err(wrong)?;
                Ok(bytes)
            }
            Encoding::Json => self.decode(field.get().as_bytes()),
            _ => {
                let text: String = serde_json::from_str(field.get()).map_err(wrong)?;
                self.decode(text.as_bytes())
            }
        }
    }
}

/// Bytes in a line of JSON.
#[derive(Serialize)]
#[serde(untagged)]
pub enum InJson<'a> {
    Bytes(Bytes<'a>),
    Text(String),
    Raw(Box<RawValue>),
}

/// `text`, which is JSON, without what may stand between its parts: one document, one form.
fn without_blanks(text: &[u8]) -> Vec<u8> {
    let (mut inside, mut escaped) = (false, false);
    let keep = |byte: &u8| {
        let byte = *byte;
        if inside {
            inside = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            return true;
        }
        inside = byte == b'"';
        !byte.is_ascii_whitespace()
    };
    text.iter().copied().filter(keep).collect()
}

fn from_hex(text: &[u8]) -> std::result::Result<Vec<u8>, String> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.chunks(2).map(|pair| match pair {
        &[high, low] => Some((digit(high)? << 4 | digit(low)?) as u8),
        _ => None,
    });
    pairs
        .collect::<Option<_>>()
        .ok_or_else(|| "it is not hexadecimal: give two digits a byte".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Encoding; 5] = [
        Encoding::Bytes,
        Encoding::Utf8,
        Encoding::Json,
        Encoding::Hex,
        Encoding::Base64,
    ];

    #[test]
    fn what_is_printed_is_read_back() {
        for bytes in [
            &b""[..],
            b"a",
            b"\0\xff",
            b"{\"a b\":[1,\"\\\" \"]}",
            "é\n".as_bytes(),
        ] {
            for encoding in ALL {
                let Ok(text) = encoding.encode(bytes) else {
                    assert!(matches!(encoding, Encoding::Utf8 | Encoding::Json));
                    continue;
                };
                assert_eq!(encoding.decode(&text).as_deref(), Ok(bytes), "{encoding:?}");
                let json = encoding.json(bytes).expect("as it is text");
                let json = serde_json::value::to_raw_value(&json).expect("a line");
                assert_eq!(
                    encoding.read_json(&json).as_deref(),
                    Ok(bytes),
                    "{encoding:?}"
                );
            }
        }
    }

    #[test]
    fn json_is_stored_without_blanks_but_for_those_in_strings() {
        let stored = Encoding::Json.decode(b" { \"a \\\" b\" : [ 1 , 2 ] }\n");
        assert_eq!(stored.as_deref(), Ok(&b"{\"a \\\" b\":[1,2]}"[..]));
    }

    #[test]
    fn what_an_encoding_does_not_have_is_refused() {
        for (encoding, text) in [
            (Encoding::Utf8, &b"\xff"[..]),
            (Encoding::Json, b"{"),
            (Encoding::Json, b"1 2"),
            (Encoding::Hex, b"abc"),
            (Encoding::Hex, b"zz"),
            (Encoding::Hex, b"+1"),
            (Encoding::Base64, b"a"),
        ] {
            assert!(encoding.decode(text).is_err(), "{encoding:?} {text:?}");
        }
        assert!(Encoding::Utf8.encode(b"\xff").is_err());
        assert!(Encoding::Json.encode(b"a").is_err());
    }
}
