use std::time::Duration;

use super::*;
use crate::request::KeyRange;

fn pending(
    keys: &[&str],
    conditions: Conditions,
) -> (Pending, oneshot::Receiver<Result<Option<u64>>>) {
    let (tell, told) = oneshot::channel();
    let keys: Vec<Vec<u8>> = keys.iter().map(|key| key.as_bytes().to_vec()).collect();
    let op = |key: &Vec<u8>| Request::Delete(DeleteRequest { key: key.clone() }).into();
    let pending = Pending {
        ops: keys.iter().map(op).collect(),
        bytes: keys.len() * OP_BYTES,
        keys,
        conditions,
        deadline: Instant::now() + Duration::from_secs(60),
        progress: Arc::new(AtomicU8::new(WAITS)),
        tell,
    };
    (pending, told)
}

fn conditional() -> Conditions {
    Conditions {
        keys: vec![(b"k".to_vec(), None)],
        ..Conditions::default()
    }
}

fn sizes(mut waiting: VecDeque<Pending>) -> Vec<usize> {
    let mut sizes = Vec::new();
    while !waiting.is_empty() {
        sizes.push(next_group(&mut waiting).len());
    }
    sizes
}

#[test]
fn groups_end_at_a_repeated_key_and_at_conditions() {
    let none = Conditions::default;
    let writes = [
        (vec!["a"], none()),
        (vec!["b", "c"], none()),
        (vec!["a"], none()),
        (vec!["d"], conditional()),
        (vec!["e"], none()),
    ];
    let waiting = writes.map(|(keys, conditions)| pending(&keys, conditions).0);
    assert_eq!(sizes(waiting.into()), [2, 1, 1, 1]);
}

#[test]
fn groups_keep_to_the_operations_that_etcd_takes() {
    let names: Vec<String> = (0..130).map(|n| n.to_string()).collect();
    let waiting: VecDeque<Pending> = names
        .iter()
        .map(|name| pending(&[name], Conditions::default()).0)
        .collect();
    assert_eq!(sizes(waiting), [OPS, 3]);
}

#[test]
fn write_that_was_taken_back_is_in_no_group() {
    let (first, _) = pending(&["a"], Conditions::default());
    let (second, _) = pending(&["b"], Conditions::default());
    drop(first.ticket());
    let kept = second.ticket();
    let group = next_group(&mut VecDeque::from([first, second]));
    assert_eq!(group.len(), 1);
    assert!(!kept.take_back(), "it was sent");
}

#[test]
fn late_write_is_told_that_it_had_no_effect() {
    let (mut late, mut told) = pending(&["a"], Conditions::default());
    late.deadline = Instant::now();
    assert!(next_group(&mut VecDeque::from([late])).is_empty());
    let error = told
        .try_recv()
        .expect("it is told")
        .expect_err("nothing was written");
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[test]
fn last_operation_on_a_key_counts() {
    let op = |key: &str, value: Option<&str>| (key.into(), value.map(Into::into));
    let ops = vec![
        op("a", Some("1")),
        op("b", None),
        op("a", None),
        op("c", Some("2")),
        op("c", Some("3")),
    ];
    assert_eq!(
        last_of_each_key(ops),
        [op("b", None), op("a", None), op("c", Some("3"))]
    );
    assert!(last_of_each_key(Vec::new()).is_empty());
}

#[test]
fn conditions_of_another_history_are_seen() {
    let history = |number| History {
        number,
        random: [0, 0],
    };
    let condition = |history| Conditions {
        ranges: vec![(
            KeyRange {
                lower: std::ops::Bound::Unbounded,
                upper: std::ops::Bound::Unbounded,
            },
            5,
        )],
        history: Some(history),
        ..Conditions::default()
    };
    let (old, _) = pending(&["a"], condition(history(1)));
    let (none, _) = pending(&["a"], Conditions::default());
    assert!(other_history(&[old], history(2)));
    assert!(!other_history(&[none], history(2)));
}
