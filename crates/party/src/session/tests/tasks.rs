//! Calls of tasks against leaders that are played by the test.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use serde_bytes::Bytes;

use super::{EPOCH, PATIENCE, attach, link, session};
use crate::error::{ErrorKind, Result};
use crate::options::WhenFull;
use crate::page::Trace;
use crate::protocol::{Answer, ClientMessage, Request, Response, Write};
use crate::session::{Answered, Calling, Limits, Session, Wait};

/// Before any answer, and long after the call was sent, also on a busy machine.
const NO_TIME: Duration = Duration::from_secs(3);

fn limits(timeout: Duration) -> Limits {
    Limits {
        wait: Wait::Task,
        ..Limits::new(timeout, true)
    }
}

pub(super) fn get(session: &Session, timeout: Duration) -> Pin<Box<Calling<'_>>> {
    let request = Request::Get {
        key: Bytes::new(b"k"),
        at: None,
    };
    Box::pin(session.calling(request, limits(timeout)))
}

fn put<'a>(session: &'a Session, batch: &'a [u8], limits: Limits) -> Pin<Box<Calling<'a>>> {
    let request = Request::Write(Write {
        number: 0,
        sync: false,
        batch: Bytes::new(batch),
        conditions: Bytes::new(b""),
    });
    Box::pin(session.calling(request, limits))
}

/// Limits of calls whose time is over before they begin.
fn over(wait: Wait) -> Limits {
    let limits = limits(Duration::ZERO);
    Limits { wait, ..limits }
}

/// Found by review: a task's call that was polled late was still sent.
#[test]
fn a_call_whose_time_is_over_before_it_begins_is_never_sent() {
    let session = session();
    let (link, mut leader) = link();
    attach(&session, link).unwrap();
    let late = [
        put(&session, b"late", over(Wait::Task)),
        put(&session, b"late", over(Wait::Thread)),
    ];
    for result in Tasks::begin(late).finish() {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Timeout);
    }
    let in_time = Tasks::begin([put(&session, b"in time", limits(PATIENCE))]);
    let (id, number, bytes) = leader.next(batch);
    assert_eq!(
        (number, bytes),
        (1, b"in time".to_vec()),
        "nothing came first"
    );
    leader.reply(id, Response::Written { sequence: 1 });
    assert!(in_time.finish().remove(0).is_ok());
}

/// Counts its wakes and wakes a thread.
struct Bell {
    rings: AtomicUsize,
    thread: std::thread::Thread,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rings.fetch_add(1, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// An executor of nothing but the standard library: polls all in their order, then again whenever any was woken.
pub(super) struct Tasks<'a> {
    bell: Arc<Bell>,
    pub tasks: Vec<Option<Pin<Box<Calling<'a>>>>>,
    results: Vec<Option<Result<Answered>>>,
}

impl<'a> Tasks<'a> {
    pub fn begin(tasks: impl IntoIterator<Item = Pin<Box<Calling<'a>>>>) -> Self {
        let tasks: Vec<_> = tasks.into_iter().map(Some).collect();
        let mut all = Tasks {
            bell: Arc::new(Bell {
                rings: AtomicUsize::new(0),
                thread: std::thread::current(),
            }),
            results: tasks.iter().map(|_| None).collect(),
            tasks,
        };
        all.poll_all();
        all
    }

    pub fn poll_all(&mut self) -> bool {
        let waker = Waker::from(self.bell.clone());
        let mut context = Context::from_waker(&waker);
        for (task, result) in self.tasks.iter_mut().zip(&mut self.results) {
            if let Some(running) = task
                && let Poll::Ready(outcome) = running.as_mut().poll(&mut context)
            {
                *result = Some(outcome);
                *task = None;
            }
        }
        self.tasks.iter().all(Option::is_none)
    }

    /// Polls whoever was woken, so that what has gathered is sent.
    fn turn(&mut self) {
        while self.bell.rings.swap(0, Ordering::SeqCst) > 0 {
            self.poll_all();
        }
    }

    /// Forgets what woke it until now.
    pub fn hush(&self) {
        self.bell.rings.store(0, Ordering::SeqCst);
    }

    pub fn wait(&self) {
        while self.bell.rings.swap(0, Ordering::SeqCst) == 0 {
            std::thread::park();
        }
    }

