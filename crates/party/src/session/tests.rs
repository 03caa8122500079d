//! A session against leaders that are played by the test, frame by frame.

use std::io::Write as _;
use std::sync::Arc;
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use level_party_os::Stream;
use serde_bytes::Bytes;

mod leading;
mod looking;
mod overtaken;
mod stalls;
mod tasks;

use super::handover::Greeting;
use super::{Answered, Limits, Session, Tenure};
use crate::alarm::Alarm;
use crate::epoch::Epoch;
use crate::error::ErrorKind;
use crate::follower::Link;
use crate::options::Options;
use crate::protocol::{
    Answer, ClientMessage, Failure, FrameBuffer, MAX_REQUEST_FRAME, RecoveredThrough, Request,
    Response, ServerMessage, Welcome, Write, decode, encode_frame, max_reply_frame,
};

const PATIENCE: Duration = Duration::from_secs(60);
const EPOCH: Epoch = Epoch {
    number: 1,
    random: [1, 1],
};

/// The leader's end of a link.
struct Leader {
    stream: Stream,
    received: FrameBuffer,
}

impl Leader {
    /// The next message, as `read` sees it.
    fn next<T>(&mut self, read: impl Fn(&ClientMessage<'_>) -> T) -> T {
        loop {
            if let Some(frame) = self.received.next_frame().expect("frames in order") {
                return read(&decode(frame).expect("a whole message"));
            }
            let count = self
                .received
                .fill(&self.stream)
                .expect("the follower is there");
            assert!(count > 0, "the follower has gone");
        }
    }

    /// The id of the next call.
    fn call(&mut self) -> u64 {
        self.next(|message| match message {
            ClientMessage::Call { id, .. } => *id,
            other => panic!("not a call: {other:?}"),
        })
    }

    fn reply(&mut self, id: u64, response: Response<'_>) {
        let mut frame = Vec::new();
        encode_frame(
            &ServerMessage::Reply {
                id,
                result: Ok(response),
            },
            &mut frame,
        );
        (&self.stream)
            .write_all(&frame)
            .expect("the follower is there");
    }
}

fn session() -> Arc<Session> {
    Session::new(Arc::new(Alarm::new().unwrap())).unwrap()
}

fn link() -> (Arc<Link>, Leader) {
    let (ours, theirs) = Stream::pair().unwrap();
    let replies = FrameBuffer::new(max_reply_frame());
    let link = Link::new(Arc::new(ours), std::process::id(), replies).unwrap();
    (
        Arc::new(link),
        Leader {
            stream: theirs,
            received: FrameBuffer::new(MAX_REQUEST_FRAME),
        },
    )
}

fn attach(session: &Session, link: Arc<Link>) -> crate::error::Result<Tenure> {
    attach_over(session, link, true)
}

/// `unbroken`: no other program had the directory meanwhile.
fn attach_over(session: &Session, link: Arc<Link>, unbroken: bool) -> crate::error::Result<Tenure> {
    attach_to(session, link, EPOCH, RecoveredThrough::Current, unbroken)
}

/// To the leadership `epoch`, which says `recovered` of any other.
fn attach_to(
    session: &Session,
    link: Arc<Link>,
    epoch: Epoch,
    recovered: RecoveredThrough,
    unbroken: bool,
) -> crate::error::Result<Tenure> {
    let greeting = session.greeting(Options::default().engine, None);
    let welcome = Welcome {
        epoch,
        leader_pid: std::process::id(),
        options: Options::default().engine,
        recovered: greeting
            .hello
            .unresolved
            .iter()
            .map(|_| recovered)
            .collect(),
        unbroken,
        pins_held: greeting.hello.pins.iter().map(|_| true).collect(),
        not_lasting: None,
        losses: Vec::new(),
    };
    session.attach(link, &greeting, &welcome)
}

fn get(session: &Session, timeout: Duration) -> crate::error::Result<super::Answered> {
    let request = Request::Get {
        key: Bytes::new(b"k"),
        at: None,
    };
    session.call(&request, &Limits::new(timeout, true))
}

fn put_now(
    session: &Session,
    batch: &[u8],
    limits: Limits,
) -> crate::error::Result<super::Answered> {
    let request = Request::Write(Write {
        number: 0,
        sync: false,
        batch: Bytes::new(batch),
        conditions: Bytes::new(b""),
    });
    session.call(&request, &limits)
}

fn numbered_write(message: &ClientMessage<'_>) -> (u64, u64) {
    match message {
        ClientMessage::Call {
            id,
            request: Request::Write(write),
        } => (*id, write.number),
        other => panic!("not a write: {other:?}"),
    }
}

/// Found by review: grants given back were written into the middle of a write that was being sent again.
#[test]
fn a_grant_given_back_waits_for_what_is_sent_again() {
    const PINS: usize = 64;
    let session = session();
    let value = vec![b'v'; 16 << 20];
    let (first, mut leader) = link();
    let tenure = attach(&session, first).unwrap();
    std::thread::scope(|threads| {
        let mut pins = Vec::new();
        for _ in 0..PINS {
            let pin = threads.spawn(|| session.call(&Request::Pin, &Limits::new(PATIENCE, true)));
            let id = leader.call();
            leader.reply(id, Response::Pinned { sequence: 7 });
            pins.push(pin.join().unwrap().unwrap().pin.expect("a grant"));
        }

        let write = threads.spawn(|| {
            let request = Request::Write(Write {
                number: 0,
                sync: false,
                batch: Bytes::new(&value),
                conditions: Bytes::new(b""),
            });
            session.call(&request, &Limits::new(PATIENCE, true))
        });
        leader.call();
        session.lose(tenure);
        drop(leader);

        let (second, mut leader) = link();
        let attaching = threads.spawn(|| attach(&session, second));
        // The write is on its way and does not fit the connection: whenever the leader has read some of it there is
        // room for a moment.
        for pin in pins {
            leader.received.fill(&leader.stream).unwrap();
            session.unpin(pin);
        }
        let id = leader.next(|message| match message {
            ClientMessage::Call {
                id,
                request: Request::Write(Write { batch, .. }),
            } => {
                assert!(batch.as_ref() == value, "the write came with other bytes");
                *id
            }
            other => panic!("not the write: {other:?}"),
        });
        leader.reply(id, Response::Written { sequence: 8 });
        assert!(matches!(
            write.join().unwrap().unwrap().answer,
            Answer::Written { sequence: 8 }
        ));
        attaching.join().unwrap().unwrap();
        for _ in 0..PINS {
            leader.next(|message| assert!(matches!(message, ClientMessage::Unpin { sequence: 7 })));
        }
    });
}

/// Found by review: a caller woken to read for all, whose own time was up just then, told nobody.
#[test]
fn callers_whose_time_is_up_leave_no_answer_unread() {
    let session = session();
    let (link, mut leader) = link();
    attach(&session, link).unwrap();
    std::thread::scope(|threads| {
        let short: Vec<_> = (0..8)
            // Long enough to be sent on a busy machine: a call whose time is up is not.
            .map(|_| threads.spawn(|| get(&session, Duration::from_secs(3))))
            .collect();
        let ids: Vec<u64> = short.iter().map(|_| leader.call()).collect();
        let long = threads.spawn(|| get(&session, PATIENCE));
        let id = leader.call();
        for caller in short {
            assert_eq!(
                caller.join().unwrap().unwrap_err().kind(),
                ErrorKind::Timeout
            );
        }
        for id in ids.into_iter().chain([id]) {
            leader.reply(id, Response::Value(Some(Bytes::new(b"v"))));
        }
        let answer = long.join().unwrap().expect("the leader answered it").answer;
        assert!(matches!(answer, Answer::Value(Some(value)) if value == b"v"));
    });
}

/// Found by review: a call that a leader can't take was sent to it again and again, for ever.
#[test]
fn a_call_that_ends_every_connection_ends_with_an_error() {
    let session = session();
    std::thread::scope(|threads| {
        let call = threads.spawn(|| get(&session, PATIENCE));
        let mut connections = 0;
        while !call.is_finished() {
            let (link, mut leader) = link();
            let tenure = attach(&session, link).unwrap();
            if leader
                .stream
                .wait_readable(Some(Duration::from_millis(100)))
                .unwrap()
            {
                leader.call();
                connections += 1;
                assert!(connections < 10, "it is still sent again");
            }
            drop(leader);
            session.lose(tenure);
        }
        assert_eq!(
            call.join().unwrap().unwrap_err().kind(),
            ErrorKind::Protocol
        );
    });
}

/// A write that the leadership `epoch` has claimed, whose link is gone; and the write's number.
pub(crate) fn in_flight_and_claimed<'scope>(
    session: &'scope Arc<Session>,
    threads: &'scope Scope<'scope, '_>,
    sync: bool,
    epoch: Epoch,
) -> (
    ScopedJoinHandle<'scope, crate::error::Result<Answered>>,
    u64,
) {
    let mut batch = crate::batch::WriteBatch::new();
    batch.put(b"k", b"v");
    let write = threads.spawn(move || {
        let request = Request::Write(Write {
            number: 0,
            sync,
            batch: Bytes::new(batch.as_bytes()),
            conditions: Bytes::new(b""),
        });
        session.call(&request, &Limits::new(PATIENCE, true))
    });
    let (link, mut leader) = link();
    let tenure = attach_to(session, link, epoch, RecoveredThrough::Current, true).unwrap();
    let (_, number) = leader.next(numbered_write);
    assert!(session.page().claim(number, epoch));
    session.lose(tenure);
    (write, number)
}

