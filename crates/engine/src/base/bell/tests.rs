use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use level_party_memtable::{HeapRegions, RegionSource};

use super::*;
use crate::base::control::CONTROL_LEN;
use crate::base::peers::Incarnation;
use crate::base::sync::AtomicU64;

/// Counts how often somebody is woken.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Peers for Counting {
    fn is_dead(&self, _: Incarnation) -> bool {
        false
    }

    fn sleep(&self, _: &AtomicU64, _: u32, _: Duration) {}

    fn wake_one(&self, _: &AtomicU64) {}

    fn wake_all(&self, _: &AtomicU64) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn sleeper_of_a_dead_ringer_is_woken_by_the_waiter() {
    let page = HeapRegions::new().allocate(CONTROL_LEN).unwrap();
    let control = Control::over(page).unwrap();
    let peers = Arc::new(Counting::default());
    let bell = Bell::new(&control, &(Arc::clone(&peers) as Arc<dyn Peers>));
    let heard = bell.listen();
    // A ring whose ringer dies here.
    assert!(control.ring(BellKind::Work).is_some());
    bell.ring();
    assert_eq!(peers.0.load(Ordering::SeqCst), 0, "nobody seems to sleep");
    bell.ring_surely();
    assert_eq!(peers.0.load(Ordering::SeqCst), 1);
    assert_ne!(control.bell(BellKind::Work).1, heard);
}
