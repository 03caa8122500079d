//! How bytes stand in JSON, in every command: a string where they are UTF-8, else `{"base64": "..."}`.
//!
//! Both forms are read everywhere, and what is written is always read back to the same bytes.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::coding::InJson;

mod words;

pub use words::{about_base64, complaint, complaint_inside};

/// Bytes to be written as JSON.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a>(pub &'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(text) = std::str::from_utf8(self.0) {
            return serializer.serialize_str(text);
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("base64", &STANDARD.encode(self.0))?;
        map.end()
    }
}

/// Bytes read from JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByteBuf(pub Vec<u8>);

impl<'de> Deserialize<'de> for ByteBuf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ByteVisitor)
    }
}

struct ByteVisitor;

impl<'de> Visitor<'de> for ByteVisitor {
    type Value = ByteBuf;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"a string or {"base64": "..."}"#)
    }

    fn visit_str<E>(self, text: &str) -> Result<ByteBuf, E> {
        Ok(ByteBuf(text.as_bytes().to_vec()))
    }

    fn visit_string<E>(self, text: String) -> Result<ByteBuf, E> {
        Ok(ByteBuf(text.into_bytes()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ByteBuf, A::Error> {
        let only = r#"an object here has the one field "base64", a string"#;
        match map.next_key::<String>()? {
            Some(field) if field == "base64" => {}
            _ => return Err(A::Error::custom(only)),
        }
        let text: String = map.next_value()?;
        if map.next_key::<String>()?.is_some() {
            return Err(A::Error::custom(only));
        }
        STANDARD
            .decode(text.as_bytes())
            .map(ByteBuf)
            .map_err(|why| {
                A::Error::custom(format_args!("not valid base64: {}", about_base64(&why)))
            })
    }
}

/// One entry as `export` writes it, `import` reads it and `scan --json` prints it.
#[derive(Serialize)]
pub struct EntryLine<'a> {
    pub key: InJson<'a>,
    pub value: InJson<'a>,
}

/// An [`EntryLine`] as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnedEntry {
    pub key: ByteBuf,
    pub value: ByteBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes: &[u8]) -> String {
        serde_json::to_string(&Bytes(bytes)).expect("bytes can always be written")
    }

    #[test]
    fn utf8_is_a_string_and_anything_else_base64() {
        assert_eq!(written(b"a"), r#""a""#);
        assert_eq!(written("\0\n\u{7f}é".as_bytes()), "\"\\u0000\\n\u{7f}é\"");
        assert_eq!(written(&[0xff, 0]), r#"{"base64":"/wA="}"#);
        assert_eq!(written(b""), r#""""#);
    }

    #[test]
    fn every_byte_string_comes_back_as_it_was() {
        for bytes in [
            &b""[..],
            b"a",
            b"\0",
            &[0xff],
            &[0xc3, 0x28],
            "häß \u{10ffff}".as_bytes(),
        ] {
            let back: ByteBuf = serde_json::from_str(&written(bytes)).expect("own form");
            assert_eq!(back.0, bytes);
        }
    }

    #[test]
    fn anything_but_the_two_forms_is_refused_with_a_reason() {
        let refused = |text: &str| {
            serde_json::from_str::<ByteBuf>(text)
                .expect_err(text)
                .to_string()
        };
        assert!(refused("5").contains(r#"expected a string or {"base64": "..."}"#));
        assert!(refused("[1]").contains("expected a string"));
        assert!(refused("null").contains("expected a string"));
        assert!(refused("{}").contains("base64"));
        assert!(refused(r#"{"hex":"00"}"#).contains("base64"));
        assert!(refused(r#"{"base64":"AA==","x":1}"#).contains("one field"));
        assert!(refused(r#"{"base64":"A"}"#).contains("not valid base64"));
    }

    #[test]
    fn an_entry_has_key_and_value_and_nothing_else() {
        let refused = |text: &str| {
            serde_json::from_str::<OwnedEntry>(text)
                .err()
                .expect(text)
                .to_string()
        };
        assert!(refused(r#"{"key":"a"}"#).contains("missing field `value`"));
        assert!(refused(r#"{"key":"a","value":"1","ttl":5}"#).contains("unknown field `ttl`"));
        assert!(refused(r#"{"key":"a","key":"b","value":"1"}"#).contains("duplicate field `key`"));
    }
}