/// The same, assigned the sequence 1.
pub(crate) fn in_flight_and_assigned<'scope>(
    session: &'scope Arc<Session>,
    threads: &'scope Scope<'scope, '_>,
    sync: bool,
    epoch: Epoch,
) -> ScopedJoinHandle<'scope, crate::error::Result<Answered>> {
    let (write, number) = in_flight_and_claimed(session, threads, sync, epoch);
    let greeting = session.greeting(Options::default().engine, None);
    assert!(!greeting.hello.owed_sync, "no leader has assigned it yet");
    assert!(session.page().assign(number, epoch, 1));
    write
}

#[test]
fn a_session_tells_the_next_leader_whether_it_is_owed_a_sync() {
    for sync in [false, true] {
        let session = session();
        std::thread::scope(|threads| {
            let write = in_flight_and_assigned(&session, threads, sync, EPOCH);
            let greeting = session.greeting(Options::default().engine, None);
            assert_eq!(greeting.hello.owed_sync, sync);
            session.close();
            assert!(write.join().unwrap().is_err());
            let greeting = session.greeting(Options::default().engine, None);
            assert!(!greeting.hello.owed_sync, "nobody waits for it any more");
        });
    }
}

const NEXT: Epoch = Epoch {
    number: 2,
    random: [2, 2],
};

