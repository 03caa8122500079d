//! How typed calls encode keys and values before the plain call, and decode them after it: the same for threads and tasks.

use std::borrow::{Borrow, Cow};

use crate::codec::{Codec, CodecError};
use crate::error::{Error, ErrorKind, Result};

pub(crate) fn encode_key<K: Codec>(key: &K::Given) -> Result<Cow<'_, [u8]>> {
    K::encode(key).map_err(|cause| encoding("a key cannot be encoded".into(), cause))
}

pub(crate) fn encode_keys<'k, K: Codec>(
    keys: impl IntoIterator<Item = &'k K::Given>,
) -> Result<Vec<Cow<'k, [u8]>>>
where
    K::Given: 'k,
{
    keys.into_iter().map(encode_key::<K>).collect()
}

/// The bytes of a value that is, or is to be, under the encoded `key`.
pub(crate) fn encode_value<'v, V: Codec>(key: &[u8], value: &'v V::Given) -> Result<Cow<'v, [u8]>> {
    V::encode(value).map_err(|cause| {
        encoding(
            format!("the value for the key {} cannot be encoded", shown(key)),
            cause,
        )
    })
}

pub(crate) fn decode_key<K: Codec>(key: &[u8]) -> Result<K::Item> {
    K::decode(key)
        .map_err(|cause| encoding(format!("the key {} cannot be decoded", shown(key)), cause))
}

pub(crate) fn decode_value<V: Codec>(key: &[u8], value: &[u8]) -> Result<V::Item> {
    V::decode(value).map_err(|cause| {
        encoding(
            format!("the value of the key {} cannot be decoded", shown(key)),
            cause,
        )
    })
}

pub(crate) fn decode_entry<K: Codec, V: Codec>(
    key: &[u8],
    value: &[u8],
) -> Result<(K::Item, V::Item)> {
    Ok((decode_key::<K>(key)?, decode_value::<V>(key, value)?))
}

/// What was found under `key`.
pub(crate) fn decode_found<V: Codec>(
    key: &[u8],
    value: Option<Vec<u8>>,
) -> Result<Option<V::Item>> {
    let decode = |value: Vec<u8>| decode_value::<V>(key, &value);
    value.map(decode).transpose()
}

/// What was found under each of `keys`.
pub(crate) fn decode_all<V: Codec>(
    keys: &[Cow<'_, [u8]>],
    values: Vec<Option<Vec<u8>>>,
) -> Result<Vec<Option<V::Item>>> {
    let both = keys.iter().zip(values);
    both.map(|(key, value)| decode_found::<V>(key, value))
        .collect()
}

/// `change`, of a typed value under the encoded `key`, as one of bytes. What can't be coded goes into `problem`, and the key
/// is left as it is.
pub(crate) fn coded_change<'c, V: Codec, X: Borrow<V::Given>>(
    key: &'c [u8],
    change: &'c mut impl FnMut(Option<V::Item>) -> Option<X>,
    problem: &'c mut Option<Error>,
) -> impl FnMut(Option<&[u8]>) -> Option<Vec<u8>> {
    move |held| {
        let mut coded = || -> Result<Option<Vec<u8>>> {
            let item = held.map(|value| decode_value::<V>(key, value));
            let new = change(item.transpose()?);
            let encode = |new: X| Ok(encode_value::<V>(key, new.borrow())?.into_owned());
            new.map(encode).transpose()
        };
        *problem = None;
        coded().unwrap_or_else(|error| {
            *problem = Some(error);
            held.map(<[u8]>::to_vec)
        })
    }
}

fn encoding(what: String, cause: CodecError) -> Error {
    Error::new(ErrorKind::Encoding, format!("{what}: {cause}")).with_source(cause)
}

/// A key in a message.
fn shown(key: &[u8]) -> String {
    const MOST: usize = 100;
    let text = key[..key.len().min(MOST)].escape_ascii();
    match key.len() {
        ..=MOST => format!("\"{text}\""),
        long => format!("\"{text}...\" ({long} bytes)"),
    }
}
