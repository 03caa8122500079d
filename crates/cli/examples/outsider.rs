//! What the test `doors` needs a program for that is not `level-party`:
//!
//! - `outsider try fcntl|flock DIR` tries the directory's `LOCK` in that way and says `held` or `refused`;
//! - `outsider exec ...` waits for one line on standard input and becomes `level-party exec ...`, so that many
//!   processes can be started first and open a directory at the same moment.

#[cfg(unix)]
fn main() {
    use level_party_testkit::{ForeignLock, LockKind};
    use std::os::unix::process::CommandExt;

    let args: Vec<_> = std::env::args_os().skip(1).collect();
    if args[0] == "try" {
        let kind = match args[1].to_str() {
            Some("fcntl") => LockKind::Fcntl,
            Some("flock") => LockKind::Flock,
            other => panic!("no kind of lock: {other:?}"),
        };
        let taken = ForeignLock::try_take(&args[2], kind);
        println!("{}", if taken.is_some() { "held" } else { "refused" });
        return;
    }
    // Byte by byte: what follows the line is the program's.
    let mut input = std::fs::File::open("/dev/stdin").expect("standard input is a pipe");
    let mut byte = [0];
    while std::io::Read::read(&mut input, &mut byte).is_ok_and(|read| read == 1) && byte != *b"\n" {
    }
    let own = std::env::current_exe().expect("a program knows its own path");
    let profile = own
        .ancestors()
        .nth(2)
        .expect("target/PROFILE/examples/NAME");
    let error = std::process::Command::new(profile.join("level-party"))
        .args(args)
        .exec();
    panic!("level-party does not start: {error}");
}

#[cfg(not(unix))]
fn main() {}