/// What a leader answers that recovered the sequence 1.
fn welcome_of_next(greeting: &Greeting, not_lasting: Option<Failure>) -> Welcome {
    let recovered = |_: &Epoch| RecoveredThrough::Sequence(1);
    Welcome {
        epoch: NEXT,
        leader_pid: std::process::id(),
        options: Options::default().engine,
        recovered: greeting.hello.unresolved.iter().map(recovered).collect(),
        unbroken: true,
        pins_held: Vec::new(),
        not_lasting,
        losses: Vec::new(),
    }
}

/// A former leader whose every lock has failed may assign it when the next one has been greeted, and before that one reads
/// the log.
#[test]
fn a_write_that_comes_to_be_owed_a_sync_after_the_greeting_is_not_answered_before_another() {
    for sync in [false, true] {
        let session = session();
        std::thread::scope(|threads| {
            let (write, number) = in_flight_and_claimed(&session, threads, sync, EPOCH);
            let greeting = session.greeting(Options::default().engine, None);
            assert!(!greeting.hello.owed_sync);
            assert!(session.page().assign(number, EPOCH, 1));
            let (first, _leader) = link();
            let attached = session.attach(first, &greeting, &welcome_of_next(&greeting, None));
            assert_eq!(attached.is_err(), sync, "{attached:?}");
            if sync {
                assert!(!write.is_finished());
                let greeting = session.greeting(Options::default().engine, None);
                assert!(greeting.hello.owed_sync, "now it is told");
                let (second, _leader) = link();
                let welcome = welcome_of_next(&greeting, None);
                session.attach(second, &greeting, &welcome).unwrap();
            }
            let answer = write.join().unwrap().unwrap().answer;
            assert!(matches!(answer, Answer::Written { sequence: 1 }));
        });
    }
}

