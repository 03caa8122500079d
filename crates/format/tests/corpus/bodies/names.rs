//! File names, and the contents of CURRENT.

use level_party_format::filename::{self, FileKind};

/// Reads `data` as a file's name and as the contents of CURRENT. Gives how many of the two it is.
pub fn run(data: &[u8]) -> usize {
    let named = std::str::from_utf8(data).is_ok_and(name);
    usize::from(named) + usize::from(current(data))
}

fn name(name: &str) -> bool {
    let Some((kind, number)) = filename::parse(name) else {
        return false;
    };
    let ours = match kind {
        FileKind::Log => filename::log(number),
        FileKind::Table if name.ends_with(".sst") => filename::table_old(number),
        FileKind::Table => filename::table(number),
        FileKind::Manifest => filename::manifest(number),
        FileKind::Temp => filename::temp(number),
        FileKind::Lock | FileKind::Current | FileKind::InfoLog => name.to_owned(),
    };
    assert_eq!(filename::parse(&ours), Some((kind, number)));
    // The same name but for leading zeroes, so no name leaves the directory or means another's file.
    let bare = |name: &str| match name.split_once(|c: char| c.is_ascii_digit()) {
        Some((head, _)) => (
            head.to_owned(),
            name[head.len()..].trim_start_matches('0').to_owned(),
        ),
        None => (name.to_owned(), String::new()),
    };
    assert_eq!(bare(&ours), bare(name));
    assert!(!name.contains(['/', '\\', '\0']));
    true
}

fn current(contents: &[u8]) -> bool {
    let Ok(name) = filename::parse_current(contents) else {
        return false;
    };
    assert_eq!([name.as_bytes(), b"\n"].concat(), contents);
    let Some((FileKind::Manifest, number)) = filename::parse(&name) else {
        panic!("CURRENT names {name}");
    };
    let ours = filename::current_contents(number);
    assert_eq!(
        filename::parse_current(ours.as_bytes()),
        Ok(filename::manifest(number))
    );
    true
}
