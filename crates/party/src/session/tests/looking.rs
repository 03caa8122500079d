//! Tasks that look for answers themselves, and what becomes of the role.

use serde_bytes::Bytes;

use super::tasks::{Tasks, get};
use super::{Leader, PATIENCE, attach, link, session};
use crate::protocol::Response;
use crate::session::Session;
use crate::status::Role;

const CALLS: usize = 8;

/// The first goes alone, the second gathers and then looks. (Unless this thread was held up for so long that the driver
/// took the role away, so no test takes it for granted.)
const LOOKS: usize = 1;

/// Calls that were sent, one of which looks.
fn looking<'a>(session: &'a Session, leader: &mut Leader) -> (Tasks<'a>, Vec<u64>) {
    let mut tasks = Tasks::begin((0..CALLS).map(|_| get(session, PATIENCE)));
    // The one that gathered sends.
    tasks.poll_all();
    let ids: Vec<u64> = (0..CALLS).map(|_| leader.call()).collect();
    let by = session.inner.lock().looking.trace().0;
    assert!(by.is_none_or(|by| by == ids[LOOKS]));
    tasks.hush();
    (tasks, ids)
}

fn answer(leader: &mut Leader, ids: &[u64]) {
    for id in ids {
        leader.reply(*id, Response::Value(Some(Bytes::new(b"v"))));
    }
}

#[test]
fn the_task_that_looks_takes_the_answers_of_all() {
    let session = session();
    let (link, mut leader) = link();
    attach(&session, link).unwrap();
    let (mut tasks, ids) = looking(&session, &mut leader);
    let (first, rest) = ids.split_at(CALLS / 2);
    answer(&mut leader, first);
    while tasks.tasks[..CALLS / 2].iter().any(Option::is_some) {
        tasks.poll_all();
    }
    answer(&mut leader, rest);
    assert!(tasks.finish().iter().all(Result::is_ok));
    assert_eq!(session.inner.lock().looking.trace().0, None);
}

#[test]
fn an_executor_that_polls_no_more_keeps_the_answers_from_nobody() {
    let session = session();
    let (link, mut leader) = link();
    attach(&session, link).unwrap();
    let (tasks, ids) = looking(&session, &mut leader);
    answer(&mut leader, &ids);
    // Nobody polls: the driver reads, and wakes.
    tasks.wait();
    assert!(tasks.finish().iter().all(Result::is_ok));
}

#[test]
fn a_task_that_is_dropped_while_it_looks_passes_that_on() {
    let session = session();
    let (link, mut leader) = link();
    attach(&session, link).unwrap();
    let (mut tasks, ids) = looking(&session, &mut leader);
    drop(tasks.tasks.remove(LOOKS));
    assert_ne!(session.inner.lock().looking.trace().0, Some(ids[LOOKS]));
    answer(&mut leader, &ids);
    while !tasks.poll_all() {
        tasks.wait();
    }
    assert_eq!(session.queued_bytes(), 0);
}

#[test]
fn a_link_that_ends_while_a_task_looks_is_seen_without_its_being_polled() {
    let session = session();
    let (link, mut leader) = link();
    attach(&session, link).unwrap();
    let (_tasks, _) = looking(&session, &mut leader);
    drop(leader);
    while session.role() != Role::Electing {
        std::thread::yield_now();
    }
    assert_eq!(session.inner.lock().looking.trace().0, None);
}
