//! The check beside known histories, and beside a search that simply tries every order.

use super::*;

fn text(letter: &str) -> Content {
    (letter != "-").then(|| letter.into())
}

/// One call of a history in words: `get a 1 2`, `put b 3 4`, `del 5 6`, `cas a b 7 8`, `no a b 9 10` (refused).
/// An open call has no end: `put c 5`.
fn call(words: &str) -> Call {
    let words: Vec<&str> = words.split(' ').collect();
    let (action, times) = match words[0] {
        "get" => (Action::Get(text(words[1])), &words[2..]),
        "put" => (Action::Set(text(words[1])), &words[2..]),
        "del" => (Action::Set(None), &words[1..]),
        "cas" | "no" => {
            let (expected, to) = (text(words[1]), text(words[2]));
            let swapped = words[0] == "cas";
            (
                Action::Swap {
                    expected,
                    to,
                    swapped,
                },
                &words[3..],
            )
        }
        other => panic!("{other}?"),
    };
    Call {
        client: 0,
        action,
        begun: times[0].parse().expect("a time"),
        ended: times.get(1).map(|time| time.parse().expect("a time")),
    }
}

fn history(calls: &[&str]) -> Vec<Call> {
    calls.iter().map(|words| call(words)).collect()
}

fn holds(calls: &[&str]) {
    if let Err(violation) = check(&history(calls)) {
        panic!("{violation}");
    }
}

/// The check must fail at this call.
fn fails(calls: &[&str], at: &str) {
    let violation = check(&history(calls)).expect_err("a violation was not seen");
    assert_eq!(violation.call, call(at), "{violation}");
}

#[test]
fn one_after_the_other_each_read_finds_the_last_write() {
    holds(&[]);
    holds(&[
        "get - 0 1",
        "put a 2 3",
        "get a 4 5",
        "del 6 7",
        "get - 8 9",
    ]);
    holds(&[
        "put a 0 1",
        "cas a b 2 3",
        "no a c 4 5",
        "get b 6 7",
        "cas b - 8 9",
        "get - 10 11",
    ]);
    holds(&["cas - a 0 1", "no - b 2 3"]);
}

#[test]
fn writes_at_once_come_in_any_order_but_in_one() {
    let both = ["put a 0 10", "put b 0 10"];
    holds(&[&both[..], &["get a 1 2", "get b 3 4"]].concat());
    holds(&[&both[..], &["get b 1 2", "get a 3 4"]].concat());
    fails(
        &[&both[..], &["get a 1 2", "get b 3 4", "get a 5 6"]].concat(),
        "get a 5 6",
    );
}

#[test]
fn a_stale_read_is_seen() {
    fails(&["put a 0 1", "put b 2 3", "get a 4 5"], "get a 4 5");
    fails(&["put a 0 1", "get - 2 3"], "get - 2 3");
    // Once one reader saw the new value, no other may see the old one, though the write is still under way.
    fails(
        &["put a 0 1", "put b 2 20", "get b 3 4", "get a 5 6"],
        "get a 5 6",
    );
}

#[test]
fn a_lost_write_is_seen() {
    fails(
        &["put a 0 1", "put b 2 3", "get b 4 5", "get a 6 7"],
        "get a 6 7",
    );
    // Two swaps of the same content cannot both have succeeded.
    fails(&["put a 0 1", "cas a b 2 6", "cas a c 3 7"], "cas a c 3 7");
}

#[test]
fn a_doubled_write_is_seen() {
    fails(
        &[
            "put a 0 1",
            "get a 2 3",
            "put b 4 5",
            "get b 6 7",
            "get a 8 9",
        ],
        "get a 8 9",
    );
    // Also one that never ended: it may take effect late, but once.
    holds(&["put a 0", "put b 4 5", "get b 6 7", "get a 8 9"]);
    fails(
        &[
            "put a 0",
            "get a 2 3",
            "put b 4 5",
            "get b 6 7",
            "get a 8 9",
        ],
        "get a 8 9",
    );
}

#[test]
fn a_write_from_nowhere_is_seen() {
    fails(&["put a 0 1", "get x 2 3"], "get x 2 3");
    // A read cannot see what begins after its end.
    fails(&["get a 0 1", "put a 2 3"], "get a 0 1");
}

#[test]
fn an_open_call_took_effect_once_or_never() {
    holds(&["put a 0 1", "put b 2", "get a 4 5", "get b 6 7"]);
    holds(&[
        "put a 0 1",
        "del 2",
        "get a 4 5",
        "get - 6 7",
        "put a 8 9",
        "get a 10 11",
    ]);
    fails(
        &["put a 0 1", "del 2", "get - 4 5", "put a 6 7", "get - 8 9"],
        "get - 8 9",
    );
    holds(&[
        "put a 0 1",
        "del 2",
        "del 3",
        "get - 4 5",
        "put a 6 7",
        "get - 8 9",
    ]);
    holds(&["put a 0 1", "cas a b 2", "get a 4 5", "get b 6 7"]);
    fails(&["put a 0 1", "cas c b 2", "get b 6 7"], "get b 6 7");
    // A refused swap may be all that shows of it.
    holds(&["put a 0 1", "put b 2", "no a c 4 5"]);
}

