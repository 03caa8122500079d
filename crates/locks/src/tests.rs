use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::{Condvar, Mutex, RwLock};

#[test]
fn mutex_excludes_threads_that_wait_with_and_without_limit() {
    let count = Arc::new(Mutex::new(0));
    let threads = (0..8).map(|number| {
        let count = count.clone();
        thread::spawn(move || {
            for _ in 0..2000 {
                let mut count = match number % 2 {
                    0 => count.lock(),
                    _ => count.try_lock_for(Duration::from_secs(600)).unwrap(),
                };
                let before = *count;
                thread::yield_now();
                *count = before + 1;
            }
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
    assert_eq!(*count.lock(), 16000);
}

#[test]
fn timed_lock_of_a_held_mutex_gives_up() {
    let held = Mutex::new(());
    let guard = held.lock();
    thread::scope(|threads| {
        let asked = threads.spawn(|| {
            let late = held.try_lock_until(Instant::now() + Duration::from_millis(5));
            let past = held.try_lock_until(Instant::now());
            late.is_none() && past.is_none() && held.try_lock().is_none()
        });
        assert!(asked.join().unwrap());
    });
    drop(guard);
    assert!(held.try_lock_until(Instant::now()).is_some());
}

#[test]
fn mutex_of_a_thread_that_panicked_is_free() {
    let (mutex, lock) = (Arc::new(Mutex::new(1)), Arc::new(RwLock::new(1)));
    let (theirs, their_lock) = (mutex.clone(), lock.clone());
    let panicked = thread::spawn(move || {
        let _guard = (theirs.lock(), their_lock.write());
        panic!("on purpose");
    });
    assert!(panicked.join().is_err());
    assert_eq!((*mutex.lock(), *lock.read()), (1, 1));
}

#[test]
fn condition_hands_over_between_threads() {
    const TURNS: u32 = 2000;
    let (turn, changed) = (Mutex::new(0), Condvar::new());
    thread::scope(|threads| {
        for number in 0..3 {
            let (turn, changed) = (&turn, &changed);
            threads.spawn(move || {
                for round in 0..TURNS {
                    let mut at = turn.lock();
                    changed.wait_while(&mut at, |at| *at != 3 * round + number);
                    *at += 1;
                    changed.notify_all();
                }
            });
        }
    });
    assert_eq!(*turn.lock(), 3 * TURNS);
}

#[test]
fn one_notification_for_each_of_many_wakes_them_all() {
    let (state, changed) = (Mutex::new((0, 0)), Condvar::new());
    thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                let mut state = state.lock();
                state.0 += 1;
                while state.1 == 0 {
                    changed.wait(&mut state);
                }
                state.1 -= 1;
            });
        }
        while state.lock().0 < 8 {
            thread::yield_now();
        }
        for _ in 0..8 {
            state.lock().1 += 1;
            changed.notify_one();
        }
    });
    assert_eq!(*state.lock(), (8, 0));
}

#[test]
fn waits_with_a_limit_end() {
    let (mutex, never) = (Mutex::new(false), Condvar::new());
    let mut guard = mutex.lock();
    let limit = Duration::from_millis(5);
    while !never.wait_for(&mut guard, limit).timed_out() {}
    assert!(never.wait_until(&mut guard, Instant::now()).timed_out());
    assert!(
        never
            .wait_while_for(&mut guard, |done| !*done, limit)
            .timed_out()
    );
    *guard = true;
    assert!(
        !never
            .wait_while_for(&mut guard, |done| !*done, limit)
            .timed_out()
    );
}
