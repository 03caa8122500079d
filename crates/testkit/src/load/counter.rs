//! A counter that only its owner increments, each time with a token never used before under the new number.
//!
//! `w/last` = n and `w/n` = token are written in one batch. The owner reads `last` before each increment; when its
//! process was killed in one, what it reads next decides for good whether that increment took effect. So at each
//! moment the counter, the number of tokens and the newest token's key agree; no increment is lost, none is made
//! twice, and a token that was found not to be there never appears.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::answer;
use crate::client::{Client, Reply};

/// What the owner of one counter knows.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// The increments that took effect: n -> token.
    pub acknowledged: BTreeMap<u64, String>,
    /// The increment in flight when the owner's process was killed, not looked at since.
    pub open: Option<String>,
    /// Increments whose process was killed and that took no effect.
    pub without_effect: usize,
}

/// The start of a counter's keys.
pub fn counter_prefix(writer: usize) -> String {
    format!("{writer}/")
}

fn token_key(writer: usize, n: u64) -> String {
    format!("{writer}/{n:08}")
}

fn last_key(writer: usize) -> String {
    format!("{writer}/last")
}

/// Increments the counter once.
///
/// # Panics
/// If the counter is not where its owner left it.
pub(crate) fn increment(client: &mut Client, written: &mut Written) {
    let writer = client.number;
    let Some(answer) = answer(client, &json!({"op": "get", "key": last_key(writer)})) else {
        return;
    };
    let found = answer["value"]
        .as_str()
        .map_or(0, |n| n.parse().expect("a number"));
    resolve(writer, written, found);
    let (n, token) = (found + 1, client.token());
    let batch = json!({"op": "batch", "ops": [
        {"type": "put", "key": token_key(writer, n), "value": token},
        {"type": "put", "key": last_key(writer), "value": n.to_string()},
    ]});
    let asked = client.ask(&batch);
    match asked.reply {
        Reply::Ok(_) => {
            client.acknowledged.push((asked.begun, asked.ended));
            written.acknowledged.insert(n, token);
        }
        Reply::Unknown => written.open = Some(token),
        late => panic!("an increment was not done in time: {late:?}"),
    }
}

/// Learns from the counter's value what became of the increment in flight.
fn resolve(writer: usize, written: &mut Written, found: u64) {
    let known = newest(written);
    match written.open.take() {
        Some(token) if found == known + 1 => {
            written.acknowledged.insert(found, token);
        }
        Some(_) if found == known => written.without_effect += 1,
        None if found == known => {}
        open => panic!("counter {writer} is {found} after {known}, in flight: {open:?}"),
    }
}

fn newest(written: &Written) -> u64 {
    written
        .acknowledged
        .keys()
        .next_back()
        .copied()
        .unwrap_or(0)
}

/// The request for the last two entries of a counter's keys.
pub(crate) fn look(writer: usize) -> Value {
    json!({"op": "scan", "prefix": counter_prefix(writer), "reverse": true, "limit": 2})
}

/// The counter, by the last two entries of its keys at one moment: `last` names the newest token's key.
///
/// # Errors
/// Half an increment is visible.
pub(crate) fn value(writer: usize, entries: &[(String, String)]) -> Result<u64, String> {
    let [(last, n), (newest, _)] = entries else {
        return match entries {
            [] => Ok(0),
            _ => Err(format!("half an increment is visible: {entries:?}")),
        };
    };
    match n.parse() {
        Ok(n) if *last == last_key(writer) && *newest == token_key(writer, n) => Ok(n),
        _ => Err(format!("half an increment is visible: {entries:?}")),
    }
}

/// Checks all that was found of a writer's keys, in any order: every acknowledged increment is there with its token,
/// and nothing else but perhaps the one in flight at the end.
///
/// # Errors
/// Words that say what is lost or was never written.
pub fn check(writer: usize, written: &Written, found: &[(String, String)]) -> Result<(), String> {
    let mut found: BTreeMap<&str, &str> = found
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let last = found.remove(&*last_key(writer)).unwrap_or("0");
    for (n, token) in &written.acknowledged {
        let stored = found.remove(&*token_key(writer, *n));
        if stored != Some(token) {
            return Err(format!(
                "writer {writer}: acknowledged increment {n} wrote {token}, there is {stored:?}"
            ));
        }
    }
    let mut expected = newest(written);
    if let Some(token) = &written.open
        && found.get(&*token_key(writer, expected + 1)).copied() == Some(token)
    {
        expected += 1;
        found.remove(&*token_key(writer, expected));
    }
    if !found.is_empty() {
        return Err(format!(
            "writer {writer}: never written, or twice: {found:?}"
        ));
    }
    match last.parse() == Ok(expected) {
        true => Ok(()),
        false => Err(format!(
            "writer {writer}: the counter is {last} after {expected} increments"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(tokens: &[&str], last: &str) -> Vec<(String, String)> {
        let keys = tokens.iter().enumerate();
        keys.map(|(at, token)| (token_key(1, at as u64 + 1), (*token).to_owned()))
            .chain([(last_key(1), last.to_owned())])
            .collect()
    }

    fn written(tokens: &[&str], open: Option<&str>) -> Written {
        let numbered = (1..).zip(tokens.iter().map(|&token| token.to_owned()));
        Written {
            acknowledged: numbered.collect(),
            open: open.map(str::to_owned),
            without_effect: 0,
        }
    }

    #[test]
    fn a_lost_a_doubled_and_an_unknown_increment_are_seen() {
        let known = written(&["a", "b"], Some("c"));
        let is_right = |tokens: &[&str], last| check(1, &known, &found(tokens, last)).is_ok();
        assert!(is_right(&["a", "b"], "2"));
        assert!(is_right(&["a", "b", "c"], "3"));
        for (tokens, last) in [
            (&["a"][..], "1"),
            (&["a"], "2"),
            (&["a", "x"], "2"),
            (&["a", "b"], "3"),
            (&["a", "b", "c"], "2"),
            (&["a", "b", "b"], "3"),
            (&["a", "b", "c", "c"], "4"),
        ] {
            assert!(!is_right(tokens, last), "{tokens:?}, {last}");
        }
    }

    #[test]
    fn half_an_increment_is_seen() {
        let newest_first = |tokens, last| {
            let mut entries = found(tokens, last);
            entries.reverse();
            entries.truncate(2);
            value(1, &entries)
        };
        assert_eq!(value(1, &[]), Ok(0));
        assert_eq!(newest_first(&["a", "b"], "2"), Ok(2));
        assert!(newest_first(&["a", "b"], "1").is_err());
        assert!(newest_first(&["a", "b"], "3").is_err());
        assert!(newest_first(&[], "1").is_err());
    }

    #[test]
    fn what_the_owner_reads_next_decides_on_an_open_increment() {
        let mut known = written(&["a"], Some("b"));
        resolve(1, &mut known, 2);
        assert_eq!((newest(&known), known.open.as_deref()), (2, None));
        let mut known = written(&["a"], Some("b"));
        resolve(1, &mut known, 1);
        assert_eq!((newest(&known), known.without_effect), (1, 1));
    }

    #[test]
    #[should_panic(expected = "counter 1 is 3 after 1")]
    fn a_counter_that_jumps_is_seen() {
        resolve(1, &mut written(&["a"], Some("b")), 3);
    }

    #[test]
    #[should_panic(expected = "counter 1 is 1 after 2")]
    fn a_counter_that_goes_back_is_seen() {
        resolve(1, &mut written(&["a", "b"], None), 1);
    }
}