    pub fn finish(mut self) -> Vec<Result<Answered>> {
        while !self.poll_all() {
            self.wait();
        }
        self.results
            .into_iter()
            .map(|result| result.expect("it has ended"))
            .collect()
    }
}

fn batch(message: &ClientMessage<'_>) -> (u64, u64, Vec<u8>) {
    match message {
        ClientMessage::Call {
            id,
            request: Request::Write(write),
        } => (*id, write.number, write.batch.to_vec()),
        other => panic!("not a write: {other:?}"),
    }
}

#[test]
fn calls_of_tasks_are_answered_without_a_runtime() {
    let session = session();
    let (link, mut leader) = link();
    attach(&session, link).unwrap();
    let mut tasks = Tasks::begin((0..64).map(|_| get(&session, PATIENCE)));
    tasks.turn();
    for _ in 0..64 {
        let id = leader.call();
        leader.reply(id, Response::Value(Some(Bytes::new(b"v"))));
    }
    for result in tasks.finish() {
        assert!(matches!(result.unwrap().answer, Answer::Value(Some(v)) if v == b"v"));
    }
    assert_eq!(session.queued_bytes(), 0);
}

#[test]
fn writes_of_tasks_keep_the_order_of_first_polls_over_a_change_of_leader() {
    const WRITES: u8 = 100;
    let session = session();
    let batches: Vec<[u8; 1]> = (0..WRITES).map(|n| [n]).collect();
    let puts = batches
        .iter()
        .map(|batch| put(&session, batch, limits(PATIENCE)));
    // Nobody leads yet; then somebody does, answers one, and goes.
    let mut tasks = Tasks::begin(puts);
    let (first, mut leader) = link();
    let tenure = attach(&session, first).unwrap();
    for n in 0..WRITES {
        let (id, number, bytes) = leader.next(batch);
        assert_eq!((number, bytes), (u64::from(n) + 1, vec![n]));
        if n == 0 {
            leader.reply(id, Response::Written { sequence: 1 });
        }
    }
    while tasks.tasks[0].is_some() {
        tasks.poll_all();
    }
    session.lose(tenure);
    drop(leader);
    let (second, mut leader) = link();
    attach(&session, second).unwrap();
    for n in 1..WRITES {
        let (id, number, bytes) = leader.next(batch);
        assert_eq!((number, bytes), (u64::from(n) + 1, vec![n]));
        let sequence = u64::from(n) + 1;
        leader.reply(id, Response::Written { sequence });
    }
    for (n, result) in tasks.finish().into_iter().enumerate() {
        let expected = n as u64 + 1;
        assert!(
            matches!(result.unwrap().answer, Answer::Written { sequence } if sequence == expected)
        );
    }
}

#[test]
fn more_writes_than_the_page_holds_go_out_as_answers_come() {
    const WRITES: usize = 1000;
    let session = session();
    let (link, mut leader) = link();
    attach(&session, link).unwrap();
    let puts = (0..WRITES).map(|_| put(&session, b"b", limits(PATIENCE)));
    let mut tasks = Tasks::begin(puts);
    tasks.turn();
    for n in 0..WRITES {
        let (id, number, _) = leader.next(batch);
        assert_eq!(number, n as u64 + 1);
        leader.reply(id, Response::Written { sequence: number });
    }
    assert!(tasks.finish().iter().all(Result::is_ok));
}

#[test]
fn a_deadline_holds_without_a_timer() {
    let session = session();
    let (link, mut leader) = link();
    attach(&session, link).unwrap();
    let tasks = Tasks::begin([get(&session, NO_TIME), put(&session, b"b", limits(NO_TIME))]);
    let first = leader.call();
    let results = tasks.finish();
    for result in results {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Timeout);
    }
    // What came too late is nobody's; the next call is answered.
    leader.reply(first, Response::Value(None));
    let mut tasks = Tasks::begin([get(&session, PATIENCE)]);
    tasks.turn();
    let id = loop {
        let call = leader.next(|message| match message {
            ClientMessage::Call {
                id,
                request: Request::Get { .. },
            } => Some(*id),
            _ => None,
        });
        if let Some(id) = call {
            break id;
        }
    };
    leader.reply(id, Response::Value(None));
    assert!(tasks.finish().remove(0).is_ok());
}

