//! A9: the leader is stopped under load and goes on later. Nobody takes its place; who waits too long is told so, with
//! its name; what timed out never shows; and a put whose outcome is unknown shows before its handle's next write is
//! acknowledged, or never.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use level_party_testkit::{Client, ExecChild, History, Place, Reply};

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

/// Works until `stopped`, every other client with writes that are synced.
fn work(
    number: usize,
    place: &Place,
    timeout: &str,
    stopped: impl Fn() -> bool,
) -> (Client, Vec<TimedOut>, usize) {
    let mut flags = vec!["--timeout", timeout];
    flags.extend((number % 2 == 1).then_some("--sync"));
    let mut client = Client::new(number, &place.with_flags(&flags));
    let mut random = fastrand::Rng::with_seed(number as u64);
    let (mut timed_out, mut unknown) = (Vec::new(), 0);
    while !stopped() {
        let key = KEYS[random.usize(..KEYS.len())];
        let asked = match random.u32(..10) {
            0..4 => client.put(key, 0),
            4 => client.swap(key),
            5 => client.delete(key),
            _ => client.get(key),
        };
        match asked.reply {
            Reply::Ok(_) | Reply::Conflict => {}
            Reply::Timeout(message) => timed_out.push((asked.begun, asked.ended, message)),
            Reply::Unknown => unknown += 1,
        }
    }
    assert_eq!(client.lives_lost, 0, "nobody was killed");
    (client, timed_out, unknown)
}

/// Stops the leader for each of the pauses, with some answers between; returns when it stood for certain.
fn pause_again_and_again(
    leader: &mut ExecChild,
    place: &Place,
    pauses: &Pauses,
) -> Vec<(u64, u64)> {
    let mut stood = Vec::new();
    for pause in &pauses.each {
        leader.pause();
        let begun = place.now();
        std::thread::sleep(Duration::from_millis(*pause));
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
    let mut history = History::default();
    let (mut timed_out, mut unknown) = (Vec::new(), 0);
    let stood = std::thread::scope(|threads| {
        let _stop = SetAtEnd(stop);
        let work = |number| {
            work(number, place, pauses.timeout, || {
                stop.load(Ordering::Relaxed)
            })
        };
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| threads.spawn(move || work(number)))
            .collect();
        let stood = pause_again_and_again(&mut leader, place, pauses);
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            let (client, late, lost) = client.join().expect("a client");
            history.merge(client.history);
            timed_out.extend(late);
            unknown += lost;
        }
        stood
    });
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
    for (begun, ended, message) in &timed_out {
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
