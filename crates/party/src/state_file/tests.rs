use super::*;

const BOOT: Option<[u8; 16]> = Some([7; 16]);

#[test]
fn a_leadership_reads_what_the_one_before_it_left() {
    let dir = tempfile::tempdir().unwrap();
    let epoch = Epoch::after(0).unwrap();
    let state = StateFile::open(dir.path()).unwrap();
    assert_eq!(state.prior(BOOT).epoch, None);
    state.raise(epoch, BOOT, Some(3), None).unwrap();
    state.raise_drop_floor(12).unwrap();
    state.raise_drop_floor(5).unwrap();
    let next = StateFile::open(dir.path()).unwrap();
    let left = Prior {
        epoch: Some(epoch),
        drop_floor: 12,
        tripwire: true,
        same_boot: true,
        manifests: [None, None],
        foreign: false,
    };
    assert_eq!(next.prior(BOOT), left);
    assert!(!next.prior(Some([8; 16])).same_boot, "another boot");
    assert!(
        !next.prior(None).same_boot,
        "an unknown boot is not the same one"
    );
}

#[test]
fn takeover_keeps_the_floor_that_its_engine_raised() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateFile::open(dir.path()).unwrap();
    state.raise_drop_floor(12).unwrap();
    state
        .raise(Epoch::after(0).unwrap(), BOOT, None, None)
        .unwrap();
    let state = StateFile::open(dir.path()).unwrap();
    assert_eq!(state.prior(BOOT).drop_floor, 12);
    state
        .raise(Epoch::after(1).unwrap(), BOOT, Some(4), None)
        .unwrap();
    assert_eq!(
        state.prior(BOOT).drop_floor,
        4,
        "another program began the sequences anew"
    );
}

#[test]
fn a_slot_torn_by_a_kill_leaves_the_one_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateFile::open(dir.path()).unwrap();
    let epoch = Epoch::after(0).unwrap();
    state.raise(epoch, BOOT, Some(3), None).unwrap();
    state.raise_drop_floor(12).unwrap();
    let torn = 1 - state.inner.lock().next_slot;
    write_at(&state.file, (torn * SLOT_BYTES + 30) as u64, &[0xff; 8]).unwrap();
    let left = StateFile::open(dir.path()).unwrap().prior(BOOT);
    assert_eq!((left.epoch, left.drop_floor), (Some(epoch), 3));
}

/// A former leader looks whether it is in its place, stands still, and writes what it had in hand when its successor leads.
/// Whoever came next took the former leader's epoch for the latest, and wrote how far that was recovered anew: with what
/// its successor had given the same sequences to.
#[test]
fn what_an_overtaken_leader_writes_late_hides_no_epoch() {
    for found in [None, Some(4)] {
        let dir = tempfile::tempdir().unwrap();
        let former = StateFile::open(dir.path()).unwrap();
        former
            .raise(Epoch::after(0).unwrap(), BOOT, None, None)
            .unwrap();
        let successor = StateFile::open(dir.path()).unwrap();
        successor.record_found(false, found).unwrap();
        let epoch = Epoch::after(1).unwrap();
        successor.raise(epoch, BOOT, None, None).unwrap();
        let mut late = former.inner.lock();
        let mut body = late.body.clone();
        body.drop_floor = 99;
        late.write_body(body).unwrap();
        let next = StateFile::open(dir.path()).unwrap();
        assert_eq!(next.prior(BOOT).epoch, Some(epoch), "{found:?}");
        assert_eq!(next.prior(BOOT).drop_floor, 0);
    }
}

#[test]
fn only_the_very_epoch_finds_its_row() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateFile::open(dir.path()).unwrap();
    let epoch = Epoch {
        number: 5,
        random: [1, 2],
    };
    state.record_recovered(epoch, 77, false).unwrap();
    assert_eq!(
        state.recovered(epoch).unwrap(),
        RecoveredThrough::Sequence(77)
    );
    let namesake = Epoch {
        number: 5,
        random: [1, 3],
    };
    assert_eq!(
        state.recovered(namesake).unwrap(),
        RecoveredThrough::Unknown
    );
    let same_row = Epoch {
        number: 5 + ROWS,
        random: [1, 2],
    };
    assert_eq!(
        state.recovered(same_row).unwrap(),
        RecoveredThrough::Unknown
    );
}