#[test]
fn a_deadline_holds_while_nobody_leads() {
    let session = session();
    let result = Tasks::begin([get(&session, NO_TIME)]).finish().remove(0);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(session.queued_bytes(), 0);
}

#[test]
fn a_write_that_is_dropped_before_it_is_sent_never_is() {
    let session = session();
    let mut tasks = Tasks::begin([
        put(&session, b"dropped", limits(PATIENCE)),
        put(&session, b"kept", limits(PATIENCE)),
    ]);
    tasks.tasks[0] = None;
    tasks.results[0] = Some(Err(crate::error::Error::closed()));
    let (link, mut leader) = link();
    attach(&session, link).unwrap();
    let (id, _, bytes) = leader.next(batch);
    assert_eq!(bytes, b"kept");
    leader.reply(id, Response::Written { sequence: 1 });
    assert!(tasks.finish().remove(1).is_ok());
}

#[test]
fn a_dropped_write_is_cancelled_or_if_it_was_claimed_never_sent_again() {
    let session = session();
    let (first, mut leader) = link();
    let tenure = attach(&session, first).unwrap();
    let mut tasks = Tasks::begin([
        put(&session, b"1", limits(PATIENCE)),
        put(&session, b"2", limits(PATIENCE)),
        put(&session, b"3", limits(PATIENCE)),
    ]);
    tasks.turn();
    let numbers: Vec<u64> = (0..3).map(|_| leader.next(batch).1).collect();
    let page = session.page();
    assert!(page.claim(numbers[1], EPOCH));
    tasks.tasks[0] = None;
    tasks.tasks[1] = None;
    assert!(
        !page.claim(numbers[0], EPOCH),
        "dropped, so no leader may take it"
    );
    assert_eq!(page.trace(numbers[1], EPOCH), Trace::NotAssigned);
    session.lose(tenure);
    drop(leader);
    let (second, mut leader) = link();
    attach(&session, second).unwrap();
    let (id, number, bytes) = leader.next(batch);
    assert_eq!((number, bytes), (numbers[2], b"3".to_vec()));
    leader.reply(id, Response::Written { sequence: 9 });
    for result in &mut tasks.results[..2] {
        *result = Some(Err(crate::error::Error::closed()));
    }
    assert!(tasks.finish().remove(2).is_ok());
    assert_eq!(session.queued_bytes(), 0);
}

#[test]
fn a_claimed_write_that_was_dropped_is_resolved_by_its_page_entry() {
    let session = session();
    let (first, mut leader) = link();
    let tenure = attach(&session, first).unwrap();
    let mut tasks = Tasks::begin([put(&session, b"1", limits(PATIENCE))]);
    let (_, number, _) = leader.next(batch);
    assert!(session.page().claim(number, EPOCH));
    assert!(session.page().assign(number, EPOCH, 5));
    assert!(session.page().applied(number, 5));
    tasks.tasks.clear();
    assert!(session.queued_bytes() > 0, "its outcome is still owed");
    session.lose(tenure);
    let (second, _leader) = link();
    attach(&session, second).unwrap();
    assert_eq!(session.queued_bytes(), 0);
}

#[test]
fn a_grant_to_a_dropped_future_goes_back() {
    let session = session();
    let (link, mut leader) = link();
    attach(&session, link).unwrap();
    // One is dropped before its answer comes, one after.
    let pin = || Box::pin(session.calling(Request::Pin, limits(PATIENCE)));
    let mut tasks = Tasks::begin([pin(), pin(), get(&session, PATIENCE)]);
    tasks.turn();
    let ids: Vec<u64> = (0..3).map(|_| leader.call()).collect();
    tasks.tasks[0] = None;
    for (id, sequence) in ids.iter().zip([7, 8]) {
        leader.reply(*id, Response::Pinned { sequence });
    }
    leader.reply(ids[2], Response::Value(None));
    while tasks.tasks[2].is_some() {
        let waker = Waker::from(tasks.bell.clone());
        let get = tasks.tasks[2].as_mut().unwrap();
        if get
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready()
        {
            tasks.tasks[2] = None;
        }
    }
    tasks.tasks.clear();
    for expected in [7, 8] {
        leader.next(|message| match message {
            ClientMessage::Unpin { sequence } => assert_eq!(*sequence, expected),
            other => panic!("not given back: {other:?}"),
        });
    }
}

