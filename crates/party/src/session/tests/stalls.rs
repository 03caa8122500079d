//! Leaders that stall for a while, and what goes on once they do.

use parking_lot::Mutex;

use super::*;
use crate::page::ENTRIES;

/// Before any answer, and long after the call was sent and met, also on a busy machine.
const NO_TIME: Duration = Duration::from_secs(3);
/// More than a connection holds.
const LARGE: usize = 16 << 20;

/// Found by review: the answer that would have made room was read by nobody, for ever.
#[test]
fn a_caller_that_waits_for_room_reads_what_makes_room() {
    let session = session();
    let (link, mut leader) = link();
    leader.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    attach(&session, link).unwrap();
    let page = session.page.clone();
    let few = |timeout| Limits {
        queue_bytes: 1000,
        ..Limits::new(timeout, true)
    };
    std::thread::scope(|threads| {
        let first = threads.spawn(|| put_now(&session, &[1; 1000], few(NO_TIME)));
        let (id, number) = leader.next(numbered_write);
        assert!(page.claim(number, EPOCH), "the leader is at it");
        let error = first.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);

        let second = threads.spawn(|| put_now(&session, b"2", few(PATIENCE)));
        leader.reply(id, Response::Written { sequence: 1 });
        let (id, _) = leader.next(numbered_write);
        leader.reply(id, Response::Written { sequence: 2 });
        second.join().unwrap().expect("there is room");
    });
}

/// Found by review: who read for all sent for all too and did not read meanwhile, while the leader waited for its
/// answers to be read.
#[test]
fn who_reads_for_all_goes_on_reading_while_it_sends() {
    let session = session();
    let (link, mut leader) = link();
    leader.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    attach(&session, link).unwrap();
    let large = vec![7; LARGE];
    // Whoever sends for others lives until all is read: Wine 8 ends a thread's writes with the thread (docs/PLATFORMS.md).
    let stay = Mutex::new(());
    std::thread::scope(|threads| {
        let staying = stay.lock();
        let reader = threads.spawn(|| {
            let got = get(&session, PATIENCE);
            drop(stay.lock());
            got
        });
        let read_last = leader.call();
        let puts: Vec<_> = (0..ENTRIES)
            .map(|_| {
                threads.spawn(|| {
                    let put = put_now(&session, b"p", Limits::new(PATIENCE, true));
                    drop(stay.lock());
                    put
                })
            })
            .collect();
        let ids: Vec<u64> = puts.iter().map(|_| leader.call()).collect();
        // It waits for an entry of the page, and goes with the answers that free one.
        let waits = threads.spawn(|| put_now(&session, &large, Limits::new(PATIENCE, true)));
        while session.inner.lock().queue.is_empty() {
            std::thread::yield_now();
        }
        for id in ids {
            leader.reply(id, Response::Written { sequence: 1 });
        }
        // The leader is busy answering before it reads on.
        leader.reply(read_last, Response::Value(Some(Bytes::new(&large))));
        let id = leader.call();
        leader.reply(id, Response::Written { sequence: 2 });
        drop(staying);
        reader.join().unwrap().expect("it was answered");
        waits.join().unwrap().expect("it was answered");
        for put in puts {
            put.join().unwrap().expect("it was answered");
        }
    });
}

#[test]
fn a_frame_left_half_sent_goes_on_without_its_caller() {
    let session = session();
    let (link, mut leader) = link();
    leader.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    attach(&session, link).unwrap();
    let large = vec![7; LARGE];
    std::thread::scope(|threads| {
        let reader = threads.spawn(|| get(&session, PATIENCE));
        let id = leader.call();
        let error = put_now(&session, &large, Limits::new(NO_TIME, true)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        leader.next(numbered_write);
        leader.reply(id, Response::Value(None));
        reader.join().unwrap().expect("it was answered");
    });
}
