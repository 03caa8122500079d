//! Leader after leader is killed under load: one run, looked at in several ways.

use std::path::Path;
use std::sync::LazyLock;

use level_party_testkit::linear::{Action, Call};
use level_party_testkit::{ExecChild, History, Record, check, kill_under_load};

use crate::{PROGRAM, times};

const WRITERS: usize = 4;
/// On Windows fewer, because Wine starts processes slowly.
const KILLS: usize = if cfg!(windows) { 40 } else { 200 };

/// What the run left: its record, and all entries of the database.
struct Run {
    record: Record,
    found: Vec<(String, String)>,
}

static RUN: LazyLock<Run> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a directory");
    let record = kill_under_load(Path::new(PROGRAM), dir.path(), WRITERS, times(KILLS));
    let found = ExecChild::spawn(PROGRAM, dir.path()).scan("");
    let times = record.failovers();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!(
        "{} kills, {} lives of clients, {} acknowledged writes, {} recorded calls; \
         from SIGKILL to the first acknowledged write begun after it: p50 {:?}, p99 {:?}, most {:?}",
        record.kills.len(),
        record.lives_lost,
        record.acknowledged.len(),
        record.history.len(),
        at(50),
        at(99),
        at(100),
    );
    Run { record, found }
});

#[test]
fn histories_are_linearizable_over_200_killed_leaders() {
    let mut record = RUN.record.clone();
    if let Err(words) = record
        .end(RUN.found.clone())
        .and_then(|()| record.history.check())
    {
        panic!("{words}");
    }
    assert_eq!(record.history.without_effect, 0, "a call timed out");
    assert!(record.history.calls.values().all(|calls| calls.len() > 100));
    let killed = record.lives_lost;
    assert!(
        killed > KILLS / 2,
        "the leader was a client's process only {killed} times"
    );
}

#[test]
fn counters_are_exact_over_two_hundred_killed_leaders() {
    for (writer, written) in RUN.record.written.iter().enumerate() {
        assert!(
            written.acknowledged.len() > 100,
            "writer {writer} wrote nothing"
        );
    }
    let shared = &RUN.record.shared;
    assert!(
        shared.committed.len() > 100 && shared.refused > 0,
        "hardly a transaction"
    );
    if let Err(words) = RUN.record.clone().end(RUN.found.clone()) {
        panic!("{words}");
    }
}

/// The record's history, with one thing about it changed by `doctor`, which is given the puts of one key that were
/// acknowledged, in their order, and the key's calls.
fn doctored(doctor: impl Fn(&[Call], &mut Vec<Call>)) -> Result<(), String> {
    let mut history: History = RUN.record.history.clone();
    let calls = history.calls.get_mut("hot").expect("the key was written");
    let mut puts: Vec<Call> = calls
        .iter()
        .filter(|call| call.ended.is_some() && matches!(call.action, Action::Set(Some(_))))
        .cloned()
        .collect();
    puts.sort_by_key(|call| call.begun);
    doctor(&puts, calls);
    history.check()
}

fn read_after(put: &Call, content: &Call, by: u64) -> Call {
    let Action::Set(content) = &content.action else {
        panic!("{content} is no put")
    };
    let begun = put.ended.expect("it was acknowledged") + by;
    Call {
        client: 99,
        action: Action::Get(content.clone()),
        begun,
        ended: Some(begun),
    }
}

/// A put that was answered before `put` began: once `put` was answered, nobody may read it.
fn answered_before<'a>(puts: &'a [Call], put: &Call) -> &'a Call {
    let mut before = puts
        .iter()
        .rev()
        .filter(|call| call.ended < Some(put.begun));
    before.next().expect("puts before it")
}

/// A put that began after `put` was answered.
fn begun_after<'a>(puts: &'a [Call], put: &Call) -> &'a Call {
    let mut after = puts.iter().filter(|call| Some(call.begun) > put.ended);
    after.next().expect("puts after it")
}

#[test]
fn a_doctored_history_of_the_run_is_found_out() {
    assert_eq!(doctored(|_, _| {}), Ok(()));
    let seen = |what: &str, doctor: &dyn Fn(&[Call], &mut Vec<Call>)| {
        let words = doctored(doctor).expect_err(what);
        assert!(
            words.contains("key \"hot\" is not linearizable"),
            "{what}: {words}"
        );
    };
    seen("a stale read", &|puts, calls| {
        let put = &puts[puts.len() / 2];
        calls.push(read_after(put, answered_before(puts, put), 1));
    });
    seen("an acknowledged write that is lost", &|puts, calls| {
        // It was read once, and what was there before it is read again.
        let last = &puts[puts.len() - 1];
        calls.push(read_after(last, last, 0));
        calls.push(read_after(last, answered_before(puts, last), 1));
    });
    seen("a write that is made a second time", &|puts, calls| {
        let one = &puts[puts.len() / 3];
        let two = begun_after(puts, one);
        calls.push(read_after(one, one, 0));
        calls.push(read_after(two, two, 0));
        calls.push(read_after(two, one, 1));
    });
    seen("a swap of what was not there any more", &|puts, calls| {
        let put = &puts[puts.len() / 2];
        let mut late = read_after(put, answered_before(puts, put), 1);
        let Action::Get(expected) = late.action else {
            panic!("a read")
        };
        late.action = Action::Swap {
            expected,
            to: Some("swapped".into()),
            swapped: true,
        };
        calls.push(late);
    });
    seen("a write that timed out and shows later", &|puts, calls| {
        // A put that was read: without it, its value comes from nowhere.
        let is_read = |put: &&Call| {
            let Action::Set(content) = &put.action else {
                return false;
            };
            calls
                .iter()
                .any(|c| c.action == Action::Get(content.clone()))
        };
        let put = puts
            .iter()
            .find(is_read)
            .expect("a put that was read")
            .clone();
        calls.retain(|call| *call != put);
    });
}

/// The entries below a prefix.
fn below(prefix: &str) -> Vec<(String, String)> {
    let all = RUN.found.iter();
    all.filter(|(key, _)| key.starts_with(prefix))
        .cloned()
        .collect()
}

#[test]
fn a_doctored_counter_of_the_run_is_found_out() {
    type Check<'a> = &'a dyn Fn(&[(String, String)]) -> Result<(), String>;
    let own: Check<'_> = &|found| check(0, &RUN.record.written[0], found);
    let shared: Check<'_> = &|found| RUN.record.shared.check(found);
    for (prefix, check) in [("0/", own), ("shared/", shared)] {
        let found = below(prefix);
        assert_eq!(check(&found), Ok(()));
        for at in [0, found.len() / 2, found.len() - 1] {
            let mut lost = found.clone();
            lost.remove(at);
            assert!(check(&lost).is_err(), "{prefix}: entry {at} may be lost");
            let mut changed = found.clone();
            changed[at].1 = format!("{}0", changed[at].1);
            assert!(
                check(&changed).is_err(),
                "{prefix}: entry {at} may be another"
            );
        }
        let mut twice = found.clone();
        let (n, token) = (found.len(), found[0].1.clone());
        twice[n - 1].1 = n.to_string();
        twice.insert(n - 1, (format!("{prefix}{n:08}"), token));
        assert!(
            check(&twice).is_err(),
            "{prefix}: an increment may be made twice"
        );
    }
}
