//! Pins beside a compaction's choice of its horizon, in every order of their steps. Run by
//! `RUSTFLAGS="--cfg loom" cargo test -p level-party-engine --lib models`.
//!
//! What must hold in each order: a pin that was given is at or above the horizon, whatever the compaction chose; a pin
//! that was refused is below it. The planted bug is found.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use loom::thread;

use super::Snapshots;
use crate::base::error::ErrorKind;
use crate::base::sync::AtomicU64;
use crate::planted::{Bug, switch_on};

/// The last published sequence, which a writer raises meanwhile.
fn published(sequence: u64) -> Arc<AtomicU64> {
    Arc::new(AtomicU64::new(sequence))
}

fn compaction(snapshots: &Arc<Snapshots>, last: &Arc<AtomicU64>) -> thread::JoinHandle<u64> {
    let (snapshots, last) = (Arc::clone(snapshots), Arc::clone(last));
    thread::spawn(move || {
        let horizon = snapshots.raise_horizon(|| last.load(Ordering::SeqCst));
        horizon.expect("nobody listens")
    })
}

fn writer(last: &Arc<AtomicU64>, sequence: u64) -> thread::JoinHandle<()> {
    let last = Arc::clone(last);
    thread::spawn(move || last.store(sequence, Ordering::SeqCst))
}

/// A moment from before is pinned while a compaction begins.
fn an_earlier_moment_is_pinned() {
    let snapshots = Snapshots::new(0, None);
    let last = published(6);
    let compaction = compaction(&snapshots, &last);
    let pin = snapshots.pin_at(5, || last.load(Ordering::SeqCst));
    let horizon = compaction.join().unwrap();
    match pin {
        Ok(pin) => assert!(horizon <= pin.sequence()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::SnapshotLost);
            assert!(horizon > 5);
        }
    }
    assert_eq!(snapshots.floor(), horizon);
}

#[test]
fn a_pin_of_an_earlier_moment_is_refused_or_holds() {
    loom::model(an_earlier_moment_is_pinned);
}

#[test]
fn a_pin_of_the_present_moment_holds_beside_a_writer_and_a_compaction() {
    loom::model(|| {
        let snapshots = Snapshots::new(0, None);
        let last = published(5);
        let compaction = compaction(&snapshots, &last);
        let writer = writer(&last, 6);
        let pin = snapshots.pin(|| last.load(Ordering::SeqCst));
        let horizon = compaction.join().unwrap();
        writer.join().unwrap();
        assert!(
            horizon <= pin.sequence(),
            "{horizon} is above {}",
            pin.sequence()
        );
        let again = snapshots
            .raise_horizon(|| last.load(Ordering::SeqCst))
            .unwrap();
        assert!(again <= pin.sequence());
    });
}

#[test]
fn a_clone_holds_when_the_pin_it_was_made_of_goes() {
    loom::model(|| {
        let snapshots = Snapshots::new(0, None);
        let last = published(6);
        let pin = snapshots.pin_at(5, || 6).unwrap();
        let compaction = compaction(&snapshots, &last);
        let clone = pin.clone();
        drop(pin);
        let horizon = compaction.join().unwrap();
        assert!(horizon <= clone.sequence());
        drop(clone);
        assert_eq!(snapshots.count(), (0, None));
    });
}

#[test]
fn two_compactions_and_a_pin_never_cross() {
    loom::model(|| {
        let snapshots = Snapshots::new(0, None);
        let last = published(6);
        let first = compaction(&snapshots, &last);
        let second = compaction(&snapshots, &last);
        let pin = snapshots.pin_at(5, || 6);
        let horizon = first.join().unwrap().max(second.join().unwrap());
        assert!(pin.map_or(horizon > 5, |pin| horizon <= pin.sequence()));
    });
}

#[test]
fn a_horizon_chosen_and_raised_in_two_steps_is_found() {
    switch_on(Bug::HorizonInTwoSteps);
    let found = catch_unwind(AssertUnwindSafe(|| {
        loom::model(an_earlier_moment_is_pinned);
    }));
    switch_on(Bug::None);
    assert!(found.is_err());
}

#[test]
fn a_horizon_that_ignores_pins_is_found() {
    switch_on(Bug::PinsIgnored);
    let found = catch_unwind(AssertUnwindSafe(|| {
        loom::model(an_earlier_moment_is_pinned);
    }));
    switch_on(Bug::None);
    assert!(found.is_err());
}
