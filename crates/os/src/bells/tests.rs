use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};

use super::*;
use crate::SharedSegment;

const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(2);
const LEN: usize = 4096;
const UPPER: u64 = 1 << 63;

/// Two mappings of a segment, with the bells of each, as two processes have them.
struct Pair {
    segments: [SharedSegment; 2],
    bells: [Bells; 2],
}

fn pair(count: usize) -> Pair {
    let one = SharedSegment::create(LEN).unwrap();
    one.reserve(0, LEN).unwrap();
    let handle = one.as_handle().try_clone_to_owned().unwrap();
    let other = SharedSegment::from_handle(handle, LEN).unwrap();
    other.accept(0, LEN).unwrap();
    let bells = Bells::create(count).unwrap();
    let handles: Vec<_> = bells
        .handles()
        .iter()
        .map(|h| h.try_clone_to_owned().unwrap())
        .collect();
    assert_eq!(handles.len(), Bells::handles_of(count));
    let others = Bells::from_handles(handles, count).unwrap();
    Pair {
        segments: [one, other],
        bells: [bells, others],
    }
}

impl Pair {
    fn word(&self, side: usize) -> &AtomicU64 {
        &self.segments[side].words()[40]
    }

    /// As a sleeper of a segment does it: says that it sleeps, looks, sleeps.
    fn sleep_until(&self, side: usize, bell: usize, value: u32) {
        let word = self.word(side);
        loop {
            let seen = word.fetch_or(UPPER, SeqCst) as u32;
            if seen == value {
                return;
            }
            self.bells[side].wait(bell, word, seen, LONG);
        }
    }
}

#[test]
fn wait_for_another_value_ends_at_once() {
    let pair = pair(1);
    pair.word(0).store(UPPER | 7, SeqCst);
    assert!(pair.bells[1].wait(0, pair.word(1), 6, LONG));
    assert!(pair.bells[1].wait(0, pair.word(1), 6, Duration::ZERO));
}

#[test]
fn upper_half_does_not_end_a_wait() {
    let pair = pair(1);
    pair.word(0).store(UPPER | 7, SeqCst);
    assert!(!pair.bells[1].wait(0, pair.word(1), 7, SHORT));
    assert!(!pair.bells[1].wait(0, pair.word(1), 7, Duration::ZERO));
}

#[test]
fn each_mapping_is_woken_by_the_other() {
    const ROUNDS: u32 = 2000;
    let pair = pair(2);
    std::thread::scope(|scope| {
        for side in 0..2 {
            let pair = &pair;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    if round as usize % 2 == side {
                        pair.sleep_until(side, 1, round);
                        let word = pair.word(side);
                        word.fetch_add(1, SeqCst);
                        word.fetch_and(!UPPER, SeqCst);
                        pair.bells[side].wake_one(1, word);
                    } else {
                        pair.sleep_until(side, 1, round + 1);
                    }
                }
            });
        }
    });
    assert_eq!(pair.word(0).load(Relaxed) as u32, ROUNDS);
}

#[test]
fn wake_all_ends_every_sleep() {
    let pair = pair(1);
    let asleep = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for sleeper in 0..8 {
            let (pair, asleep) = (&pair, &asleep);
            scope.spawn(move || {
                let word = pair.word(sleeper % 2);
                asleep.fetch_add(1, SeqCst);
                while word.load(Acquire) as u32 == 0 {
                    pair.bells[sleeper % 2].wait(0, word, 0, LONG);
                }
            });
        }
        while asleep.load(SeqCst) < 8 {
            std::thread::yield_now();
        }
        pair.word(0).fetch_add(1, SeqCst);
        pair.bells[0].wake_all(0, pair.word(0));
    });
}

#[test]
fn wrapping_count_still_wakes() {
    let pair = pair(1);
    pair.word(0).store(u32::MAX.into(), SeqCst);
    std::thread::scope(|scope| {
        scope.spawn(|| pair.sleep_until(1, 0, 0));
        let word = pair.word(0);
        let wrapped = word.fetch_update(SeqCst, SeqCst, |now| {
            Some((now & !u64::from(u32::MAX)) | u64::from((now as u32).wrapping_add(1)))
        });
        assert_eq!(wrapped.unwrap() as u32, u32::MAX);
        pair.bells[0].wake_all(0, word);
    });
}

#[test]
fn nap_notices_a_change_and_ends_by_its_timeout() {
    let word = AtomicU64::new(UPPER | 3);
    assert!(nap(&word, 2, LONG));
    assert!(!nap(&word, 3, SHORT));
    std::thread::scope(|scope| {
        scope.spawn(|| word.fetch_add(1, SeqCst));
        assert!(nap(&word, 3, LONG));
    });
}

#[test]
fn bell_beyond_the_count_still_ends() {
    let pair = pair(1);
    assert!(!pair.bells[0].wait(usize::MAX, pair.word(0), 0, SHORT));
    pair.bells[0].wake_all(usize::MAX, pair.word(0));
}

#[test]
fn too_many_bells_or_other_handles_are_refused() {
    use std::io::ErrorKind::{InvalidData, InvalidInput};
    assert!(Bells::handles_of(MAX_BELLS) < MAX_HANDLES);
    assert_eq!(
        Bells::create(MAX_BELLS + 1).unwrap_err().kind(),
        InvalidInput
    );
    let handle = || OwnedHandle::from(tempfile::tempfile().unwrap());
    let wrong = [
        vec![handle()],
        (0..Bells::handles_of(1)).map(|_| handle()).collect(),
    ];
    for handles in wrong {
        match Bells::from_handles(handles, 1) {
            Ok(_) => assert_eq!(Bells::handles_of(1), 0),
            Err(error) => assert_eq!(error.kind(), InvalidData),
        }
    }
}