#[test]
fn a_grant_whose_future_was_dropped_with_nobody_else_waiting_goes_back() {
    let session = session();
    let (link, mut leader) = link();
    attach(&session, link).unwrap();
    let tasks = Tasks::begin([Box::pin(session.calling(Request::Pin, limits(PATIENCE)))]);
    let id = leader.call();
    drop(tasks);
    leader.reply(id, Response::Pinned { sequence: 7 });
    leader.next(|message| assert!(matches!(message, ClientMessage::Unpin { sequence: 7 })));
}

#[test]
fn tasks_and_threads_wait_side_by_side() {
    let session = session();
    let (link, mut leader) = link();
    attach(&session, link).unwrap();
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..50 {
                    super::get(&session, PATIENCE).expect("answered");
                }
            });
            threads.spawn(|| {
                for _ in 0..50 {
                    let done = Tasks::begin([get(&session, PATIENCE)]).finish();
                    done.into_iter().for_each(|r| drop(r.expect("answered")));
                }
            });
        }
        for _ in 0..400 {
            let id = leader.call();
            leader.reply(id, Response::Value(None));
        }
    });
}

/// 100,000 queued puts without a leader once took 442 MB in another program.
#[test]
fn what_is_kept_while_nobody_leads_is_bounded_in_bytes() {
    const LIMIT: usize = 1 << 20;
    let session = session();
    let value = [7; 4096];
    let bounded = |when_full| Limits {
        queue_bytes: LIMIT,
        when_full,
        ..limits(PATIENCE)
    };
    let puts = (0..100_000).map(|_| put(&session, &value, bounded(WhenFull::Busy)));
    let tasks = Tasks::begin(puts);
    let queued = session.queued_bytes();
    assert!(queued <= LIMIT, "{queued} bytes are kept");
    let kept: usize = session
        .lock()
        .calls
        .iter()
        .map(|(_, call)| call.frame.len())
        .sum();
    assert!(kept <= queued, "{kept} bytes of frames, {queued} counted");
    let busy = |result: &Option<Result<Answered>>| {
        result
            .as_ref()
            .is_some_and(|result| matches!(result, Err(error) if error.kind() == ErrorKind::Busy))
    };
    let refused = tasks.results.iter().filter(|result| busy(result)).count();
    let taken = tasks.tasks.iter().flatten().count();
    assert_eq!(refused + taken, 100_000);
    assert!(taken > 200, "{taken} found room");
    drop(tasks);
    assert_eq!(session.queued_bytes(), 0);
    // Those who wait for room are not kept either, and have it in their order.
    let puts = (0..1000).map(|_| put(&session, &value, bounded(WhenFull::Wait)));
    let tasks = Tasks::begin(puts);
    assert!(session.queued_bytes() <= LIMIT);
    std::thread::scope(|threads| {
        let (link, mut leader) = link();
        threads.spawn(move || {
            let mut last = 0;
            for n in 1..=1000 {
                let (id, number, _) = leader.next(batch);
                assert!(number > last);
                last = number;
                leader.reply(id, Response::Written { sequence: n });
            }
        });
        attach(&session, link).unwrap();
        for (n, result) in tasks.finish().into_iter().enumerate() {
            let expected = n as u64 + 1;
            assert!(
                matches!(result.unwrap().answer, Answer::Written { sequence } if sequence == expected)
            );
        }
    });
}

#[test]
fn a_blocking_caller_waits_for_room_until_its_deadline() {
    let session = session();
    let _tasks = Tasks::begin([put(&session, &[1; 1000], limits(PATIENCE))]);
    let request = Request::Get {
        key: Bytes::new(b"k"),
        at: None,
    };
    let bounded = Limits {
        queue_bytes: 1000,
        ..Limits::new(NO_TIME, true)
    };
    let error = session.call(&request, &bounded).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.message().contains("queue_bytes"), "{error}");
    let busy = Limits {
        when_full: WhenFull::Busy,
        queue_bytes: 1000,
        ..Limits::new(PATIENCE, true)
    };
    let error = session.call(&request, &busy).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
}

