//! A9: the leader is stopped under load and goes on later. Nobody takes its place; who waits too long is told so, with
//! its name; what timed out never shows; and a put whose outcome is unknown shows before its handle's next write is
//! acknowledged, or never.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use level_party_testkit::{Client, ExecChild, History, PATIENCE, Place, Reply};

use crate::{PROGRAM, times};

const CLIENTS: usize = 4;
const KEYS: [&str; 3] = ["a", "b", "c"];

/// How a run stops its leader.
struct Pauses {
    /// How long it stands each time, in milliseconds.
    each: Vec<u64>,
    /// What it answers in between.
    answers: usize,
    /// How long its followers wait, in seconds: shorter than most of the pauses.
    timeout: &'static str,
}

/// A call that timed out: its span, and the words its caller was told.
type TimedOut = (u64, u64, String);

/// The calls that timed out, of all clients, and how many of them were writes.
#[derive(Default)]
struct Late {
    calls: Vec<TimedOut>,
    writes: usize,
}

/// Told whenever a call has timed out.
#[derive(Default)]
struct Lateness {
    late: Mutex<Late>,
    more: Condvar,
}

impl Lateness {
    fn tell(&self, call: TimedOut, is_write: bool) {
        let mut late = self.late.lock().expect("nobody fails with it");
        late.calls.push(call);
        late.writes += usize::from(is_write);
        self.more.notify_all();
    }

    /// Waits until calls that began after `moment` have timed out, and writes at all: as many as there are clients.
    fn wait_for_calls_since(&self, moment: u64) {
        let few = |late: &mut Late| {
            let since = late.calls.iter().filter(|(begun, ..)| *begun >= moment);
            since.count() < CLIENTS || late.writes < CLIENTS
        };
        let late = self.late.lock().expect("nobody fails with it");
        let waited = self.more.wait_timeout_while(late, PATIENCE, few);
        let (_late, waited) = waited.expect("nobody fails with it");
        assert!(!waited.timed_out(), "hardly a call times out in a pause");
    }
}

/// Works until `stopped`, every other client with writes that are synced.
fn work(
    number: usize,
    place: &Place,
    timeout: &str,
    lateness: &Lateness,
    stopped: impl Fn() -> bool,
) -> (Client, usize) {
    let mut flags = vec!["--timeout", timeout];
    flags.extend((number % 2 == 1).then_some("--sync"));
    let mut client = Client::new(number, &place.with_flags(&flags));
    let mut random = fastrand::Rng::with_seed(number as u64);
    let mut unknown = 0;
    while !stopped() {
        let key = KEYS[random.usize(..KEYS.len())];
        let without_effect = client.history.without_effect;
        let asked = match random.u32(..10) {
            0..4 => client.put(key, 0),
            4 => client.swap(key),
            5 => client.delete(key),
            _ => client.get(key),
        };
        match asked.reply {
            Reply::Ok(_) | Reply::Conflict => {}
            Reply::Timeout(message) => lateness.tell(
                (asked.begun, asked.ended, message),
                client.history.without_effect > without_effect,
            ),
            Reply::Unknown => unknown += 1,
        }
    }
    assert_eq!(client.lives_lost, 0, "nobody was killed");
    (client, unknown)
}

/// Stops the leader for each of the pauses, with some answers between, and at last until calls have timed out within the
/// pause: how many do in the others, the machine decides. Returns when it stood for certain.
fn pause_again_and_again(
    leader: &mut ExecChild,
    place: &Place,
    pauses: &Pauses,
    lateness: &Lateness,
) -> Vec<(u64, u64)> {
    let mut stood = Vec::new();
    let each = pauses.each.iter().map(|pause| Some(*pause));
    for pause in each.chain([None]) {
        leader.pause();
        let begun = place.now();
        match pause {
            Some(pause) => std::thread::sleep(Duration::from_millis(pause)),
            None => lateness.wait_for_calls_since(begun),
        }
        stood.push((begun, place.now()));
        leader.resume();
        for _ in 0..pauses.answers {
            leader.status();
        }
    }
    stood
}

fn run(pauses: &Pauses) {
    let dir = tempfile::tempdir().expect("a directory");
    let place = &Place::new(PROGRAM, dir.path());
    let mut leader = place.spawn();
    let before = leader.status();
    assert_eq!(before["role"], "leader");
    let stop = &AtomicBool::new(false);
    let lateness = &Lateness::default();
    let mut history = History::default();
    let mut unknown = 0;
    let stood = std::thread::scope(|threads| {
        let _stop = SetAtEnd(stop);
        let work = |number| {
            work(number, place, pauses.timeout, lateness, || {
                stop.load(Ordering::Relaxed)
            })
        };
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| threads.spawn(move || work(number)))
            .collect();
        let stood = pause_again_and_again(&mut leader, place, pauses, lateness);
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            let (client, lost) = client.join().expect("a client");
            history.merge(client.history);
            unknown += lost;
        }
        stood
    });
    let timed_out = &lateness.late.lock().expect("nobody fails with it").calls;
    let after = leader.status();
    for field in ["epoch", "leader_pid", "role"] {
        assert_eq!(after[field], before[field], "{field} changed");
    }
    for key in KEYS {
        history.add_last_read(key, leader.get(key).map(Into::into));
    }
    println!(
        "{} calls, {} timed out, {} of them writes; of {unknown} the outcome is unknown",
        history.len(),
        timed_out.len(),
        history.without_effect
    );
    assert!(
        history.without_effect >= CLIENTS,
        "hardly a write timed out"
    );
    let mut in_a_pause = 0;
    for (begun, ended, message) in timed_out {
        if stood.iter().any(|(from, to)| from <= begun && ended <= to) {
            let pid = format!("pid {}", leader.pid());
            assert!(
                message.contains(&pid) && message.contains("stopped"),
                "{message}"
            );
            in_a_pause += 1;
        }
    }
    assert!(
        in_a_pause >= CLIENTS,
        "hardly a call timed out within a pause"
    );
    if let Err(words) = history.check() {
        panic!("{words}");
    }
}

struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_leader_that_is_stopped_under_load_stays_the_leader_and_what_timed_out_never_shows() {
    run(&Pauses {
        each: [100, 2_000, 300, 700, 400, 1_000].repeat(times(1)),
        answers: 200,
        timeout: "0.25",
    });
}

#[test]
fn many_short_stops_in_the_middle_of_writes_bring_back_nothing_that_timed_out() {
    run(&Pauses {
        each: [8, 15, 10, 12].repeat(times(50)),
        answers: 10,
        timeout: "0.004",
    });
}
