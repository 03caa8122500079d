//! Pins of one member beside another one's choice of a horizon, in every order of their steps. Run by
//! `RUSTFLAGS="--cfg loom" cargo test -p level-party-engine --lib models`.
//!
//! What must hold in each order: a pin that was given is at or above the horizon, whatever the leader chose; a pin
//! that was refused is below it. The planted bugs are found.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use loom::thread;

use super::Snapshots;
use crate::base::control::models::{check, finds, founded};
use crate::base::control::{Control, Leading};
use crate::base::error::ErrorKind;
use crate::base::member::{Member, Membership};
use crate::base::peers::LocalPeers;
use crate::base::segment::HeapSegment;
use crate::base::sync::AtomicU64;
use crate::planted::Bug;

/// The pins of the leader and of another member.
struct Pins {
    control: Control,
    leaders: Arc<Snapshots>,
    members: Arc<Snapshots>,
    /// The last published sequence, which a writer may raise.
    last: Arc<AtomicU64>,
}

fn pins(last: u64) -> Pins {
    let control = founded(last);
    let snapshots = || {
        let segment = Arc::new(HeapSegment::new().expect("memory"));
        let peers = Arc::new(LocalPeers::default());
        let membership = Membership {
            segment,
            peers,
            incarnation: control.next_incarnation().expect("one is left"),
        };
        let member = Member::join(control.clone(), membership, &"".into()).expect("a slot is free");
        Snapshots::new(&Arc::new(member), None)
    };
    Pins {
        leaders: snapshots(),
        members: snapshots(),
        control,
        last: Arc::new(AtomicU64::new(last)),
    }
}

impl Pins {
    /// A compaction begins.
    fn compaction(&self) -> thread::JoinHandle<u64> {
        let leading = Leading::new(self.control.clone());
        let (snapshots, last) = (Arc::clone(&self.leaders), Arc::clone(&self.last));
        thread::spawn(move || {
            let horizon = snapshots.raise_horizon(&leading, || last.load(Ordering::SeqCst));
            horizon.expect("nobody listens")
        })
    }

    fn now(&self) -> u64 {
        self.last.load(Ordering::SeqCst)
    }
}

/// A moment from before is pinned while a compaction begins.
fn an_earlier_moment_is_pinned() {
    let pins = pins(6);
    let compaction = pins.compaction();
    let pin = pins.members.pin_at(5, || pins.now());
    let horizon = compaction.join().unwrap();
    match pin {
        Ok(pin) => assert!(horizon <= pin.sequence()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::SnapshotLost);
            assert!(horizon > 5);
        }
    }
    assert_eq!(pins.members.floor(), horizon);
}

#[test]
fn pin_of_an_earlier_moment_is_refused_or_holds() {
    check(an_earlier_moment_is_pinned);
}

#[test]
fn pin_of_now_holds_beside_a_writer_and_a_compaction() {
    check(|| {
        let pins = pins(5);
        let compaction = pins.compaction();
        let last = Arc::clone(&pins.last);
        let writer = thread::spawn(move || last.store(6, Ordering::SeqCst));
        let pin = pins.members.pin(|| pins.now());
        let horizon = compaction.join().unwrap();
        writer.join().unwrap();
        let pinned = pin.sequence();
        assert!(horizon <= pinned, "{horizon} is above {pinned}");
        let leading = Leading::new(pins.control.clone());
        let again = pins.leaders.raise_horizon(&leading, || pins.now());
        assert!(again.unwrap() <= pinned);
    });
}

#[test]
fn clone_of_a_pin_holds_when_the_pin_goes() {
    check(|| {
        let pins = pins(6);
        let pin = pins.members.pin_at(5, || 6).unwrap();
        let compaction = pins.compaction();
        let clone = pin.clone();
        drop(pin);
        let horizon = compaction.join().unwrap();
        assert!(horizon <= clone.sequence());
        drop(clone);
        assert_eq!(pins.members.count(), (0, None));
    });
}

#[test]
fn horizon_chosen_and_raised_in_two_steps_is_found() {
    assert!(finds(Bug::HorizonInTwoSteps, an_earlier_moment_is_pinned));
}

#[test]
fn horizon_that_ignores_pins_is_found() {
    assert!(finds(Bug::PinsIgnored, an_earlier_moment_is_pinned));
}