/// Found by review: who waited for room and was not polled any more held up all others for ever.
#[test]
fn a_future_in_line_that_nobody_polls_holds_up_nobody_after_its_deadline() {
    let session = session();
    let bounded = |timeout| Limits {
        queue_bytes: 1,
        ..limits(timeout)
    };
    let in_flight = Tasks::begin([put(&session, b"in flight", bounded(PATIENCE))]);
    let forgotten = Tasks::begin([put(&session, b"forgotten", bounded(NO_TIME))]);
    let behind = Tasks::begin([put(&session, b"behind", bounded(PATIENCE))]);
    // The driver wakes it at its deadline, and it is not polled for that.
    while forgotten.bell.rings.load(Ordering::SeqCst) == 0 {
        std::thread::park();
    }
    drop(in_flight);
    let (link, mut leader) = link();
    attach(&session, link).unwrap();
    std::thread::scope(|threads| {
        threads.spawn(move || {
            let (id, _, bytes) = leader.next(batch);
            assert_eq!(bytes, b"behind");
            leader.reply(id, Response::Written { sequence: 1 });
        });
        assert!(behind.finish().remove(0).is_ok());
    });
    let late = forgotten.finish().remove(0);
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Timeout);
}

#[test]
fn closing_answers_tasks_also_those_that_wait_for_room() {
    let session = session();
    let bounded = Limits {
        queue_bytes: 1,
        ..limits(PATIENCE)
    };
    let tasks = Tasks::begin([
        put(&session, b"in flight", bounded),
        put(&session, b"in line", bounded),
    ]);
    session.close();
    for result in tasks.finish() {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Closed);
    }
}

/// A waker is the caller's own code: here it polls another future of the session on the spot.
#[test]
fn a_waker_may_call_back() {
    struct CallsBack(Arc<Session>, AtomicUsize, std::thread::Thread);
    impl Wake for CallsBack {
        fn wake(self: Arc<Self>) {
            assert!(self.0.queued_bytes() < usize::MAX);
            self.1.fetch_add(1, Ordering::SeqCst);
            self.2.unpark();
        }
    }
    let session = session();
    let (link, mut leader) = link();
    attach(&session, link).unwrap();
    let back = Arc::new(CallsBack(
        session.clone(),
        AtomicUsize::new(0),
        std::thread::current(),
    ));
    let waker = Waker::from(back.clone());
    let mut call = get(&session, PATIENCE);
    assert!(
        call.as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    let id = leader.call();
    leader.reply(id, Response::Value(None));
    while back.1.load(Ordering::SeqCst) == 0 {
        std::thread::park();
    }
    assert!(
        call.as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready()
    );
}

#[test]
fn many_calls_of_one_turn_are_few_writes() {
    let session = session();
    let (link, mut leader) = link();
    attach(&session, link).unwrap();
    let mut tasks = Tasks::begin((0..64).map(|_| get(&session, PATIENCE)));
    // The first found nobody in flight and went at once.
    leader.call();
    assert!(
        !leader.stream.wait_readable(Some(Duration::ZERO)).unwrap(),
        "the others gather"
    );
    tasks.turn();
    leader.received.fill(&leader.stream).unwrap();
    let mut together = 0;
    while leader.received.next_frame().unwrap().is_some() {
        together += 1;
    }
    assert_eq!(together, 63);
}

/// Found by review: the driver slept and tried the same again, for ever if need be.
#[test]
fn a_driver_whose_poll_fails_still_takes_answers_in_or_gives_the_link_up() {
    let no_memory = std::io::Error::from(std::io::ErrorKind::OutOfMemory);
    let never = std::io::Error::from(std::io::ErrorKind::InvalidInput);
    for (error, is_kept) in [(no_memory, true), (never, false)] {
        let session = session();
        // This test is the driver.
        session.lock().driver.started = true;
        let (link, mut leader) = link();
        let tenure = attach(&session, link.clone()).unwrap();
        let mut tasks = Tasks::begin([get(&session, PATIENCE)]);
        let id = leader.call();
        leader.reply(id, Response::Value(None));
        session.go_on_without_poll(&mut session.lock(), Some(link), tenure, &error);
        assert_eq!(session.is_current(tenure), is_kept);
        assert_eq!(tasks.poll_all(), is_kept);
    }
}
