//! The database of the damage sweep: what is written into it, and how its archive is unpacked.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use super::Files;
use crate::Op;

/// A tar archive is made of blocks of this many bytes.
const TAR_BLOCK: usize = 512;

/// The files of an archive `NAME.tar.zst` as `ci/peers/make-fixtures` makes it.
///
/// # Panics
/// If it is missing or is no such archive.
pub fn unpack(archive: &Path) -> Files {
    let packed = std::fs::read(archive)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", archive.display()));
    let mut tar = Vec::new();
    let mut unpacking = ruzstd::decoding::StreamingDecoder::new(&packed[..]).expect("a zstd frame");
    unpacking.read_to_end(&mut tar).expect("an archive");
    untar(&tar)
}

/// The files of a tar archive (POSIX ustar: name in the first 100 bytes of a header, the size in octal at 124).
fn untar(tar: &[u8]) -> Files {
    let text = |field: &[u8]| {
        let bytes = field.iter().copied().take_while(|byte| *byte != 0);
        String::from_utf8(bytes.collect()).expect("text")
    };
    let mut files = Files::new();
    let mut at = 0;
    while tar[at] != 0 {
        let name = text(&tar[at..][..100]);
        let size = text(&tar[at + 124..][..12]);
        let size = usize::from_str_radix(&size, 8).expect("an octal number");
        at += TAR_BLOCK;
        files.put(name, &tar[at..][..size]);
        at += size.next_multiple_of(TAR_BLOCK);
    }
    files
}

/// The keys of the workload are those of the numbers below this one.
pub const KEYS: u32 = 220;

/// The key of a number.
pub fn key(number: u32) -> Vec<u8> {
    match number {
        0 => Vec::new(),
        1 => vec![0xff; 3],
        _ => format!("key {number:04}").into_bytes(),
    }
}

/// The value of a number: no two numbers have the same, and a pack stores each in few bytes.
pub fn value(number: u32, length: usize) -> Vec<u8> {
    let word = number.wrapping_mul(0x9e37_79b1).to_le_bytes();
    let numbered = number.to_be_bytes();
    let bytes = numbered.iter().chain(word.iter().cycle());
    bytes.take(length).copied().collect()
}

/// The batches of the workload, in three parts. Behind the first everything is compacted; the second leaves tables above
/// those; the third stays in the log.
pub fn workload() -> [Vec<Vec<Op>>; 3] {
    let filled = (0..200).map(|n| vec![Op::Put(key(n), value(n, 500))]);
    let changed = (0..120).map(|n| {
        let number = n * 11 % 210;
        match n % 5 {
            0 => vec![Op::Delete(key(number))],
            1 => vec![
                Op::Put(key(number), value(1000 + n, 40)),
                Op::Delete(key(number + 1)),
            ],
            _ => vec![Op::Put(key(number), value(1000 + n, 1300))],
        }
    });
    let logged = (0..110).map(|n| {
        let number = n % 70 * 13 % KEYS;
        match n % 8 {
            3 => vec![Op::Put(key(number), Vec::new())],
            4 if n == 20 => vec![Op::Put(key(number), value(2000 + n, 5_000))],
            5 => vec![Op::Delete(key(number))],
            6 => vec![
                Op::Put(key(number), value(2000 + n, 60)),
                Op::Put(key(number + 3), value(3000 + n, 70)),
                Op::Delete(key(number / 2)),
            ],
            _ => vec![Op::Put(key(number), value(2000 + n, 500))],
        }
    });
    [filled.collect(), changed.collect(), logged.collect()]
}

/// What one operation made of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The sequence of the operation: the first one of the workload has 1.
    pub sequence: u64,
    /// The value it put; none for a deletion.
    pub value: Option<Vec<u8>>,
}

/// For each key of the workload all its versions, the oldest first.
pub fn versions() -> BTreeMap<Vec<u8>, Vec<Version>> {
    let mut versions: BTreeMap<Vec<u8>, Vec<Version>> = BTreeMap::new();
    let ops = workload().into_iter().flatten().flatten();
    for (op, sequence) in ops.zip(1..) {
        let (key, value) = match op {
            Op::Put(key, value) => (key, Some(value)),
            Op::Delete(key) => (key, None),
        };
        let version = Version { sequence, value };
        versions.entry(key).or_default().push(version);
    }
    versions
}
