//! A follower of hand-made versions, in sound and in damaged manifests.

use std::sync::Arc;

use level_party_format::edit::VersionEdit;
use level_party_format::key::InternalComparator;
use level_party_format::log::{BLOCK_LEN, HEADER_LEN, LogWriter};

use super::*;
use crate::base::error::ErrorKind;
use crate::base::fs::MemFs;
use crate::lead::manifest::Change;
use crate::testing::leader::{Leader, files_of};
use crate::testing::{Rng, WatchedFs, tables};

fn follower(files: &(impl Fs + Clone + 'static)) -> ManifestFollower {
    ManifestFollower::new(&tables(files), Arc::new(|_| ()))
}

/// A record and the files of the version that was published with it.
type Published = (VersionRecord, Vec<(usize, NewFile)>);

/// A leader that publishes random versions, and all that it published.
struct History {
    files: MemFs,
    leader: Leader,
    published: Vec<Published>,
}

impl History {
    fn new() -> History {
        History::in_directory(MemFs::new())
    }

    fn in_directory(files: MemFs) -> History {
        let leader = Leader::found(&files);
        let mut history = History {
            files,
            leader,
            published: Vec::new(),
        };
        history.note(history.leader.record());
        history
    }

    /// With this many versions more.
    fn with(mut self, versions: usize, rng: &mut Rng) -> History {
        for _ in 0..versions {
            let change = self.leader.random_change(rng);
            let record = self.leader.append(change);
            self.note(record);
        }
        self
    }

    fn note(&mut self, record: VersionRecord) {
        let files = files_of(self.leader.version());
        self.published.push((record, files));
    }

    fn follower(&self) -> ManifestFollower {
        follower(&self.files)
    }

    /// The name of the manifest of the newest version.
    fn name(&self) -> String {
        filename::manifest(self.newest().manifest)
    }

    fn newest(&self) -> &VersionRecord {
        &self.published[self.published.len() - 1].0
    }
}

#[track_caller]
fn assert_follows(follower: &mut ManifestFollower, (record, files): &Published) {
    let version = follower.follow(record).unwrap();
    assert!(files_of(&version) == *files, "other files at {record:?}");
}

fn all_metas(version: &Version) -> HashMap<u64, Arc<FileMeta>> {
    let files = version.files();
    files
        .map(|(_, file)| (file.number, Arc::clone(file)))
        .collect()
}

#[test]
fn follower_gives_each_version_at_its_length() {
    let mut rng = Rng::new(1);
    let history = History::new().with(120, &mut rng);
    assert!(history.newest().length > 5 * BLOCK_LEN as u64);
    let mut each = history.follower();
    let mut some = history.follower();
    for published in &history.published {
        assert_follows(&mut each, published);
        assert_follows(&mut history.follower(), published);
        if rng.one_in(5) {
            assert_follows(&mut some, published);
        }
    }
}

#[test]
fn follower_reads_each_byte_once() {
    let files = WatchedFs::default();
    let mut history = History::in_directory(files.files.clone()).with(1, &mut Rng::new(2));
    let mut follower = follower(&files);
    for published in &history.published {
        assert_follows(&mut follower, published);
    }
    assert_eq!((files.opens(), files.reads()), (2, 2));
    // The bytes that were read are lost now, and not missed.
    files.lose_byte(&history.name(), history.newest().length - 1);
    history = history.with(1, &mut Rng::new(3));
    assert_follows(&mut follower, &history.published[2]);
    assert_follows(&mut follower, &history.published[2]);
    assert_eq!((files.opens(), files.reads()), (3, 3));
}

#[test]
fn table_of_two_versions_is_one_file_meta() {
    let mut rng = Rng::new(4);
    let history = History::new().with(60, &mut rng);
    let mut follower = history.follower();
    let mut before: HashMap<u64, Arc<FileMeta>> = HashMap::new();
    let mut shared = 0;
    for (record, _) in &history.published {
        let now = all_metas(&follower.follow(record).unwrap());
        for (number, meta) in &now {
            if let Some(known) = before.get(number) {
                assert!(Arc::ptr_eq(known, meta), "table {number}");
                shared += 1;
            }
        }
        assert_eq!(follower.known.len(), now.len(), "what goes is forgotten");
        before = now;
    }
    assert!(shared > 100, "{shared}");
}

#[test]
fn moved_table_gets_its_seeks_back() {
    let files = MemFs::new();
    let mut leader = Leader::found(&files);
    let mut follower = follower(&files);
    let table = leader.table(1);
    let added = vec![(1, Arc::clone(&table))];
    let record = leader.append(Change {
        added,
        ..Change::default()
    });
    let meta = all_metas(&follower.follow(&record).unwrap())[&table.number].clone();
    while !meta.seeks().take() {}
    let stays = leader.append(Change::default());
    follower.follow(&stays).unwrap();
    assert!(meta.seeks().take(), "it stands where it stood");
    let moves = leader.append(Change {
        removed: vec![(1, table.number)],
        added: vec![(2, Arc::clone(&table))],
        ..Change::default()
    });
    let version = follower.follow(&moves).unwrap();
    assert!(Arc::ptr_eq(&version.level(2)[0], &meta));
    assert!(!meta.seeks().take());
}

#[test]
fn edit_behind_the_published_length_is_not_read() {
    let mut history = History::new().with(5, &mut Rng::new(5));
    let mut follower = history.follower();
    let added = vec![(0, history.leader.table(10))];
    history.leader.append(Change {
        added,
        ..Change::default()
    });
    let newest = history.published.len() - 1;
    assert_follows(&mut follower, &history.published[newest]);
    for behind in [&[0; 100][..], &[0xff; 7], b"part of an edit"] {
        let change = |bytes: &mut Vec<u8>| {
            bytes.truncate(history.newest().length as usize);
            bytes.extend_from_slice(behind);
        };
        history.files.change(&history.name(), change).unwrap();
        assert_follows(&mut follower, &history.published[newest]);
        assert_follows(&mut history.follower(), &history.published[newest]);
    }
}

#[test]
fn earlier_length_is_read_from_the_start() {
    let history = History::new().with(20, &mut Rng::new(6));
    let mut follower = history.follower();
    assert_follows(&mut follower, &history.published[20]);
    let before = all_metas(&follower.follow(history.newest()).unwrap());
    assert_follows(&mut follower, &history.published[19]);
    let after = all_metas(&follower.follow(history.newest()).unwrap());
    assert!(
        before
            .iter()
            .any(|(number, meta)| Arc::ptr_eq(meta, &after[number]))
    );
    for at in [7, 0, 12, 20] {
        assert_follows(&mut follower, &history.published[at]);
    }
}

#[test]
fn new_manifest_is_read_from_its_start() {
    let mut rng = Rng::new(7);
    let mut history = History::new();
    let mut follower = history.follower();
    for _ in 0..4 {
        let seen = history.published.len() - 1;
        history = history.with(10, &mut rng);
        for published in &history.published[seen..] {
            assert_follows(&mut follower, published);
        }
        let before = all_metas(&follower.follow(history.newest()).unwrap());
        let old = history.name();
        let record = history.leader.begin_manifest();
        history.note(record);
        history.files.remove(&old).unwrap();
        let after = follower.follow(&record).unwrap();
        assert!(
            all_metas(&after)
                .iter()
                .all(|(n, meta)| Arc::ptr_eq(meta, &before[n]))
        );
    }
    let manifests: std::collections::BTreeSet<u64> =
        history.published.iter().map(|it| it.0.manifest).collect();
    assert_eq!(manifests.len(), 5);
}

#[test]
fn manifest_that_is_gone_does_not_exist() {
    let mut history = History::new().with(3, &mut Rng::new(8));
    let mut follower = history.follower();
    assert_follows(&mut follower, &history.published[2]);
    history.files.remove(&history.name()).unwrap();
    let error = follower.follow(history.newest()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DoesNotExist);
    assert_eq!(error.file(), Some(&*history.name()));
    let record = history.leader.begin_manifest();
    history.note(record);
    assert_follows(&mut follower, &history.published[4]);
}

#[test]
fn damage_below_the_length_names_its_offset() {
    let history = History::new().with(12, &mut Rng::new(9));
    let name = history.name();
    let sound = history.files.read(&name).unwrap();
    let starts = |at: usize| history.published[at].0.length;
    for (damaged, from) in [(0, 0), (5, starts(4)), (12, starts(11))] {
        let mut follower = history.follower();
        let change = |bytes: &mut Vec<u8>| bytes[from as usize + HEADER_LEN] ^= 0x40;
        history.files.change(&name, change).unwrap();
        for (at, published) in history.published.iter().enumerate() {
            if at < damaged {
                assert_follows(&mut follower, published);
                continue;
            }
            let error = follower.follow(&published.0).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
            assert_eq!((error.file(), error.offset()), (Some(&*name), Some(from)));
        }
        history.files.write(&name, sound.clone());
        assert_follows(&mut follower, &history.published[12]);
    }
}

#[test]
fn manifest_that_ends_below_the_length_is_corruption() {
    let history = History::new().with(4, &mut Rng::new(10));
    let cut = history.newest().length - 1;
    let change = |bytes: &mut Vec<u8>| bytes.truncate(cut as usize);
    history.files.change(&history.name(), change).unwrap();
    let error = history.follower().follow(history.newest()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corruption);
    assert_eq!(error.offset(), Some(cut));
}

#[test]
fn length_where_no_edit_ends_is_corruption() {
    let mut rng = Rng::new(11);
    let history = History::new().with(30, &mut rng);
    let ends: Vec<u64> = history.published.iter().map(|it| it.0.length).collect();
    let mut follower = history.follower();
    for _ in 0..300 {
        let record = VersionRecord {
            length: 1 + rng.below(history.newest().length as usize) as u64,
            ..*history.newest()
        };
        // Also the length of another version: it contradicts the record, or has the same numbers.
        match follower.follow(&record) {
            Ok(_) => assert!(ends.contains(&record.length)),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
                assert!(error.offset() <= Some(record.length), "{error}");
            }
        }
        assert_follows(&mut follower, &history.published[rng.below(31)]);
    }
}