#[test]
fn a_row_that_says_foreign_says_so_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateFile::open(dir.path()).unwrap();
    let epoch = Epoch {
        number: 5,
        random: [1, 2],
    };
    state.record_recovered(epoch, 77, true).unwrap();
    state.record_recovered(epoch, 90, false).unwrap();
    assert_eq!(
        state.recovered(epoch).unwrap(),
        RecoveredThrough::SequenceBeforeForeign(90)
    );
}

#[test]
fn one_foreign_or_missing_row_breaks_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateFile::open(dir.path()).unwrap();
    let epochs: Vec<_> = (1..=5)
        .map(|number| Epoch {
            number,
            random: [number, 0],
        })
        .collect();
    state.raise(epochs[4], BOOT, None, None).unwrap();
    for epoch in &epochs[..4] {
        state
            .record_recovered(*epoch, 10, epoch.number == 2)
            .unwrap();
    }
    let unbroken: Vec<_> = epochs[..4]
        .iter()
        .map(|e| state.is_unbroken_since(*e).unwrap())
        .collect();
    assert_eq!(unbroken, [false, false, true, true]);
    let stranger = Epoch {
        number: 3,
        random: [9, 9],
    };
    assert!(!state.is_unbroken_since(stranger).unwrap());
}

#[test]
fn a_newer_layout_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateFile::open(dir.path()).unwrap();
    state
        .raise(Epoch::after(0).unwrap(), BOOT, None, None)
        .unwrap();
    let slot = 1 - state.inner.lock().next_slot;
    write_at(&state.file, (slot * SLOT_BYTES + 8) as u64, &[9]).unwrap();
    let error = StateFile::open(dir.path()).err().expect("refused");
    assert_eq!(error.kind(), ErrorKind::IncompatibleVersion);
}

#[test]
fn whoever_opens_the_file_later_fences_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let first = StateFile::open(dir.path()).unwrap();
    first
        .raise(Epoch::after(0).unwrap(), BOOT, None, None)
        .unwrap();
    assert!(first.is_ours());
    let second = StateFile::open(dir.path()).unwrap();
    assert!(!first.is_ours(), "before the second has recovered anything");
    assert!(second.is_ours());
    first.raise_drop_floor(99).unwrap_err();
    first.record_manifest(7).unwrap_err();
    let epoch = Epoch::after(1).unwrap();
    second.raise(epoch, BOOT, None, None).unwrap();
    assert!(second.is_ours() && !first.is_ours());
    assert_eq!(second.prior(BOOT).drop_floor, 0);
    assert_eq!(second.prior(BOOT).epoch, Some(epoch));
}

#[test]
fn a_candidate_that_was_overtaken_raises_no_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let slow = StateFile::open(dir.path()).unwrap();
    let quick = StateFile::open(dir.path()).unwrap();
    quick
        .raise(Epoch::after(0).unwrap(), BOOT, None, None)
        .unwrap();
    slow.raise(Epoch::after(0).unwrap(), BOOT, None, None)
        .unwrap_err();
    assert!(!slow.is_ours(), "the same number, and still not its own");
    assert!(quick.is_ours());
}