#[test]
fn a_violation_shows_what_there_was() {
    let violation = check(&history(&["put a 0 1", "put b 2 3", "get a 4 5"])).expect_err("stale");
    assert_eq!(violation.possible, [text("b")]);
    let words = violation.to_string();
    assert!(words.contains("4..5 client 0: get found \"a\""), "{words}");
    assert!(words.contains("2..3 client 0: put \"b\""), "{words}");
}

/// Whether some order explains the calls: tries them all.
fn explained(state: &Content, left: &[&Call]) -> bool {
    if left.iter().all(|call| call.ended.is_none()) {
        return true;
    }
    let first_end = left
        .iter()
        .filter_map(|call| call.ended)
        .min()
        .unwrap_or(u64::MAX);
    left.iter().enumerate().any(|(at, call)| {
        if call.begun > first_end {
            return false;
        }
        let next = match &call.action {
            Action::Get(found) => (call.ended.is_none() || found == state).then(|| state.clone()),
            Action::Set(to) => Some(to.clone()),
            Action::Swap {
                expected,
                to,
                swapped,
            } => match call.ended {
                None if expected == state => Some(to.clone()),
                None => Some(state.clone()),
                Some(_) if *swapped => (expected == state).then(|| to.clone()),
                Some(_) => (expected != state).then(|| state.clone()),
            },
        };
        let rest: Vec<&Call> = [&left[..at], &left[at + 1..]].concat();
        next.is_some_and(|next| explained(&next, &rest))
    })
}

#[test]
fn it_agrees_with_a_search_of_every_order() {
    let mut random = fastrand::Rng::with_seed(7);
    let (mut good, mut bad) = (0, 0);
    for round in 0..30_000 {
        let most = random.u64(3..16);
        let calls: Vec<Call> = (0..random.usize(1..8))
            .map(|client| {
                let mut content = || text(["-", "a", "b", "c"][random.usize(..4)]);
                let (one, two) = (content(), content());
                let action = match random.u32(..8) {
                    0..4 => Action::Get(one),
                    4..6 => Action::Set(one),
                    _ => Action::Swap {
                        expected: one,
                        to: two,
                        swapped: random.bool(),
                    },
                };
                let begun = random.u64(..most);
                let ended = (random.u32(..5) > 0).then(|| begun + random.u64(..most));
                Call {
                    client,
                    action,
                    begun,
                    ended,
                }
            })
            .collect();
        let expected = explained(&None, &calls.iter().collect::<Vec<_>>());
        assert_eq!(check(&calls).is_ok(), expected, "round {round}: {calls:#?}");
        *(if expected { &mut good } else { &mut bad }) += 1;
    }
    assert!(
        good > 3_000 && bad > 3_000,
        "{good} good and {bad} bad histories"
    );
}

/// A long history of a real register: `clients` at once, some of whose calls never end.
fn long(seed: u64, calls: usize, clients: usize) -> Vec<Call> {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut state, mut now) = (None, 0);
    let mut free_at = vec![0; clients];
    let mut made = Vec::new();
    for n in 0..calls {
        now += 10;
        let client = (0..clients)
            .min_by_key(|client| free_at[*client])
            .expect("a client");
        let lost = random.u32(..100) == 0;
        let action = match random.u32(..10) {
            0..5 => Action::Get(state.clone()),
            5..8 => Action::Set(Some(n.to_string().into())),
            8 => Action::Set(None),
            _ => {
                let expected = if random.bool() {
                    state.clone()
                } else {
                    Some("other".into())
                };
                let swapped = expected == state;
                Action::Swap {
                    expected,
                    to: Some(n.to_string().into()),
                    swapped,
                }
            }
        };
        if !lost || random.bool() {
            match &action {
                Action::Set(to)
                | Action::Swap {
                    to, swapped: true, ..
                } => state = to.clone(),
                _ => {}
            }
        }
        let begun = now - random.u64(..=(now - free_at[client]).min(40 * clients as u64));
        let end = now + random.u64(..40);
        free_at[client] = end + 1;
        now = now.max(free_at.iter().copied().min().unwrap_or(now));
        made.push(Call {
            client,
            action,
            begun,
            ended: (!lost).then_some(end),
        });
    }
    made
}

#[test]
fn wrong_answer_in_a_long_history_is_found() {
    let calls = long(1, 20_000, 6);
    let open = calls.iter().filter(|call| call.ended.is_none()).count();
    assert!(open > 100, "{open} open calls");
    if let Err(violation) = check(&calls) {
        panic!("{violation}");
    }
    let mut random = fastrand::Rng::with_seed(2);
    for _ in 0..10 {
        let mut doctored = calls.clone();
        // A read of what was overwritten long before.
        let at = random.usize(5_000..calls.len());
        let old = calls[..at - 1_000]
            .iter()
            .rev()
            .find_map(|call| match &call.action {
                Action::Set(Some(to)) if call.ended.is_some() => Some(to.clone()),
                _ => None,
            });
        doctored[at].action = Action::Get(old);
        doctored[at].ended = Some(calls[at].begun + 1);
        let violation = check(&doctored).expect_err("a stale read in a long history");
        assert_eq!(violation.call, doctored[at]);
    }
}
