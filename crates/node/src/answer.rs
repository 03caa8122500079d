//! What a call gives to JavaScript.

use crate::fault::Fault;
use crate::objects::Id;

/// A value that JavaScript gets.
pub enum Answer {
    Undefined,
    Flag(bool),
    /// Of a call that is not answered yet. As the result of a call that may have to wait a number is always this: numbers that
    /// are data are given as text, and those of objects in a list.
    Ticket(u32),
    Object(Id),
    Text(String),
    /// A value in the format that the caller asked for, or `undefined`.
    Value(Option<Vec<u8>>, Format),
    Values(Vec<Option<Vec<u8>>>, Format),
    Flags(Vec<bool>),
    /// The parts of a walk's entries, one after the other: keys, values, or each key with its value behind it.
    Parts(Parts),
    /// Several answers.
    List(Vec<Answer>),
    /// The error object of a failure, as a value.
    Fault(Fault),
}

/// How bytes become a JavaScript value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Buffer,
    /// A string. What is no UTF-8 becomes U+FFFD, as by Node's own decoding.
    Utf8,
}

impl Format {
    pub fn utf8_if(yes: bool) -> Format {
        match yes {
            true => Format::Utf8,
            false => Format::Buffer,
        }
    }
}

/// Keys and values of a walk.
pub struct Parts {
    pub keys: Option<Format>,
    pub values: Option<Format>,
    pub entries: Vec<(Vec<u8>, Vec<u8>)>,
    /// Nothing comes after these.
    pub is_end: bool,
}

impl From<()> for Answer {
    fn from((): ()) -> Self {
        Answer::Undefined
    }
}

impl From<bool> for Answer {
    fn from(flag: bool) -> Self {
        Answer::Flag(flag)
    }
}

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Answer::Text(text)
    }
}