#[test]
fn foreign_manifest_stays_foreign_over_a_death() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateFile::open(dir.path()).unwrap();
    state.record_manifest(4).unwrap();
    state
        .raise(Epoch::after(0).unwrap(), BOOT, None, None)
        .unwrap();
    let prior = StateFile::open(dir.path()).unwrap().prior(BOOT);
    assert!(!prior.is_foreign_manifest(Some(4)));
    assert!(prior.is_foreign_manifest(Some(5)));
    assert!(prior.is_foreign_manifest(None));

    let died = StateFile::open(dir.path()).unwrap();
    died.record_manifest(7).unwrap();
    let prior = StateFile::open(dir.path()).unwrap().prior(BOOT);
    for ours in [4, 7] {
        assert!(
            !prior.is_foreign_manifest(Some(ours)),
            "it died before or after the renaming"
        );
    }
    assert!(prior.is_foreign_manifest(Some(5)));
    // A second candidate finds what the first did, and dies before it renames anything.
    let died = StateFile::open(dir.path()).unwrap();
    died.record_found(false, Some(7)).unwrap();
    died.record_manifest(8).unwrap();
    let prior = StateFile::open(dir.path()).unwrap().prior(BOOT);
    assert!(!prior.is_foreign_manifest(Some(7)) && !prior.is_foreign_manifest(Some(8)));
    let rebooted = died.prior(Some([8; 16]));
    assert!(!rebooted.is_foreign_manifest(Some(5)), "nobody can tell");

    let died = StateFile::open(dir.path()).unwrap();
    died.record_found(true, Some(5)).unwrap();
    died.record_manifest(9).unwrap();
    let next = StateFile::open(dir.path()).unwrap();
    assert!(!next.prior(BOOT).is_foreign_manifest(Some(9)));
    assert!(next.prior(BOOT).foreign, "what its recovery hid");
    next.raise(Epoch::after(1).unwrap(), BOOT, None, None)
        .unwrap();
    assert!(!next.prior(BOOT).foreign, "its row says it from here on");
}

#[test]
fn unnamed_manifest_of_a_dead_leader_is_not_expected() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateFile::open(dir.path()).unwrap();
    state.record_manifest(4).unwrap();
    state
        .raise(Epoch::after(0).unwrap(), BOOT, None, None)
        .unwrap();
    // A succession in the same epoch.
    state.record_manifest(7).unwrap();
    // The next one has led, and names a new manifest only later.
    let next = StateFile::open(dir.path()).unwrap();
    assert!(!next.prior(BOOT).is_foreign_manifest(Some(4)));
    next.record_found(false, Some(4)).unwrap();
    next.raise(Epoch::after(1).unwrap(), BOOT, None, None)
        .unwrap();
    let prior = StateFile::open(dir.path()).unwrap().prior(BOOT);
    assert!(!prior.is_foreign_manifest(Some(4)));
    assert!(prior.is_foreign_manifest(Some(7)));
}

#[test]
fn successor_goes_on_from_what_its_leader_wrote_last() {
    let dir = tempfile::tempdir().unwrap();
    let founder = StateFile::open(dir.path()).unwrap();
    let epoch = Epoch::after(0).unwrap();
    assert_eq!(founder.raise(epoch, BOOT, None, None).unwrap(), 1);
    let member = StateFile::join(dir.path(), founder.identity(), epoch).unwrap();
    assert!(member.is_ours());
    founder.raise_drop_floor(12).unwrap();
    founder.record_manifest(7).unwrap();
    assert_eq!(member.succeed(Some(7)).unwrap(), 2);
    assert_eq!(member.leadership().unwrap().number, 2);
    let next = StateFile::open(dir.path()).unwrap();
    assert!(!member.is_ours(), "a founding ends the epoch for all");
    let prior = next.prior(BOOT);
    assert_eq!((prior.epoch, prior.drop_floor), (Some(epoch), 12));
    assert!(!prior.is_foreign_manifest(Some(7)));
    member.succeed(Some(7)).unwrap_err();
}

#[test]
#[cfg(unix)] // Windows removes no file that is mapped
fn state_file_made_anew_is_not_joined() {
    let dir = tempfile::tempdir().unwrap();
    let founder = StateFile::open(dir.path()).unwrap();
    let epoch = Epoch::after(0).unwrap();
    founder.raise(epoch, BOOT, None, None).unwrap();
    std::fs::rename(
        dir.path().join(STATE_NAME),
        dir.path().join("level-party.old"),
    )
    .unwrap();
    std::fs::copy(
        dir.path().join("level-party.old"),
        dir.path().join(STATE_NAME),
    )
    .unwrap();
    let refused = StateFile::join(dir.path(), founder.identity(), epoch).err();
    assert_eq!(refused.expect("refused").kind(), ErrorKind::InvalidArgument);
}