/// Found by review: the link was dropped without a word, again and again, until the caller's deadline.
#[test]
fn who_is_owed_a_sync_that_can_not_be_had_is_told_why_and_others_go_on() {
    let full = Failure {
        kind: ErrorKind::OutOfSpace,
        message: "can't create 000007.ldb: No space left on device".into(),
    };
    for sync in [false, true] {
        let session = session();
        std::thread::scope(|threads| {
            let write = in_flight_and_assigned(&session, threads, sync, EPOCH);
            let greeting = session.greeting(Options::default().engine, None);
            assert_eq!(greeting.hello.owed_sync, sync);
            let (next, mut leader) = link();
            let welcome = welcome_of_next(&greeting, sync.then(|| full.clone()));
            session.attach(next, &greeting, &welcome).unwrap();
            let answered = write.join().unwrap();
            if sync {
                let error = answered.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
                assert!(error.message().contains(&full.message), "{error}");
                let cause = std::error::Error::source(&error).unwrap();
                let cause = cause.downcast_ref::<crate::error::Error>().unwrap();
                assert_eq!(cause.kind(), ErrorKind::OutOfSpace);
            } else {
                answered.unwrap();
            }
            let read = threads.spawn(|| get(&session, PATIENCE));
            let id = leader.call();
            leader.reply(id, Response::Value(None));
            read.join().unwrap().unwrap();
        });
    }
}

#[test]
fn a_closed_session_answers_at_once_and_for_ever() {
    let session = session();
    let (link, mut leader) = link();
    attach(&session, link).unwrap();
    std::thread::scope(|threads| {
        let call = threads.spawn(|| get(&session, PATIENCE));
        leader.call();
        session.close();
        assert_eq!(call.join().unwrap().unwrap_err().kind(), ErrorKind::Closed);
    });
    assert_eq!(
        get(&session, PATIENCE).unwrap_err().kind(),
        ErrorKind::Closed
    );
}

/// Found by review: a condition names an entry by its sequence, which another program may have given to another write.
#[test]
fn a_condition_does_not_outlive_another_programs_visit() {
    let session = session();
    let (first, mut leader) = link();
    let tenure = attach(&session, first).unwrap();
    let conditional = Request::Write(Write {
        number: 0,
        sync: false,
        batch: Bytes::new(b"as long as a head is"),
        conditions: Bytes::new(b"any"),
    });
    let limits = Limits::new(PATIENCE, true);
    let tied = Limits {
        since: Some(session.line()),
        ..limits
    };
    std::thread::scope(|threads| {
        let write = threads.spawn(|| session.call(&conditional, &tied));
        leader.call();
        session.lose(tenure);
        drop(leader);
        let (second, mut leader) = link();
        attach_over(&session, second, false).unwrap();
        let answer = write.join().unwrap().unwrap().answer;
        assert!(matches!(answer, Answer::Conflict), "{answer:?}");

        let late = session.call(&conditional, &tied).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Conflict);
        let read = threads.spawn(|| get(&session, PATIENCE));
        let id = leader.call();
        leader.reply(id, Response::Value(None));
        read.join().unwrap().unwrap();
    });
}
