//! Names of files as bytes, losing nothing: on Unix as they are, on Windows their UTF-16 units, little-endian.

use std::ffi::{OsStr, OsString};

#[cfg(unix)]
pub(crate) fn to_bytes(name: &OsStr) -> Vec<u8> {
    std::os::unix::ffi::OsStrExt::as_bytes(name).to_vec()
}

#[cfg(unix)]
pub(crate) fn from_bytes(bytes: &[u8]) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}

#[cfg(windows)]
pub(crate) fn to_bytes(name: &OsStr) -> Vec<u8> {
    std::os::windows::ffi::OsStrExt::encode_wide(name)
        .flat_map(u16::to_le_bytes)
        .collect()
}

#[cfg(windows)]
pub(crate) fn from_bytes(bytes: &[u8]) -> OsString {
    let units: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
        .collect();
    std::os::windows::ffi::OsStringExt::from_wide(&units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_survives_the_way_there_and_back() {
        for name in ["", "plain", "höhle 洞穴 \u{1F980}"] {
            assert_eq!(from_bytes(&to_bytes(OsStr::new(name))), name);
        }
    }

    #[test]
    fn a_name_that_is_no_unicode_does_too() {
        #[cfg(unix)]
        let name: OsString = std::os::unix::ffi::OsStringExt::from_vec(vec![b'a', 0xFF]);
        #[cfg(windows)]
        let name: OsString = std::os::windows::ffi::OsStringExt::from_wide(&[97, 0xD800]);
        assert_eq!(from_bytes(&to_bytes(&name)), name);
    }
}