#[test]
fn record_that_contradicts_the_manifest_is_corruption() {
    let history = History::new().with(3, &mut Rng::new(12));
    let right = *history.newest();
    let wrong = [
        VersionRecord {
            log_number: right.log_number + 1,
            ..right
        },
        VersionRecord {
            last: right.last + 1,
            ..right
        },
        VersionRecord {
            level_zero: right.level_zero + 1,
            ..right
        },
    ];
    let mut follower = history.follower();
    for record in wrong {
        let error = follower.follow(&record).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corruption);
        assert_eq!(error.offset(), Some(right.length));
    }
    assert_follows(&mut follower, &history.published[3]);
}

#[test]
fn manifest_of_another_order_is_refused() {
    let files = MemFs::new();
    let edit = VersionEdit {
        comparator: Some("another.order".to_owned()),
        log_number: Some(0),
        last_sequence: Some(0),
        ..VersionEdit::default()
    };
    let mut bytes = Vec::new();
    LogWriter::new().add_record(&edit.encode(), &mut bytes);
    let record = VersionRecord {
        manifest: 2,
        length: bytes.len() as u64,
        ..VersionRecord::default()
    };
    files.write(&filename::manifest(2), bytes);
    let mut follower = follower(&files);
    for _ in 0..2 {
        let error = follower.follow(&record).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ComparatorMismatch);
    }
}

