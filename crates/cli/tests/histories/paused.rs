//! A9: a process is stopped in the middle of its writes, again and again, and goes on later. Nobody takes what it holds; who
//! waits too long is told so, with its name; what timed out never shows; and nobody's reads wait.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use level_party_testkit::{Client, ExecChild, History, PATIENCE, Reply, Target};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::{PROGRAM, times};

const CLIENTS: usize = 4;
const KEYS: [&str; 3] = ["a", "b", "c"];

/// How a run stops its victim.
struct Pauses {
    /// How long it stands each time, in milliseconds.
    each: Vec<u64>,
    /// How long the others wait, in seconds: shorter than most of the pauses.
    timeout: &'static str,
}

/// Writes that one process has been given and not answered, so that it is in the middle of one most of the time.
const IN_HAND: usize = 64;
/// Pauses at most until one met the victim in the middle of a write, for longer than anybody waits.
const TRIES: usize = 400;

/// A call that timed out: its span, and the words its caller was told.
struct TimedOut {
    begun: u64,
    ended: u64,
    is_write: bool,
    message: String,
}

impl TimedOut {
    /// Whether it waited for the victim within the pause, and was told so.
    fn waited_for(&self, victim: Pid, (from, to): (u64, u64)) -> bool {
        from <= self.begun
            && self.ended <= to
            && self
                .message
                .contains(&format!("pid {}", victim.as_raw_nonzero()))
            && self.message.contains("stopped")
    }

    /// A read waits for nobody. A write says for whom, or that it stood in the queue of its own process behind one that was told.
    /// Either may have been given no time by the system before it began.
    fn check(&self) {
        let may_say: &[&str] = match self.is_write {
            true => &["(pid ", "its turn did not come", "over before it was begun"],
            false => &["over before it was begun"],
        };
        assert!(
            may_say.iter().any(|words| self.message.contains(words)),
            "{}",
            self.message
        );
    }
}

/// Writes as fast as it can, until it is told to stop, and counts what was answered.
fn flood(mut victim: ExecChild, stop: &AtomicBool, answered: &AtomicU64) {
    let mut number = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..IN_HAND {
            number += 1;
            victim.send(&json!({"op": "put", "key": "flood", "value": number.to_string()}));
        }
        for _ in 0..IN_HAND {
            assert_eq!(victim.answer()["ok"], true, "it waits for nobody long");
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }
    assert!(victim.close().success());
}

/// Works until `stopped`, every other client with writes that are synced.
fn work(
    number: usize,
    target: &Target,
    timeout: &str,
    late: &Mutex<Vec<TimedOut>>,
    stopped: impl Fn() -> bool,
) -> (Client, usize) {
    // Opening waits as long as it always does: it is the writes that are to time out.
    let mut flags = vec!["--timeout", timeout, "--open-timeout", "10"];
    flags.extend((number % 2 == 1).then_some("--sync"));
    let mut client = Client::new(number, &target.with_flags(&flags));
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
            Reply::Timeout(message) => {
                late.lock().expect("nobody fails with it").push(TimedOut {
                    begun: asked.begun,
                    ended: asked.ended,
                    is_write: client.history.without_effect > without_effect,
                    message,
                });
            }
            Reply::Unknown => unknown += 1,
        }
    }
    assert_eq!(client.lives_lost, 0, "nobody was killed");
    (client, unknown)
}

/// Stops the victim for each of the pauses, and then until it stood in the middle of a write for longer than the others wait.
/// Returns when it stood for certain.
fn pause_again_and_again(
    victim: Pid,
    answered: &AtomicU64,
    target: &Target,
    pauses: &Pauses,
    late: &Mutex<Vec<TimedOut>>,
) -> Vec<(u64, u64)> {
    let mut stood = Vec::new();
    let mut random = fastrand::Rng::with_seed(0);
    let mut pause = |millis: u64| {
        // It has to get on between two stops, to somewhere else.
        let goal = answered.load(Ordering::Relaxed) + random.u64(1..=8);
        let start = Instant::now();
        while answered.load(Ordering::Relaxed) < goal {
            assert!(start.elapsed() < PATIENCE, "the victim does not get on");
            std::thread::yield_now();
        }
        kill_process(victim, Signal::STOP).expect("it runs");
        let begun = target.now();
        std::thread::sleep(Duration::from_millis(millis));
        let span = (begun, target.now());
        kill_process(victim, Signal::CONT).expect("it stands");
        stood.push(span);
        span
    };
    for millis in &pauses.each {
        pause(*millis);
    }
    let timeout: f64 = pauses.timeout.parse().expect("a number");
    let longer = (timeout * 3_000.0) as u64 + 20;
    for tried in 0.. {
        assert!(tried < TRIES, "no write timed out within a pause");
        let span = pause(longer);
        let late = late.lock().expect("nobody fails with it");
        if late.iter().any(|call| call.waited_for(victim, span)) {
            println!(
                "a write waited for the victim in the {}th of its long pauses",
                tried + 1
            );
            break;
        }
    }
    stood
}

fn run(pauses: &Pauses) {
    let dir = tempfile::tempdir().expect("a directory");
    let target = &Target::new(PROGRAM, dir.path());
    let mut leader = target.spawn();
    let before = leader.status();
    assert_eq!(before["role"], "leader");
    let mut victim = target.spawn();
    // It is open before it is stopped for the first time.
    assert_eq!(victim.status()["role"], "follower");
    let victim_pid = Pid::from_raw(victim.pid() as i32).expect("a pid");
    let stop = &AtomicBool::new(false);
    let answered = &AtomicU64::new(0);
    let late = &Mutex::new(Vec::new());
    let mut history = History::default();
    let mut unknown = 0;
    let stood = std::thread::scope(|threads| {
        let _stop = SetAtEnd(stop);
        let work = |number| {
            work(number, target, pauses.timeout, late, || {
                stop.load(Ordering::Relaxed)
            })
        };
        threads.spawn(|| flood(victim, stop, answered));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| threads.spawn(move || work(number)))
            .collect();
        let stood = pause_again_and_again(victim_pid, answered, target, pauses, late);
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            let (client, lost) = client.join().expect("a client");
            history.merge(client.history);
            unknown += lost;
        }
        stood
    });
    let late = late.lock().expect("nobody fails with it");
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
        late.len(),
        late.iter().filter(|call| call.is_write).count()
    );
    for call in late.iter() {
        call.check();
    }
    let in_a_pause = |call: &TimedOut| stood.iter().any(|span| call.waited_for(victim_pid, *span));
    assert!(
        late.iter().any(in_a_pause),
        "no call timed out within a pause"
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
fn stopped_writer_keeps_its_lock_and_times_others_out() {
    run(&Pauses {
        each: [100, 2_000, 300, 700, 400, 1_000].repeat(times(1)),
        timeout: "0.25",
    });
}

#[test]
fn short_stops_of_a_writer_bring_back_no_timed_out_write() {
    run(&Pauses {
        each: [8, 15, 10, 12].repeat(times(50)),
        timeout: "0.004",
    });
}
