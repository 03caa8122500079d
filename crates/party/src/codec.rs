//! How typed keys and values become bytes and back.
//!
//! A codec is a type without values: `Typed<Utf8, Json<User>>` says all there is to say. It promises that what it encodes
//! it decodes to the same; one for keys says besides whether bytewise order is the order of what is encoded.

use std::borrow::Cow;
use std::marker::PhantomData;

/// Why something could not be encoded or decoded.
pub type CodecError = Box<dyn std::error::Error + Send + Sync>;

/// Turns keys or values into bytes and back.
///
/// ```
/// use std::borrow::Cow;
/// use level_party::{Codec, CodecError, Utf8};
///
/// /// A point in the plane, as two big-endian numbers.
/// enum Point {}
///
/// impl Codec for Point {
///     type Given = (u16, u16);
///     type Item = (u16, u16);
///
///     fn encode(&(x, y): &Self::Given) -> Result<Cow<'_, [u8]>, CodecError> {
///         Ok([x.to_be_bytes(), y.to_be_bytes()].concat().into())
///     }
///
///     fn decode(bytes: &[u8]) -> Result<Self::Item, CodecError> {
///         let [a, b, c, d] = <[u8; 4]>::try_from(bytes)?;
///         Ok((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
///     }
/// }
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path())?;
/// let places = db.sublevel("places")?.typed::<Utf8, Point>();
/// places.put("home", &(3, 4))?;
/// assert_eq!(places.get("home")?, Some((3, 4)));
/// # Ok::<(), level_party::Error>(())
/// ```
pub trait Codec {
    /// What is encoded: it may be a borrowed form, as `str`.
    type Given: ?Sized;
    /// What decoding gives.
    type Item;

    /// The bytes of `given`.
    ///
    /// # Errors
    /// What has no bytes in this encoding.
    fn encode(given: &Self::Given) -> Result<Cow<'_, [u8]>, CodecError>;

    /// What `bytes` stand for.
    ///
    /// # Errors
    /// Bytes that this codec would not have made. It never panics on any.
    fn decode(bytes: &[u8]) -> Result<Self::Item, CodecError>;
}

/// Bytes as they are (`buffer` and `view` of npm's `level`).
#[derive(Debug)]
pub enum Bytes {}

impl Codec for Bytes {
    type Given = [u8];
    type Item = Vec<u8>;

    fn encode(given: &[u8]) -> Result<Cow<'_, [u8]>, CodecError> {
        Ok(Cow::Borrowed(given))
    }

    fn decode(bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
        Ok(bytes.to_vec())
    }
}

/// Text (`utf8` of npm's `level`, the default there). Bytes that are none are an error, not replaced.
#[derive(Debug)]
pub enum Utf8 {}

impl Codec for Utf8 {
    type Given = str;
    type Item = String;

    fn encode(given: &str) -> Result<Cow<'_, [u8]>, CodecError> {
        Ok(Cow::Borrowed(given.as_bytes()))
    }

    fn decode(bytes: &[u8]) -> Result<String, CodecError> {
        Ok(std::str::from_utf8(bytes)?.to_owned())
    }
}

/// Integers as bytes of fixed length whose bytewise order is that of the numbers: big-endian, and the sign bit of
/// signed ones flipped.
///
/// ```
/// use level_party::{BigEndian, Utf8};
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path())?;
/// let readings = db.sublevel("readings")?.typed::<BigEndian<i64>, Utf8>();
/// for celsius in [3, -40, 300] {
///     readings.put(&celsius, "read")?;
/// }
/// let cold: Vec<i64> = readings.range(..100).keys().collect::<level_party::Result<_>>()?;
/// assert_eq!(cold, [-40, 3]);
/// # Ok::<(), level_party::Error>(())
/// ```
#[derive(Debug)]
pub struct BigEndian<T>(PhantomData<fn() -> T>);

macro_rules! integers {
    ($($integer:ty),*) => { $(
        impl Codec for BigEndian<$integer> {
            type Given = $integer;
            type Item = $integer;

            fn encode(given: &$integer) -> Result<Cow<'_, [u8]>, CodecError> {
                // The least number becomes zero: nothing changes but the sign bit of a signed one.
                Ok((given ^ <$integer>::MIN).to_be_bytes().to_vec().into())
            }

            fn decode(bytes: &[u8]) -> Result<$integer, CodecError> {
                let number = bytes.try_into().map_err(|_| {
                    let right = size_of::<$integer>();
                    format!("{} bytes where a number has {right}", bytes.len())
                })?;
                Ok(<$integer>::from_be_bytes(number) ^ <$integer>::MIN)
            }
        }
    )* };
}

integers!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128);

/// JSON (`json` of npm's `level`), for whatever serde serializes. With the feature `json` (default).
///
/// Node reads what this writes and the reverse. As keys the two agree on strings, integers, booleans, and lists and
/// objects of such; a float without a fraction is `1.0` here and `1` there. The order of keys is that of the text.
///
/// ```
/// use level_party::{Json, Utf8};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// struct User { name: String, born: u16 }
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path())?;
/// let users = db.sublevel("users")?.typed::<Utf8, Json<User>>();
/// let ada = User { name: "Ada Lovelace".into(), born: 1815 };
/// users.put("ada", &ada)?;
/// assert_eq!(users.get("ada")?, Some(ada));
/// # Ok::<(), level_party::Error>(())
/// ```
#[cfg(feature = "json")]
#[derive(Debug)]
pub struct Json<T>(PhantomData<fn() -> T>);

#[cfg(feature = "json")]
impl<T: serde::Serialize + serde::de::DeserializeOwned> Codec for Json<T> {
    type Given = T;
    type Item = T;

    fn encode(given: &T) -> Result<Cow<'_, [u8]>, CodecError> {
        Ok(serde_json::to_vec(given)?.into())
    }

    fn decode(bytes: &[u8]) -> Result<T, CodecError> {
        Ok(serde_json::from_slice(bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered<T: Copy + PartialEq + std::fmt::Debug>(numbers: &[T])
    where
        BigEndian<T>: Codec<Given = T, Item = T>,
    {
        let encode = |n: &T| BigEndian::<T>::encode(n).unwrap().into_owned();
        let bytes: Vec<Vec<u8>> = numbers.iter().map(encode).collect();
        assert!(bytes.is_sorted_by(|a, b| a < b), "{bytes:?}");
        for (number, bytes) in numbers.iter().zip(&bytes) {
            assert_eq!(BigEndian::<T>::decode(bytes).unwrap(), *number);
            assert!(BigEndian::<T>::decode(&bytes[1..]).is_err());
        }
    }

    #[test]
    fn numbers_are_in_the_order_of_their_bytes() {
        ordered(&[0u8, 1, 127, 128, 255]);
        ordered(&[i8::MIN, -1, 0, 1, i8::MAX]);
        ordered(&[0u64, 255, 256, 1 << 63, u64::MAX]);
        ordered(&[i64::MIN, -256, -1, 0, 1, 255, 256, i64::MAX]);
        ordered(&[i128::MIN, -1, 0, i128::MAX]);
        assert_eq!(*BigEndian::<u32>::encode(&258).unwrap(), [0, 0, 1, 2]);
        assert_eq!(*BigEndian::<i16>::encode(&0).unwrap(), [0x80, 0]);
    }

    #[test]
    fn text_that_is_none_is_refused() {
        assert!(Utf8::decode(b"\xff").is_err());
        assert_eq!(Utf8::decode("é".as_bytes()).unwrap(), "é");
    }
}