#[test]
fn tables_that_overlap_below_level_zero_are_corruption() {
    let files = MemFs::new();
    let leader = Leader::found(&files);
    let (one, mut two) = (leader.table(5).to_new_file(), leader.table(5).to_new_file());
    two.smallest = one.smallest.clone();
    let edit = VersionEdit {
        comparator: Some(InternalComparator::default().user.name().to_owned()),
        log_number: Some(0),
        last_sequence: Some(0),
        new_files: vec![(1, one), (1, two)],
        ..VersionEdit::default()
    };
    let mut bytes = Vec::new();
    LogWriter::new().add_record(&edit.encode(), &mut bytes);
    let record = VersionRecord {
        manifest: 90,
        length: bytes.len() as u64,
        ..VersionRecord::default()
    };
    files.write(&filename::manifest(90), bytes);
    let error = follower(&files).follow(&record);
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Corruption);
}

#[test]
fn cut_or_flip_gives_an_error_or_the_right_version() {
    let mut rng = Rng::new(13);
    let (mut errors, mut versions) = (0, 0);
    for _ in 0..8 {
        let history = History::new().with(25, &mut rng);
        let name = history.name();
        let sound = history.files.read(&name).unwrap();
        for _ in 0..150 {
            let mut follower = history.follower();
            let first = rng.below(history.published.len());
            if rng.one_in(2) {
                assert_follows(&mut follower, &history.published[first]);
            }
            let at = rng.below(sound.len());
            let change = |bytes: &mut Vec<u8>| match rng.below(3) {
                0 => bytes.truncate(at),
                1 => bytes[at..].fill(0),
                _ => bytes[at] ^= 1 << rng.below(8),
            };
            history.files.change(&name, change).unwrap();
            for (record, files) in &history.published[first..] {
                match follower.follow(record) {
                    Ok(version) => {
                        assert!(files_of(&version) == *files, "damaged at {at}: {record:?}");
                        versions += 1;
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
                        assert!(error.offset() <= Some(record.length), "{error}");
                        errors += 1;
                    }
                }
            }
            history.files.write(&name, sound.clone());
            let newest = history.published.len() - 1;
            assert_follows(&mut follower, &history.published[newest]);
        }
    }
    assert!(errors > 1_000 && versions > 1_000, "{errors}, {versions}");
}
