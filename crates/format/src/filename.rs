//! The names of the files in a database directory, and the contents of CURRENT (`db/filename.cc`).
//!
//! Numbers are written with at least six digits, and read with any count. A table is `.ldb`; `.sst` is what LevelDB
//! before 1.14 wrote, to be looked for second.

use crate::Corruption;

/// Name of the file that names the MANIFEST in use.
pub const CURRENT: &str = "CURRENT";
/// Name of the file whose lock means the right to write.
pub const LOCK: &str = "LOCK";
/// Name of LevelDB's text log.
pub const INFO_LOG: &str = "LOG";
/// Name of LevelDB's text log of the run before.
pub const OLD_INFO_LOG: &str = "LOG.old";

const MANIFEST_PREFIX: &str = "MANIFEST-";

/// What a file is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A write-ahead log, `N.log`.
    Log,
    /// A table, `N.ldb` or `N.sst`.
    Table,
    /// `LOCK`.
    Lock,
    /// A log of version edits, `MANIFEST-N`.
    Manifest,
    /// `CURRENT`.
    Current,
    /// A file that gets its real name when it is complete, `N.dbtmp`.
    Temp,
    /// LevelDB's text log, `LOG` or `LOG.old`.
    InfoLog,
}

/// The kind and number of the file named `name`; number 0 where the kind has none; `None` if it is not LevelDB's.
///
/// ```
/// use level_party_format::filename::{self, FileKind};
///
/// assert_eq!(filename::parse("000012.ldb"), Some((FileKind::Table, 12)));
/// assert_eq!(filename::parse("MANIFEST-7"), Some((FileKind::Manifest, 7)));
/// assert_eq!(filename::parse("notes.txt"), None);
/// ```
pub fn parse(name: &str) -> Option<(FileKind, u64)> {
    match name {
        CURRENT => return Some((FileKind::Current, 0)),
        LOCK => return Some((FileKind::Lock, 0)),
        INFO_LOG | OLD_INFO_LOG => return Some((FileKind::InfoLog, 0)),
        _ => {}
    }
    if let Some(digits) = name.strip_prefix(MANIFEST_PREFIX) {
        return Some((FileKind::Manifest, parse_number(digits)?));
    }
    let (digits, suffix) = name.split_once('.')?;
    let kind = match suffix {
        "log" => FileKind::Log,
        "ldb" | "sst" => FileKind::Table,
        "dbtmp" => FileKind::Temp,
        _ => return None,
    };
    Some((kind, parse_number(digits)?))
}

/// Digits only (`str::parse` would take a sign), any count of leading zeros.
fn parse_number(digits: &str) -> Option<u64> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        digits.parse().ok()
    } else {
        None
    }
}

/// Name of write-ahead log `number`.
pub fn log(number: u64) -> String {
    format!("{number:06}.log")
}

/// Name of table `number`.
pub fn table(number: u64) -> String {
    format!("{number:06}.ldb")
}

/// Name that table `number` has if LevelDB before 1.14 wrote it.
pub fn table_old(number: u64) -> String {
    format!("{number:06}.sst")
}

/// Name of MANIFEST `number`.
pub fn manifest(number: u64) -> String {
    format!("{MANIFEST_PREFIX}{number:06}")
}

/// Name of the temporary file that becomes CURRENT for MANIFEST `number`.
pub fn temp(number: u64) -> String {
    format!("{number:06}.dbtmp")
}

/// What CURRENT holds when MANIFEST `number` is in use: its name and a newline.
pub fn current_contents(number: u64) -> String {
    format!("{}\n", manifest(number))
}

/// The name of the MANIFEST that CURRENT's `contents` give. Without its newline CURRENT was not written whole; and a
/// name that is no MANIFEST's is refused.
pub fn parse_current(contents: &[u8]) -> Result<String, Corruption> {
    let Some(name) = contents.strip_suffix(b"\n") else {
        return Err(Corruption::new("CURRENT does not end with a newline"));
    };
    match std::str::from_utf8(name) {
        Ok(name) if matches!(parse(name), Some((FileKind::Manifest, _))) => Ok(name.to_owned()),
        _ => Err(Corruption::new(format!(
            "CURRENT does not name a MANIFEST but {:?}",
            String::from_utf8_lossy(&name[..name.len().min(64)])
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leveldbs_own_examples_parse() {
        use FileKind::{Current, InfoLog, Lock, Log, Manifest, Table, Temp};
        for (name, kind, number) in [
            ("100.log", Log, 100),
            ("0.log", Log, 0),
            ("0.sst", Table, 0),
            ("0.ldb", Table, 0),
            ("CURRENT", Current, 0),
            ("LOCK", Lock, 0),
            ("MANIFEST-2", Manifest, 2),
            ("MANIFEST-000007", Manifest, 7),
            ("LOG", InfoLog, 0),
            ("LOG.old", InfoLog, 0),
            ("000001.dbtmp", Temp, 1),
            ("0000000000000000000000000000001.log", Log, 1),
            ("1234567.ldb", Table, 1_234_567),
            ("18446744073709551615.log", Log, u64::MAX),
        ] {
            assert_eq!(parse(name), Some((kind, number)), "{name}");
        }
    }

    #[test]
    fn other_names_do_not_parse() {
        for name in [
            "",
            "foo",
            "foo-dx-100.log",
            ".log",
            "manifest",
            "CURREN",
            "CURRENTX",
            "MANIFES",
            "MANIFEST",
            "MANIFEST-",
            "XMANIFEST-3",
            "MANIFEST-3x",
            "LOC",
            "LOCKx",
            "LO",
            "LOGx",
            "18446744073709551616.log",
            "184467440737095516150.log",
            "100",
            "100.",
            "100.lop",
            "+1.log",
            "-1.log",
            "1 .log",
            "1.log.bak",
            "level-party.state",
            "١.log",
            "MANIFEST-+1",
        ] {
            assert_eq!(parse(name), None, "{name:?}");
        }
    }

    #[test]
    fn names_round_trip_and_have_at_least_six_digits() {
        assert_eq!(log(192), "000192.log");
        assert_eq!(table(200), "000200.ldb");
        assert_eq!(table_old(200), "000200.sst");
        assert_eq!(manifest(100), "MANIFEST-000100");
        assert_eq!(temp(999), "000999.dbtmp");
        for number in [1, 999_999, 1_000_000, u64::MAX] {
            assert_eq!(parse(&log(number)), Some((FileKind::Log, number)));
            assert_eq!(parse(&table(number)), Some((FileKind::Table, number)));
            assert_eq!(parse(&table_old(number)), Some((FileKind::Table, number)));
            assert_eq!(parse(&manifest(number)), Some((FileKind::Manifest, number)));
            assert_eq!(parse(&temp(number)), Some((FileKind::Temp, number)));
        }
    }

    #[test]
    fn current_needs_its_newline_and_a_manifests_name() {
        assert_eq!(current_contents(5), "MANIFEST-000005\n");
        assert_eq!(
            parse_current(b"MANIFEST-000005\n").unwrap(),
            "MANIFEST-000005"
        );
        assert_eq!(parse_current(b"MANIFEST-5\n").unwrap(), "MANIFEST-5");
        for wrong in [
            &b""[..],
            b"\n",
            b"MANIFEST-000005",
            b"MANIFEST-000005\n\n",
            b"MANIFEST-000005\r\n",
            b"../MANIFEST-000005\n",
            b"000005.log\n",
            b"\xff\xfe\n",
        ] {
            assert!(parse_current(wrong).is_err(), "{wrong:?}");
        }
    }
}
