//! What every call of a typed view does before it makes the plain one, and after: the same for threads and tasks.

use std::borrow::Cow;

use super::TypedKeyRange;
use crate::batch::Batch;
use crate::bounds::Bounds;
use crate::codec::{Codec, CodecError};
use crate::error::{Error, ErrorKind, Result};

pub fn encode_key<K: Codec>(key: &K::Given) -> Result<Cow<'_, [u8]>> {
    K::encode(key).map_err(|cause| encoding("a key cannot be encoded".into(), cause))
}

pub fn encode_keys<'k, K: Codec>(
    keys: impl IntoIterator<Item = &'k K::Given>,
) -> Result<Vec<Cow<'k, [u8]>>>
where
    K::Given: 'k,
{
    keys.into_iter().map(encode_key::<K>).collect()
}

/// The bytes of a value that is, or is to be, under the encoded `key`.
pub fn encode_value<'v, V: Codec>(key: &[u8], value: &'v V::Given) -> Result<Cow<'v, [u8]>> {
    V::encode(value).map_err(|cause| {
        encoding(
            format!("the value for the key {} cannot be encoded", shown(key)),
            cause,
        )
    })
}

pub fn encode_bounds<K: Codec>(bounds: impl TypedKeyRange<K::Given>) -> Result<Bounds> {
    bounds.into_bounds(&mut |key| Ok(encode_key::<K>(key)?.into_owned()))
}

/// The bounds of keys that begin with the bytes of `prefix`.
pub fn encode_prefix<K: Codec>(prefix: &K::Given) -> Result<Bounds> {
    encode_key::<K>(prefix).map(|prefix| Bounds::prefix(&prefix))
}

/// What a range is made of whose bounds may be none: then it is empty, and gives this error first.
pub fn or_problem(bounds: Result<Bounds>) -> (Bounds, Option<Error>) {
    match bounds {
        Ok(bounds) => (bounds, None),
        Err(problem) => (Bounds::none(), Some(problem)),
    }
}

pub fn decode_key<K: Codec>(key: &[u8]) -> Result<K::Item> {
    K::decode(key)
        .map_err(|cause| encoding(format!("the key {} cannot be decoded", shown(key)), cause))
}

pub fn decode_value<V: Codec>(key: &[u8], value: &[u8]) -> Result<V::Item> {
    V::decode(value).map_err(|cause| {
        encoding(
            format!("the value of the key {} cannot be decoded", shown(key)),
            cause,
        )
    })
}

pub fn decode_entry<K: Codec, V: Codec>(
    (key, value): (Vec<u8>, Vec<u8>),
) -> Result<(K::Item, V::Item)> {
    Ok((decode_key::<K>(&key)?, decode_value::<V>(&key, &value)?))
}

/// What was found under `key`.
pub fn decode_found<V: Codec>(key: &[u8], value: Option<Vec<u8>>) -> Result<Option<V::Item>> {
    let decode = |value: Vec<u8>| decode_value::<V>(key, &value);
    value.map(decode).transpose()
}

/// What was found under each of `keys`.
pub fn decode_all<V: Codec>(
    keys: &[Cow<'_, [u8]>],
    values: Vec<Option<Vec<u8>>>,
) -> Result<Vec<Option<V::Item>>> {
    let both = keys.iter().zip(values);
    both.map(|(key, value)| decode_found::<V>(key, value))
        .collect()
}

/// The arguments of a compare-and-swap.
pub struct Swap<'g> {
    pub key: Cow<'g, [u8]>,
    pub expected: Option<Cow<'g, [u8]>>,
    pub new: Option<Cow<'g, [u8]>>,
}

impl<'g> Swap<'g> {
    pub fn encode<K: Codec, V: Codec>(
        key: &'g K::Given,
        expected: Option<&'g V::Given>,
        new: Option<&'g V::Given>,
    ) -> Result<Self> {
        let key = encode_key::<K>(key)?;
        let encode = |value| encode_value::<V>(&key, value);
        Ok(Swap {
            expected: expected.map(encode).transpose()?,
            new: new.map(encode).transpose()?,
            key,
        })
    }
}

impl Batch<'_> {
    /// Adds what is to be under a typed key behind `prefix`, or the refusal of what cannot be encoded.
    pub(super) fn put_encoded<K: Codec, V: Codec>(
        &mut self,
        prefix: &[u8],
        key: &K::Given,
        value: &V::Given,
    ) {
        let encoded = encode_key::<K>(key).and_then(|key| {
            let value = encode_value::<V>(&key, value)?;
            Ok((key, value))
        });
        match encoded {
            Ok((key, value)) => self.put_behind(prefix, &key, &value),
            Err(error) => self.refuse(error),
        }
    }

    /// The same for the removal of a typed key.
    pub(super) fn delete_encoded<K: Codec>(&mut self, prefix: &[u8], key: &K::Given) {
        match encode_key::<K>(key) {
            Ok(key) => self.delete_behind(prefix, &key),
            Err(error) => self.refuse(error),
        }
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
