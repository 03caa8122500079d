use super::*;
use crate::key::ValueType;

fn ikey(user: &[u8], sequence: Sequence) -> Vec<u8> {
    let mut out = Vec::new();
    key::append_internal_key(&mut out, user, sequence, ValueType::Value);
    out
}

fn full() -> VersionEdit {
    VersionEdit {
        comparator: Some("foo".into()),
        log_number: Some(9),
        prev_log_number: Some(0),
        next_file_number: Some(u64::MAX),
        last_sequence: Some(crate::MAX_SEQUENCE),
        compact_pointers: vec![(1, ikey(b"x", 900)), (6, ikey(b"", 0))],
        deleted_files: vec![(4, 700), (0, 1 << 50)],
        new_files: vec![(
            3,
            NewFile {
                number: 300,
                size: 400,
                smallest: ikey(b"foo", 500),
                largest: ikey(b"zoo", 600),
            },
        )],
    }
}

#[test]
fn an_edit_with_everything_round_trips() {
    let edit = full();
    assert_eq!(VersionEdit::decode(&edit.encode()).unwrap(), edit);
    let nothing = VersionEdit::default();
    assert_eq!(nothing.encode(), []);
    assert_eq!(VersionEdit::decode(b"").unwrap(), nothing);
}

#[test]
fn fields_come_in_leveldbs_order_with_leveldbs_tags() {
    let edit = VersionEdit {
        comparator: Some("c".into()),
        log_number: Some(2),
        prev_log_number: Some(3),
        next_file_number: Some(4),
        last_sequence: Some(300),
        ..VersionEdit::default()
    };
    assert_eq!(
        edit.encode(),
        b"\x01\x01c\x02\x02\x09\x03\x03\x04\x04\xac\x02"
    );
}

#[test]
fn every_truncation_is_corruption_or_ends_between_fields() {
    let bytes = full().encode();
    let mut ends = 0;
    for cut in 0..bytes.len() {
        match VersionEdit::decode(&bytes[..cut]) {
            Ok(edit) => {
                assert_eq!(edit.encode(), bytes[..cut], "cut at {cut}");
                ends += 1;
            }
            Err(error) => assert!(error.offset.is_some_and(|offset| offset < cut as u64)),
        }
    }
    assert_eq!(ends, 10, "one for each field's start");
}

#[test]
fn changed_bytes_never_panic_and_what_decodes_encodes() {
    let bytes = full().encode();
    for i in 0..bytes.len() {
        for byte in 0..=255 {
            let mut changed = bytes.clone();
            changed[i] = byte;
            if let Ok(edit) = VersionEdit::decode(&changed) {
                assert_eq!(VersionEdit::decode(&edit.encode()).unwrap(), edit);
            }
        }
    }
}

#[test]
fn tag_eight_and_unknown_tags_are_errors() {
    for tag in [0, 8, 10, 127] {
        assert!(VersionEdit::decode(&[tag, 1]).is_err(), "tag {tag}");
    }
    assert!(VersionEdit::decode(&[0x80]).is_err());
}

#[test]
fn levels_end_at_six() {
    assert!(VersionEdit::decode(&[6, 6, 1]).is_ok());
    assert!(VersionEdit::decode(&[6, 7, 1]).is_err());
    assert!(VersionEdit::decode(&[6, 0x80, 0x80, 0x80, 0x80, 0x01, 1]).is_err());
}

#[test]
fn a_number_given_twice_counts_as_its_last() {
    let edit = VersionEdit::decode(&[2, 5, 2, 6]).unwrap();
    assert_eq!(edit.log_number, Some(6));
}

#[test]
fn keys_must_be_internal_keys_and_names_text() {
    assert!(VersionEdit::decode(b"\x05\x01\x03abc").is_err());
    assert!(VersionEdit::decode(b"\x05\x01\x00").is_err());
    assert!(
        VersionEdit::decode(b"\x05\x01\x08\x02\0\0\0\0\0\0\0").is_err(),
        "type 2"
    );
    assert!(VersionEdit::decode(b"\x05\x01\x08\x01\0\0\0\0\0\0\0").is_ok());
    assert!(VersionEdit::decode(b"\x01\x01\xff").is_err());
}

#[test]
fn a_last_sequence_out_of_range_is_corruption() {
    let mut edit = full();
    assert!(VersionEdit::decode(&edit.encode()).is_ok());
    edit.last_sequence = Some(crate::MAX_SEQUENCE + 1);
    assert!(VersionEdit::decode(&edit.encode()).is_err());
}
