//! `/proc/locks` (proc_locks(5)): lines such as `1: FLOCK  ADVISORY  WRITE 1234 fe:01:567 0 EOF`.

use std::os::unix::fs::MetadataExt;

use crate::identity::DirIdentity;

/// The process that holds a `flock` on a file, according to the table's text. This process is named where nobody else holds
/// one: of several who share a lock it may be one itself, for the moment of a try.
pub(super) fn flock_holder(table: &str, file: DirIdentity) -> Option<u32> {
    let mut candidates: Vec<Entry> = table
        .lines()
        .filter_map(parse)
        .filter(|entry| entry.ino == file.ino)
        .collect();
    candidates.sort_by_key(|entry| entry.pid == std::process::id());
    let device = (rustix::fs::major(file.dev), rustix::fs::minor(file.dev));
    candidates
        .iter()
        .find(|entry| entry.device == device)
        // btrfs and overlayfs show another device in `stat` than here: ask the process.
        .or_else(|| candidates.iter().find(|entry| has_open(entry.pid, file)))
        .map(|entry| entry.pid)
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    pid: u32,
    device: (u32, u32),
    ino: u64,
}

/// A held `flock`; `None` for other kinds, for those who wait (`->`), and for anything unexpected.
fn parse(line: &str) -> Option<Entry> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    if fields.next()? != "FLOCK" {
        return None;
    }
    let pid = fields.nth(2)?.parse().ok().filter(|pid| *pid > 0)?;
    let mut file = fields.next()?.split(':');
    let major = u32::from_str_radix(file.next()?, 16).ok()?;
    let minor = u32::from_str_radix(file.next()?, 16).ok()?;
    let ino = file.next()?.parse().ok()?;
    Some(Entry {
        pid,
        device: (major, minor),
        ino,
    })
}

fn has_open(pid: u32, file: DirIdentity) -> bool {
    let Ok(fds) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    fds.flatten().any(|fd| {
        std::fs::metadata(fd.path()).is_ok_and(|m| m.dev() == file.dev && m.ino() == file.ino)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_held_flocks_count_and_odd_lines_are_skipped() {
        let table = "\
1: POSIX  ADVISORY  WRITE 11 08:02:77 0 EOF
2: OFDLCK ADVISORY  WRITE -1 08:02:77 0 EOF
3: FLOCK  ADVISORY  WRITE 33 08:02:770 0 EOF
4: -> FLOCK  ADVISORY  WRITE 44 08:02:77 0 EOF
5: FLOCK  ADVISORY  WRITE
6: FLOCK  ADVISORY  WRITE 0 08:02:77 0 EOF

7: FLOCK  ADVISORY  WRITE 55 08:02:77 0 EOF
";
        let file = DirIdentity {
            dev: rustix::fs::makedev(8, 2),
            ino: 77,
        };
        assert_eq!(flock_holder(table, file), Some(55));
        let elsewhere = DirIdentity {
            dev: rustix::fs::makedev(8, 3),
            ino: 77,
        };
        assert_eq!(flock_holder(table, elsewhere), None);
    }

    /// Found by a test that failed once: a process that tried to join named itself.
    #[test]
    fn this_process_is_named_where_nobody_else_holds_it() {
        let file = DirIdentity {
            dev: rustix::fs::makedev(8, 2),
            ino: 77,
        };
        let own = std::process::id();
        let ours = format!("1: FLOCK  ADVISORY  READ {own} 08:02:77 0 EOF\n");
        let theirs = format!("{ours}2: FLOCK  ADVISORY  READ 1 08:02:77 0 EOF\n");
        assert_eq!(flock_holder(&theirs, file), Some(1));
        assert_eq!(flock_holder(&ours, file), Some(own));
    }
}
