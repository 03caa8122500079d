//! A MANIFEST: the log reader, and version edits in its records.

use level_party_format::edit::{LEVELS, VersionEdit};
use level_party_format::{MAX_SEQUENCE, key};

use super::wal::for_each_log;

/// Reads `data` as one version edit, and as a MANIFEST. Gives the number of edits.
pub fn run(data: &[u8]) -> usize {
    let mut found = edit(data);
    for_each_log(data, |payload| found += edit(payload));
    found
}

/// Reads an edit. Gives 1 if it is one and says something.
fn edit(bytes: &[u8]) -> usize {
    let edit = match VersionEdit::decode(bytes) {
        Ok(edit) => edit,
        Err(error) => {
            assert!(error.offset.is_some_and(|at| at < bytes.len() as u64));
            return 0;
        }
    };
    let pointers = edit.compact_pointers.iter().map(|(level, _)| level);
    let deleted = edit.deleted_files.iter().map(|(level, _)| level);
    let new = edit.new_files.iter().map(|(level, _)| level);
    assert!(
        pointers
            .chain(deleted)
            .chain(new)
            .all(|level| *level < LEVELS)
    );
    assert!(edit.last_sequence.is_none_or(|last| last <= MAX_SEQUENCE));

    let pointers = edit.compact_pointers.iter().map(|(_, key)| key);
    let bounds = edit
        .new_files
        .iter()
        .flat_map(|(_, file)| [&file.smallest, &file.largest]);
    let keys: Vec<&Vec<u8>> = pointers.chain(bounds).collect();
    assert!(keys.iter().all(|key| key::parse(key).is_ok()));
    let held: usize = keys.iter().map(|key| key.len()).sum();
    assert!(held + 2 * edit.deleted_files.len() <= bytes.len());

    let again = edit.encode();
    // Numbers may be there twice, or in longer varints than ours.
    assert!(again.len() <= bytes.len());
    assert_eq!(VersionEdit::decode(&again).as_ref(), Ok(&edit));
    usize::from(!bytes.is_empty())
}
