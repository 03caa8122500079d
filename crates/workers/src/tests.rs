//! What a task sees of a call, by the ways in which one can end.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const MOST: usize = 4;

#[test]
fn panicking_calls_are_told_and_end_no_thread() {
    let workers = Workers::new("test", MOST);
    for n in 0..4 * MOST {
        let call = move || match n % 2 {
            0 => n,
            _ => std::panic::resume_unwind(Box::new("a bug")),
        };
        let made = pollster::block_on(workers.call(call).expect("open"));
        assert_eq!(made, (n % 2 == 0).then_some(n));
    }
}

/// Calls that wait for a gate.
#[derive(Default)]
struct Gated {
    begun: Arc<AtomicUsize>,
    gate: Arc<Mutex<()>>,
}

impl Gated {
    fn call(&self, workers: &Workers) -> Made<()> {
        let (begun, gate) = (Arc::clone(&self.begun), Arc::clone(&self.gate));
        let call = move || {
            begun.fetch_add(1, Ordering::SeqCst);
            drop(gate.lock());
        };
        workers.call(call).expect("open")
    }

    /// A call for each thread; they have all begun.
    fn fill(&self, workers: &Workers) -> Vec<Made<()>> {
        let calls = (0..MOST).map(|_| self.call(workers)).collect();
        while self.begun.load(Ordering::SeqCst) < MOST {
            std::thread::yield_now();
        }
        calls
    }
}

#[test]
fn closing_tells_calls_that_wait_and_refuses_others() {
    let workers = Workers::new("test", MOST);
    let gated = Gated::default();
    let shut = gated.gate.lock();
    let begun = gated.fill(&workers);
    let behind = gated.call(&workers);
    workers.close();
    assert_eq!(pollster::block_on(behind), None, "it was not begun");
    drop(shut);
    for call in begun {
        assert_eq!(pollster::block_on(call), Some(()), "it was begun");
    }
    assert!(matches!(workers.call(|| ()), Err(Refused::Closed)));
    assert_eq!(gated.begun.load(Ordering::SeqCst), MOST);
}

#[test]
fn call_that_is_given_up_before_a_thread_begins_is_not_made() {
    let workers = Workers::new("test", MOST);
    let gated = Gated::default();
    let shut = gated.gate.lock();
    let begun = gated.fill(&workers);
    drop(gated.call(&workers));
    let last = gated.call(&workers);
    drop(shut);
    pollster::block_on(last).expect("made");
    for call in begun {
        pollster::block_on(call).expect("made");
    }
    assert_eq!(gated.begun.load(Ordering::SeqCst), MOST + 1);
}
