//! The loader of a program: what its file says of the dynamic linker.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What loads a program.
#[derive(Debug, PartialEq, Eq)]
pub enum Loader {
    /// The dynamic linker of the GNU C library.
    Glibc,
    /// Another one.
    Other(String),
    /// None: it is linked statically.
    None,
    /// It is a script for this program.
    Script(PathBuf),
    /// It is no program of a kind that is known here.
    Unknown,
}

/// Program headers that are looked at, and the longest path of a loader or interpreter.
const MOST_HEADERS: u16 = 128;
const LONGEST_PATH: u64 = 4096;
/// The type of the header that names the loader.
const PT_INTERP: u32 = 3;

/// The loader of the program in this file.
///
/// # Errors
/// The file can't be read.
pub fn loader(path: &Path) -> io::Result<Loader> {
    let mut file = File::open(path)?;
    let mut head = Vec::new();
    (&mut file).take(LONGEST_PATH).read_to_end(&mut head)?;
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let mut words = line.split(|byte| b" \t".contains(byte));
        let interpreter = words.find(|word| !word.is_empty());
        let path = interpreter.map(|word| PathBuf::from(OsStr::from_bytes(word)));
        return Ok(path.map_or(Loader::Unknown, Loader::Script));
    }
    // 64 bits, low byte first: what this program itself is.
    if !head.starts_with(b"\x7fELF\x02\x01") || cfg!(target_endian = "big") {
        return Ok(Loader::Unknown);
    }
    let Some(table) = Table::of(&head) else {
        return Ok(Loader::Unknown);
    };
    for number in 0..table.count.min(MOST_HEADERS) {
        let mut header = [0; 56];
        let at = table
            .start
            .saturating_add(u64::from(number) * u64::from(table.size));
        file.read_exact_at(&mut header, at)?;
        if u32_at(&header, 0) == Some(PT_INTERP)
            && let (Some(offset), Some(len)) = (u64_at(&header, 8), u64_at(&header, 32))
        {
            let mut name = vec![0; len.min(LONGEST_PATH) as usize];
            file.read_exact_at(&mut name, offset)?;
            return Ok(named(&name));
        }
    }
    Ok(Loader::None)
}

/// Where the program headers are.
struct Table {
    start: u64,
    size: u16,
    count: u16,
}

impl Table {
    fn of(head: &[u8]) -> Option<Table> {
        Some(Table {
            start: u64_at(head, 32)?,
            size: u16_at(head, 54)?,
            count: u16_at(head, 56)?,
        })
    }
}

/// The loader of this path, which ends with a zero.
fn named(path: &[u8]) -> Loader {
    let path = path.split(|&byte| byte == 0).next().unwrap_or_default();
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    match name.starts_with(b"ld-linux") || name.starts_with(b"ld64.so") {
        true => Loader::Glibc,
        false => Loader::Other(String::from_utf8_lossy(name).into_owned()),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let field = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_le_bytes(*field))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*field))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*field))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program of one header of this type, which names this loader.
    fn program(kind: u32, loader: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
        bytes[54..56].copy_from_slice(&56_u16.to_le_bytes());
        bytes[56..58].copy_from_slice(&1_u16.to_le_bytes());
        bytes[64..68].copy_from_slice(&kind.to_le_bytes());
        bytes[72..80].copy_from_slice(&120_u64.to_le_bytes());
        bytes[96..104].copy_from_slice(&(loader.len() as u64).to_le_bytes());
        bytes.extend_from_slice(loader);
        bytes
    }

    fn of(contents: &[u8]) -> io::Result<Loader> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), contents).unwrap();
        loader(file.path())
    }

    #[test]
    fn loader_is_read_from_the_program() {
        let gnu = program(PT_INTERP, b"/lib64/ld-linux-x86-64.so.2\0");
        assert_eq!(of(&gnu).unwrap(), Loader::Glibc);
        let other = program(PT_INTERP, b"/lib/ld-musl-x86_64.so.1\0");
        assert_eq!(
            of(&other).unwrap(),
            Loader::Other("ld-musl-x86_64.so.1".into())
        );
        assert_eq!(of(&program(1, b"")).unwrap(), Loader::None);
        assert_eq!(
            of(b"#! /bin/sh -e\n:").unwrap(),
            Loader::Script("/bin/sh".into())
        );
        assert_eq!(loader(Path::new("/proc/self/exe")).unwrap(), Loader::Glibc);
    }

    #[test]
    fn cut_and_foreign_files_are_unknown_or_an_error() {
        let whole = program(PT_INTERP, b"/lib64/ld-linux-x86-64.so.2\0");
        for length in 0..whole.len() {
            match of(&whole[..length]) {
                Ok(found) => assert!(length < 64 && found == Loader::Unknown, "{length}"),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{length}"),
            }
        }
        assert_eq!(of(b"#!").unwrap(), Loader::Unknown);
        assert_eq!(of(b"text").unwrap(), Loader::Unknown);
    }
}
