//! Where the endpoint is: a pipe with a random name, which a file in the data directory tells.
//!
//! **Invariant.** A name begins with the directory's identity, so it never means another directory's endpoint, however
//! long the paths are and whatever is copied: a file that tells another directory's name tells nothing. It ends with 128
//! random bits, drawn anew by each listener, so nobody can have taken it before, and what an old listener or its clients
//! still hold does not stand in the way of the next.
//!
//! The file is written in place and emptied, never removed or renamed: nobody who reads it stands in the way. Only the
//! holder of the directory's lock writes it. Names all have one length, so one is written over another by one write; who
//! reads a half of each finds no pipe of that name.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use crate::data_dir::DataDir;
use crate::identity::DirIdentity;

/// The name of the endpoint's file in the data directory; see the other systems'.
pub const ENDPOINT_NAME: &str = "level-party.endpoint";

const PIPES: &str = r"\\.\pipe\";
const NAME_CHARS: usize = PIPES.len() + "level-party-".len() + 16 + 1 + 16 + 1 + 32;

fn prefix(identity: DirIdentity) -> String {
    let DirIdentity { dev, ino } = identity;
    format!("{PIPES}level-party-{dev:016x}-{ino:016x}-")
}

/// A name that nobody has.
pub(super) fn draw(identity: DirIdentity) -> io::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    Ok(format!(
        "{}{:032x}",
        prefix(identity),
        u128::from_ne_bytes(random)
    ))
}

pub(super) fn path(dir: &DataDir) -> PathBuf {
    dir.path().join(ENDPOINT_NAME)
}

/// Tells the name from now on.
pub(super) fn tell(dir: &DataDir, name: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path(dir))?;
    if !file.metadata()?.is_file() {
        return Err(in_the_way(dir));
    }
    file.write_all(name.as_bytes())?;
    file.set_len(name.len() as u64)
}

/// Tells it no more, if it is still told.
pub(super) fn untell(dir: &DataDir, name: &str) -> io::Result<()> {
    match told(dir) {
        Ok(told) if told == name => File::options().write(true).open(path(dir))?.set_len(0),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The name that is told.
///
/// # Errors
/// `NotFound`: none, or another directory's. `AlreadyExists`: something that is no file is in its place.
pub(super) fn told(dir: &DataDir) -> io::Result<String> {
    let file = match File::open(path(dir)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let is_directory = std::fs::metadata(path(dir)).is_ok_and(|meta| meta.is_dir());
            return Err(if is_directory { in_the_way(dir) } else { error });
        }
        opened => opened?,
    };
    let mut bytes = Vec::with_capacity(NAME_CHARS);
    file.take(NAME_CHARS as u64 + 1).read_to_end(&mut bytes)?;
    let name = String::from_utf8(bytes).ok().filter(|name| {
        let random = name.strip_prefix(&prefix(dir.identity()));
        random.is_some_and(|random| {
            random.len() == 32 && random.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    });
    name.ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn in_the_way(dir: &DataDir) -> io::Error {
    let what = format!(
        "{} is in the way: it is not the endpoint's file; move it elsewhere",
        path(dir).display()
    );
    io::Error::new(io::ErrorKind::AlreadyExists, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture() -> (tempfile::TempDir, DataDir) {
        let tmp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(tmp.path()).unwrap();
        (tmp, dir)
    }

    #[test]
    fn a_name_is_found_by_its_directory_and_by_no_copy_of_it() {
        let ((_one, dir), (other_tmp, other)) = (fixture(), fixture());
        assert_eq!(told(&dir).unwrap_err().kind(), io::ErrorKind::NotFound);
        let name = draw(dir.identity()).unwrap();
        assert_eq!(name.len(), NAME_CHARS);
        tell(&dir, &name).unwrap();
        assert_eq!(told(&dir).unwrap(), name);
        std::fs::copy(path(&dir), other_tmp.path().join(ENDPOINT_NAME)).unwrap();
        assert_eq!(told(&other).unwrap_err().kind(), io::ErrorKind::NotFound);
        let next = draw(dir.identity()).unwrap();
        assert_ne!(next, name);
        tell(&dir, &next).unwrap();
        untell(&dir, &name).unwrap();
        assert_eq!(told(&dir).unwrap(), next, "a successor's");
        untell(&dir, &next).unwrap();
        assert_eq!(told(&dir).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_is_no_name_tells_nothing_and_a_directory_is_in_the_way() {
        let (tmp, dir) = fixture();
        let name = draw(dir.identity()).unwrap();
        for text in [
            "",
            "x",
            &name[1..],
            &format!("{name}0"),
            &name.replace('-', "\\"),
        ] {
            std::fs::write(tmp.path().join(ENDPOINT_NAME), text).unwrap();
            assert_eq!(
                told(&dir).unwrap_err().kind(),
                io::ErrorKind::NotFound,
                "{text}"
            );
        }
        std::fs::remove_file(tmp.path().join(ENDPOINT_NAME)).unwrap();
        std::fs::create_dir(tmp.path().join(ENDPOINT_NAME)).unwrap();
        assert_eq!(told(&dir).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
}
